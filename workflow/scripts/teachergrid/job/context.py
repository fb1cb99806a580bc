"""What every entry script does first and last: log, settings, origin, devices, and an error a person can read."""

import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..spec import canonical
from ..store import disk, origin, unfinished
from ..store.job_index import remember
from . import devices, failures, fingerprint, usage

if TYPE_CHECKING:
    from snakemake.script import Snakemake


def log_to(path: str) -> None:
    """Send everything this process and its children print to one file.

    The descriptors and not sys.stderr: engine workers and training ranks are child processes.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)


@contextmanager
def running(snakemake: "Snakemake") -> Iterator[tuple[dict, dict]]:
    """Yield (settings, origin) of a job: the parts of its spec with all defaults, and what its outputs were made from.

    The job sees its own devices only, so CUDA must not have started before. An error ends the process with exit code 1; it
    is then recorded (failures.Record), and its message is the last line of the log.
    """
    terminal = os.dup(2)
    cell = Path(snakemake.output[0]).parts[0], snakemake.rule, "/".join(snakemake.wildcards)
    try:
        log_to(snakemake.log[0])
        failures.remove(*cell)
        settings = canonical.load(snakemake.params.spec)
        made_from = origin.of(snakemake.rule, snakemake.params.spec, snakemake.input)
        resumed, start = unfinished.has_unfinished(snakemake.output[0], made_from), time.monotonic()
        with devices.taken(snakemake.resources.get("gpu", 0)):
            waited, made_with = time.monotonic() - start, fingerprint.fingerprint(snakemake.rule)
            yield settings, made_from
            took = None if resumed else usage.measure(snakemake, waited)
        remember(*cell, made_with, took)
        # one that a run wrote meanwhile, of a try that SLURM has put back into the queue
        failures.remove(*cell)
    except Exception as error:
        record_failure(error, snakemake, terminal, *cell)
        sys.exit(1)


def record_failure(error: Exception, snakemake: "Snakemake", terminal: int, results: str, rule: str, cell: str) -> None:
    """Print the error as the last line of the log, one of a full disk also on the terminal, and write its record."""
    log = snakemake.log[0]
    if message := disk.full(error, snakemake.output):
        say(message, terminal)
        failure = failures.of_message(message)
    elif isinstance(error, BadInput):
        message = str(error)
        failure = failures.of_message(message)
    else:
        traceback.print_exc()
        flush()
        message = f"{type(error).__name__}: {error}"
        failure = failures.of_exception(message, failures.text_of([log]))
    say(message, 2)
    outputs = list(map(str, snakemake.output))
    failures.write(results, failures.Record(rule, cell, *failure, outputs, log, type(error).__name__))


def say(message: str, to: int) -> None:
    """Write a message to a file descriptor, after what was printed before."""
    flush()
    with suppress(OSError):
        os.write(to, f"{failures.ERROR}{message}\n".encode())


def flush() -> None:
    # the log may lie on the disk that is full
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
