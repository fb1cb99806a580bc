"""The index of finished jobs: a line for each, with the fingerprint of its code and what it took.

It lies in `results/.jobs/`; that of probes, which make no outputs, in `results/.probes/`.
"""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from . import origin

INDEX, PROBES = ".jobs", ".probes"


def remember(
    results: str, rule: str, cell: str, made_with: str, took: dict[str, object] | None = None, index: str = INDEX
) -> None:
    """Add the line of a finished job to the index.

    Each machine writes to a file of its own, since a shared file system may mix up writes of two machines. A line is one write, so
    that jobs of one machine may write at the same time.

    Args:
        made_with: fingerprint of the rule's code.
        took: what the job took (job.usage); None where it resumed the work of a killed job.
        index: PROBES for a probe of a few rows.
    """
    measured = [] if took is None else [json.dumps(took, separators=(",", ":"))]
    line = " ".join([str(time.time_ns()), rule, cell, made_with, *measured])
    with os.fdopen(origin.opened(Path(results, index, socket.gethostname()), os.O_APPEND), "ab", buffering=0) as file:
        file.write(f"{line}\n".encode())


def index_lines(results: str, index: str = INDEX) -> Iterator[list[str]]:
    """Yield the fields of each line: time in ns, rule, cell, fingerprint, and as JSON what the job took, if known.

    A line that a dying machine cut off is left out, and so are those of a user whose file may not be read.
    """
    for path in sorted(Path(results, index).glob("*")):
        lines: list[str] = []
        with suppress(PermissionError):
            lines = path.read_text().splitlines()
        for line in lines:
            words = line.split(" ", 4)
            if len(words) == 4 or (len(words) == 5 and words[4].endswith("}")):
                yield words
