"""What every entry script does first and last: log, settings, origin, and an error a person can read."""

import os
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path

from . import origin, spec
from .errors import BadInput


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
    """Yield (settings, origin) of a job: the parts of its spec with all defaults, and what its outputs were made from."""
    log_to(snakemake.log[0])
    try:
        yield spec.load(snakemake.params.spec), origin.of(snakemake.rule, snakemake.params.spec, snakemake.input)
    except BadInput as error:
        print(f"ERROR: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    except Exception as error:
        traceback.print_exc()
        # last line, so that a report can quote what decided it
        print(f"ERROR: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
