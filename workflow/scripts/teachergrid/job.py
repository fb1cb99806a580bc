"""What every entry script does first and last: log, settings, origin, devices, and an error a person can read."""

import os
import sys
import time
import traceback
from contextlib import contextmanager, suppress
from pathlib import Path

from . import canonical, code, devices, disk, origin
from .errors import BadInput
from .planning import actuals


def log_to(path) -> None:
    """Send everything this process and its children print to one file.

    The descriptors and not sys.stderr: engine workers and training ranks are child processes.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)


@contextmanager
def running(snakemake):
    """Yield (settings, origin) of a job: the parts of its spec with all defaults, and what its outputs were made from.

    The job sees its own devices only, so CUDA must not have started before.
    """
    terminal = os.dup(2)
    try:
        log_to(snakemake.log[0])
        settings = canonical.load(snakemake.params.spec)
        made_from = origin.of(snakemake.rule, snakemake.params.spec, snakemake.input)
        resumed, asked = actuals.begun(snakemake.output[0], made_from), time.monotonic()
        with devices.taken(snakemake.resources.get("gpu", 0)):
            waited, made_with = time.monotonic() - asked, code.fingerprint(snakemake.rule)
            yield settings, made_from
            took = None if resumed else actuals.measured(snakemake, waited)
        results, cell = Path(snakemake.output[0]).parts[0], "/".join(snakemake.wildcards)
        code.remember(results, snakemake.rule, cell, made_with, took)
    except Exception as error:
        if message := disk.full(error, snakemake.output):
            say(message, terminal)
        elif not isinstance(error, BadInput):
            traceback.print_exc()
            message = f"{type(error).__name__}: {error}"
        # last line, so that a report can quote what decided it
        say(message or str(error), 2)
        sys.exit(1)


def say(message: str, to: int) -> None:
    # the log may lie on the disk that is full
    with suppress(OSError):
        sys.stdout.flush()
    with suppress(OSError):
        os.write(to, f"ERROR: {message}\n".encode())
