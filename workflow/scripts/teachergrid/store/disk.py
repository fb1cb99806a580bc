"""Disk space: how much is free, what can be deleted, and the message when a disk is full."""

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

# pyarrow and Python raise OSError; safetensors and torch have errors of their own, of which torch's does not name the cause
FULL = re.compile(r"No space left on device|Disk quota exceeded|inline_container.*unexpected pos", re.DOTALL)
OLD_LOG_DAYS = 7


def free_bytes(path: str | Path) -> int:
    """Return the free bytes of the file system where this path is or will be. A quota is not considered."""
    path = Path(path).absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(file.lstat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if not file.is_dir())


# --- what can be deleted


def what_can_go(results: str = RESULTS) -> list[tuple[Path, int, str]]:
    """Return (path, bytes, why it is no longer needed) of what can be deleted, the largest first."""
    removable: list[tuple[Path, int, str]] = []
    for folder in Path(results, "students").glob("*/weights"):
        suites = sorted(path.stem for path in Path(results, "answers", folder.parent.name).glob("*.parquet"))
        if suites:
            removable.append((folder, size(folder), f"its answers to {', '.join(suites)} exist"))
    removable += [(path, size(path), "work on an output that is finished") for path in unfinished.leftovers(results)]
    replaced = Path(results, unfinished.REPLACED)
    removable += [(path, size(path), "replaced by a later run") for path in replaced.glob("*")]
    logs = Path(results, "logs/slurm")
    before = time.time() - OLD_LOG_DAYS * 86400
    readable = logs.rglob("*.log") if os.access(logs, os.R_OK | os.X_OK) else ()  # others' may not be
    if old_sizes := [path.stat().st_size for path in readable if path.stat().st_mtime < before]:
        removable.append((logs, sum(old_sizes), f"{len(old_sizes)} SLURM logs older than {OLD_LOG_DAYS} days"))
    return sorted(removable, key=lambda item: (-item[1], item[0]))


# --- when a disk is full


def full(error: BaseException | None, outputs: Sequence[str]) -> str | None:
    """Return the message to the user where a full disk or quota caused an error; None for any other error.

    Deletes half-written files of the outputs: they are useless, and the log needs space for this message.

    Args:
        error: with the errors that caused it.
        outputs: paths of the job's outputs.
    """
    chain = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    symptom = next((match[0] for e in chain if (match := FULL.search(str(e)))), None)
    if symptom is None:
        return None
    partial_files = [path for output in outputs if (path := Path(f"{output}.part")).exists()]
    written = sum(map(size, partial_files))
    # libraries rarely name the path: a full file system can be recognised by its free space, a quota cannot
    quota = "quota" in symptom
    places = [outputs[0]] if quota else [outputs[0], tempfile.gettempdir(), os.environ.get("HF_HOME", Path.home())]
    named = filter(None, (getattr(e, "filename", None) for e in chain))
    place = next(named, min(places, key=free_bytes))
    room = free_bytes(place)
    for path in partial_files:
        path.unlink()
    return (
        f"disk full: {'Disk quota exceeded' if quota else 'No space left on device'} at {place} ({units.size(room)} free)"
        f"{f', {units.size(written)} of {outputs[0]} were written' if written else ''}; {_advice(Path(outputs[0]).parts[0])}"
    )


def _advice(results: str) -> str:
    """Return in words which of the results can be deleted."""
    can_go = what_can_go(results)
    if not can_go:
        return "nothing of these results can be deleted: free space elsewhere, then run again"
    largest = "; ".join(f"{path} ({units.size(n)}, {why})" for path, n, why in can_go[:3])
    total = units.size(sum(n for _, n, _ in can_go))
    return f"{total} can be deleted, the largest: {largest}. Delete some, then run again"


@contextmanager
def spared() -> Iterator[None]:
    """Ignore errors of a write for which the disk has no space, in a `with` statement."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def filled(folder: str | Path) -> bool:
    """Whether the file system of an existing folder is full: no space even for a log of a few lines."""
    return os.path.exists(folder) and shutil.disk_usage(folder).free < 65_536
