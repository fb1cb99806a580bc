"""What a dead run leaves behind: its locks, and outputs of jobs that ended when nobody listened any more.

Every output is written aside and renamed, so one that exists is whole, whatever Snakemake's marks say. It needs no record
of the dead run either: history.adopt gives it one from the origin that it carries.
"""

import os
import shutil
from base64 import urlsafe_b64decode
from pathlib import Path

MARKS = Path(".snakemake/incomplete")
LOCKS = Path(".snakemake/locks")


def free_locks() -> None:
    """Remove Snakemake's own locks. Only for who holds the lock of the results: then no other run lives."""
    shutil.rmtree(LOCKS, ignore_errors=True)


def keep_finished(results: str) -> list[str]:
    """Forget that outputs which exist were begun, and records of an older content. Return these outputs."""
    kept = {output for mark in _files(MARKS) if (output := _unmark(mark))}
    records = Path(results, ".history")
    for record in _files(records):
        output = _output(record, records)
        # Snakemake writes the record after the output: an older one is of what was there before
        if os.path.exists(output) and (output in kept or os.path.getmtime(output) > record.stat().st_mtime):
            record.unlink()
            kept.add(output)
    return sorted(kept)


def _unmark(mark: Path) -> str | None:
    output = _output(mark, MARKS)
    if not os.path.exists(output):
        return None
    mark.unlink()
    return output


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _output(record: Path, folder: Path) -> str:
    """Return the output that a file stands for; the inverse of history.record_path."""
    name = "".join(part.removeprefix("@") for part in record.relative_to(folder).parts)
    return urlsafe_b64decode(name).decode()
