"""The Python that Snakemake writes into the shell commands of jobs."""

import os
import re
import shlex
import sys
from pathlib import Path

from ..errors import BadInput
from . import preloaded

STAND_IN = Path(__file__).with_name("stand_in.py")


def quote() -> None:
    """Quote `sys.executable` for a shell, where a folder such as `my project` makes that necessary.

    Where a server has the libraries imported (job.preloaded), the command calls the stand-in, which asks it for a fork.
    Snakemake puts it into shell commands as it is. Only a process that runs Snakemake's jobs may call this: a program that is
    started without a shell needs the path itself. Raises BadInput for a folder in which Snakemake starts no job.
    """
    for path in (sys.executable, str(Path.cwd())):
        # Snakemake formats its commands with both
        if re.search(r"[{}\n\r]", path):
            raise BadInput(
                f"{path}: Snakemake starts no job in a folder with a brace or a line break in its path; rename it"
            )
    if sys.executable.startswith("'") or " -IS " in sys.executable:
        return
    sys.executable = shlex.quote(sys.executable)
    if name := os.environ.get(preloaded.SOCKET):
        sys.executable += f" -IS {shlex.quote(str(STAND_IN))} {name}"
