"""Space on disk: how much is free, what can be deleted, and what to say when it is full."""

import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .. import units
from . import unfinished
from .results import RESULTS

# pyarrow and Python raise OSError, safetensors and torch errors of their own; torch names no cause
FULL = re.compile(r"No space left on device|Disk quota exceeded|inline_container.*unexpected pos", re.DOTALL)
OLD_LOG_DAYS = 7


def free_bytes(path: str | Path) -> int:
    """Return how many bytes a user may still write where this path lies, or will lie. A quota does not show."""
    path = Path(path).absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(file.lstat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if not file.is_dir())


# --- what can go


def what_can_go(results: str = RESULTS) -> list[tuple[Path, int, str]]:
    """Return (path, bytes, why it is no longer needed), the largest first."""
    found: list[tuple[Path, int, str]] = []
    for folder in Path(results, "students").glob("*/weights"):
        suites = sorted(path.stem for path in Path(results, "answers", folder.parent.name).glob("*.parquet"))
        if suites:
            found.append((folder, size(folder), f"its answers to {', '.join(suites)} exist"))
    found += [(path, size(path), "work on an output that is finished") for path in unfinished.leftovers(results)]
    logs = Path(results, "logs/slurm")
    before = time.time() - OLD_LOG_DAYS * 86400
    if old := [path.stat().st_size for path in logs.rglob("*.log") if path.stat().st_mtime < before]:
        found.append((logs, sum(old), f"{len(old)} SLURM logs older than {OLD_LOG_DAYS} days"))
    return sorted(found, key=lambda item: (-item[1], item[0]))


# --- when a disk is full


def full(error: BaseException | None, outputs: Sequence[str]) -> str | None:
    """Return what to tell the user when a full disk or quota has caused an error, else None.

    Deletes the half-written files of the outputs: they are of no use, and the log needs room for this very message.
    """
    chain = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    words = next((match[0] for e in chain if (match := FULL.search(str(e)))), None)
    if words is None:
        return None
    halves = [path for output in outputs if (path := Path(f"{output}.part")).exists()]
    written = sum(map(size, halves))
    # libraries rarely tell where they wrote; a full disk shows, a quota does not
    quota = "quota" in words
    places = [outputs[0]] if quota else [outputs[0], tempfile.gettempdir(), os.environ.get("HF_HOME", Path.home())]
    named = filter(None, (getattr(e, "filename", None) for e in chain))
    place = next(named, min(places, key=free_bytes))
    room = free_bytes(place)
    for path in halves:
        path.unlink()
    return (
        f"disk full: {'Disk quota exceeded' if quota else 'No space left on device'} at {place} ({units.size(room)} free)"
        f"{f', {units.size(written)} of {outputs[0]} were written' if written else ''}; {_advice(Path(outputs[0]).parts[0])}"
    )


def _advice(results: str) -> str:
    """Return what can be deleted of the results."""
    can_go = what_can_go(results)
    if not can_go:
        return "nothing of these results can go: make room, then run again"
    largest = "; ".join(f"{path} ({units.size(n)}, {why})" for path, n, why in can_go[:3])
    total = units.size(sum(n for _, n, _ in can_go))
    return f"{total} can go, the largest: {largest}. Delete some, then run again"


@contextmanager
def spared() -> Iterator[None]:
    """Skip a write for which there is no space, in a `with` statement."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def filled(folder: str | Path) -> bool:
    """Whether a folder exists and has no space for a log of a few lines."""
    return os.path.exists(folder) and shutil.disk_usage(folder).free < 65_536
