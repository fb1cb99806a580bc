"""The Python that Snakemake writes into the shell commands of jobs."""

import re
import shlex
import sys
from pathlib import Path

from ..errors import BadInput


def quote() -> None:
    """Quote `sys.executable` for a shell, where a folder such as `my project` makes that necessary.

    Snakemake puts it into shell commands as it is. Only a process that runs Snakemake's jobs may call this: a program that is
    started without a shell needs the path itself. Raises BadInput for a folder in which Snakemake starts no job.
    """
    for path in (sys.executable, str(Path.cwd())):
        # Snakemake formats its commands with both
        if re.search(r"[{}\n\r]", path):
            raise BadInput(
                f"{path}: Snakemake starts no job in a folder with a brace or a line break in its path; rename it"
            )
    if not sys.executable.startswith("'"):
        sys.executable = shlex.quote(sys.executable)
