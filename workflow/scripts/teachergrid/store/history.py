"""Snakemake's records, kept inside the results: a file per output, with the rule, params and inputs that made it.

An output without a record counts for Snakemake as up to date, whatever it was made from. So .snakemake/metadata is a link to
results/.history, and the records move with the results. store.recall says what each record should be.

A dead run leaves locks behind, and outputs of jobs whose end no process noticed. Every output is written under a temporary name
and then renamed, so an output that exists is complete even if Snakemake has marked it as incomplete.
"""

import json
import os
import shutil
import stat
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

FORMAT = 6  # RECORD_FORMAT_VERSION of Snakemake 9.27.1
RECORDS = ".history"  # below the results
LOCKS = Path(".snakemake/locks")
MARKS = Path(".snakemake/incomplete")
Record = dict[str, Any]
_looks = False


@contextmanager
def looking() -> Iterator[None]:
    """Let this process write nothing into the results: for commands that only read results, perhaps of somebody else."""
    global _looks
    before, _looks = _looks, True
    try:
        yield
    finally:
        _looks = before


def is_looking() -> bool:
    """Whether this process only looks."""
    return _looks


def record_path(folder: Path, output: str) -> Path:
    """Return the path of the record of an output: base64 of the output's path, in folders of 254 letters."""
    name = urlsafe_b64encode(output.encode()).decode()
    parts = [name[i : i + 254] for i in range(0, len(name), 254)]
    return folder.joinpath(*[f"@{part}" for part in parts[:-1]], parts[-1])


def output_of(record: Path, folder: Path) -> str | None:
    """Return the output that a record or mark is about (the inverse of record_path); None for a file that is no record."""
    name = "".join(part.removeprefix("@") for part in record.relative_to(folder).parts)
    with suppress(ValueError):  # also of letters that are no base64, and of bytes that are no text
        return urlsafe_b64decode(name).decode()
    return None


def read(results: str, output: str) -> Record | None:
    """Return the record of an output; None where there is none, it cannot be read, or it is damaged.

    Snakemake treats a record that a full disk has cut off as missing, and then no change would make the output again.
    """
    path = record_path(Path(results, RECORDS), output)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        record = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return record if _is_sound(record) else None


def _is_sound(record: Any) -> bool:
    """Whether a record has the keys that decide reruns, with values of the right types."""
    if not isinstance(record, dict) or record.get("record_format_version") != FORMAT:
        return False
    params, sums = record.get("params"), record.get("input_checksums")
    return (
        isinstance(params, list)
        and all(isinstance(param, str) for param in params)
        and isinstance(sums, dict)
        and all(isinstance(value, str) for value in sums.values())
        and isinstance(record.get("input") or [], list)
    )


def write(results: str, output: str, record: Record) -> None:
    """Write the record of an output, whatever lies in its place."""
    path = record_path(Path(results, RECORDS), output)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name[:200]}.part{os.getpid()}")
    part.write_text(json.dumps(record))
    os.replace(part, path)


def files(folder: Path) -> Iterator[Path]:
    """Yield all files in a folder of records or marks."""
    return (path for path in folder.rglob("*") if path.is_file())


def follow(results: str) -> None:
    """Link Snakemake's folder of records to the results.

    Raises RuntimeError where Snakemake has a folder with records of its own there.
    """
    folder, metadata = Path(results, RECORDS), Path(".snakemake/metadata")
    folder.mkdir(parents=True, exist_ok=True)
    # without this folder Snakemake assumes an old version and migrates
    MARKS.mkdir(parents=True, exist_ok=True)
    if metadata.is_dir() and not metadata.is_symlink():
        raise RuntimeError(
            f"{metadata} holds records of results made elsewhere: move its files to {folder} and remove it"
        )
    if not metadata.is_symlink():
        with suppress(FileExistsError):  # another job of this run was first
            metadata.symlink_to(Path("..", folder))


# --- what a dead run leaves behind


def free_locks() -> None:
    """Remove Snakemake's own locks. Call it only while holding the lock of the results: then no other run is alive."""
    shutil.rmtree(LOCKS, ignore_errors=True)


def recover_outputs() -> list[str]:
    """Remove the incomplete marks of existing outputs, and return these outputs. Their records are corrected at the next start (store.recall)."""
    recovered = []
    for mark in list(files(MARKS)):
        output = output_of(mark, MARKS)
        if output is not None and Path(output).exists():
            mark.unlink()
            recovered.append(output)
    return sorted(recovered)
