"""The index of finished jobs: with which code each made its outputs, and what it took, one line a job.

It lies in `results/.jobs/` (of probes, which make no output, in `results/.probes/`).
"""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

INDEX, PROBES = ".jobs", ".probes"


def remember(
    results: str, rule: str, cell: str, made_with: str, took: dict[str, object] | None = None, index: str = INDEX
) -> None:
    """Add the line of a finished job to the index.

    Each machine has a file of its own, and a line is one write: jobs of one machine may write at the same time, and a shared
    file system need not keep the writes of two machines apart.

    Args:
        made_with: fingerprint of the rule's code.
        took: what the job took (planning.actuals); None where a killed job had done a part of the work before.
        index: PROBES for a probe of a few rows.
    """
    folder = Path(results, index)
    folder.mkdir(parents=True, exist_ok=True)
    measured = [] if took is None else [json.dumps(took, separators=(",", ":"))]
    line = " ".join([str(time.time_ns()), rule, cell, made_with, *measured])
    with open(folder / socket.gethostname(), "a") as file:
        file.write(f"{line}\n")


def index_lines(results: str, index: str = INDEX) -> Iterator[list[str]]:
    """Yield the words of each line: time in ns, rule, cell, fingerprint, and what the job took as JSON, where it is known.

    A line that a dying machine cut off is left out.
    """
    for path in sorted(Path(results, index).glob("*")):
        for line in path.read_text().splitlines():
            words = line.split(" ", 4)
            if len(words) == 4 or (len(words) == 5 and words[4].endswith("}")):
                yield words
