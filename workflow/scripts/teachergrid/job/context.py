"""What every entry script does first and last: log, settings, origin, devices, and a readable error message."""

import os
import shutil
import socket
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import BadInput
from ..hub import folders
from ..models import imports
from ..spec import canonical
from ..store import disk, origin, unfinished
from ..store.job_index import remember
from ..units import visible
from . import attempts, devices, failures, fingerprint, usage

if TYPE_CHECKING:
    from snakemake.script import Snakemake


def log_to(path: str) -> None:
    """Send all output of this process and its children to one file.

    It redirects the file descriptors instead of sys.stderr, since engine workers and training ranks are child processes.
    """
    file = origin.opened(path, os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)


@contextmanager
def running(snakemake: "Snakemake") -> Iterator[tuple[dict, dict]]:
    """Yield (settings, origin) of a job: the parts of its spec with all defaults, and what its outputs are made from.

    Inside the context the job sees only its own devices, so CUDA must not have started before. An error is recorded
    (failures.Record), its message becomes the last line of the log, and the process ends with exit code 1.
    """
    terminal = os.dup(2)
    cell = Path(snakemake.output[0]).parts[0], snakemake.rule, "/".join(snakemake.wildcards)
    try:
        attempts.keep(*cell, environment=os.environ)
        log_to(snakemake.log[0])
        failures.remove(*cell)
        settings = canonical.load(snakemake.params.spec)
        imports.spare("model" in settings)
        imports.keep_pandas_out()
        loaded = model_folders(settings, snakemake.input)
        made_from = origin.of(snakemake.rule, snakemake.params.spec, snakemake.input, loaded)
        resumed, start = unfinished.has_unfinished(snakemake.output[0], made_from), time.monotonic()
        with devices.taken(snakemake.resources.get("gpu", 0)):
            waited, made_with = time.monotonic() - start, fingerprint.fingerprint(snakemake.rule)
            yield settings, made_from
            if model_folders(settings, snakemake.input) != loaded:
                refuse_change(settings["model"]["repo"], snakemake.output[0], made_from)
            took = None if resumed else usage.measure(snakemake, waited)
        remember(*cell, made_with, took)
        # a run may have written a record in the meantime, about a try that SLURM has put back into the queue
        failures.remove(*cell)
    except Exception as error:
        record_failure(error, snakemake, terminal, *cell)
        sys.exit(1)


def model_folders(settings: dict, inputs: Iterable[str]) -> dict[str, str]:
    """Return {folder: digest} of the model that a job loads from a folder without a revision.

    A student answers with weights of its own, which its student.json describes; its base's folder does not matter then.
    """
    is_of_student = any(Path(path).name == "student.json" for path in inputs)
    return {} if is_of_student else folders.of_job(settings)


def refuse_change(folder: str, output: str, made_from: dict) -> NoReturn:
    """Raise BadInput about a model folder that changed while its job ran. The unfinished work may mix two models, and goes."""
    shutil.rmtree(unfinished.folder(output, made_from))
    raise BadInput(
        f"{folder}: files of this model folder were changed while the job ran; leave them as they are and run again"
    )


def record_failure(error: Exception, snakemake: "Snakemake", terminal: int, results: str, rule: str, cell: str) -> None:
    """Print the error as the last line of the log (a full disk also on the terminal), and write the record of the failure."""
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
    where: dict[str, Any] = {
        "node": os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
        "slurm": os.environ.get("SLURM_JOB_ID"),
        "resources": failures.asked(snakemake.resources),
    }
    failures.write(results, failures.Record(rule, cell, *failure, outputs, log, type(error).__name__, **where))


def say(message: str, to: int) -> None:
    """Write a message to a file descriptor, after what was printed before."""
    flush()
    with suppress(OSError):
        os.write(to, f"{failures.ERROR}{visible(message)}\n".encode())


def flush() -> None:
    """Write out buffered output, as far as the disk allows."""
    # the log may be on the full disk
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
