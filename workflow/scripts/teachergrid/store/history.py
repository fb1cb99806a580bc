"""Keep Snakemake's records (one per output: rule, params, inputs and their sha256) inside the results.

An output without a record counts for Snakemake as up to date, whatever it was made from. So .snakemake/metadata is a link to
results/.history, and an output that was copied here without its record gets one from the origin that it carries.

A dead run leaves locks behind, and outputs of jobs whose end no process noticed. Every output is written under a temporary name
and then renamed, so an output that exists is complete even if Snakemake has marked it as incomplete. Its outdated record is
removed, and `adopt` writes a new one.
"""

import json
import os
import shutil
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from . import lock, origin, unfinished
from .results import RESULTS

FORMAT = 6  # RECORD_FORMAT_VERSION of Snakemake 9.27.1
OUTPUTS = {".parquet", ".json", ".html", ".yaml", ".passed"}
NOT_OUTPUTS = {"weights", "logs", "benchmarks"}
RECORDS = ".history"  # below the results
MARKS = Path(".snakemake/incomplete")
LOCKS = Path(".snakemake/locks")


def begin(is_main_process: bool) -> None:
    """Prepare the results when the Snakefile is read: link the records, and in the main process adopt outputs without one."""
    follow(RESULTS)
    if is_main_process:
        lock.warn_of_another(RESULTS)
        adopt(RESULTS)


def end() -> None:
    """Clean up when Snakemake ends: remove unfinished work on finished outputs, and release the lock."""
    unfinished.clear(RESULTS)
    lock.release(RESULTS)


# --- records


def record_path(history: Path, output: str) -> Path:
    """Return the path of Snakemake's record of an output: base64 of the output's path, in folders of 254 letters."""
    name = urlsafe_b64encode(output.encode()).decode()
    parts = [name[i : i + 254] for i in range(0, len(name), 254)]
    return history.joinpath(*[f"@{part}" for part in parts[:-1]], parts[-1])


def follow(results: str) -> None:
    """Link Snakemake's folder of records to the results.

    Raises RuntimeError where Snakemake has a folder with records of its own there.
    """
    history, link = Path(results, RECORDS), Path(".snakemake/metadata")
    history.mkdir(parents=True, exist_ok=True)
    # without this folder Snakemake assumes an old version and migrates
    MARKS.mkdir(parents=True, exist_ok=True)
    if link.is_dir() and not link.is_symlink():
        raise RuntimeError(f"{link} holds records of results made elsewhere: move its files to {history} and remove it")
    if not link.is_symlink():
        with suppress(FileExistsError):  # another job of this run was first
            link.symlink_to(Path("..", history))


def adopt(results: str) -> list[str]:
    """Write a record, from its origin, for each output without a complete one. Return these outputs.

    The record of an output without a readable origin lets Snakemake make it again.
    """
    history, digest = Path(results, RECORDS), cache(origin.sha256)
    adopted = []
    # linked folders of other users hold outputs, too
    for folder, folders, files in os.walk(results, followlinks=True):
        folders[:] = [f for f in folders if f not in NOT_OUTPUTS and not f.startswith(".")]
        # files directly in the results folder, such as run.json, are not outputs of jobs
        outputs = [f for f in files if os.path.splitext(f)[1] in OUTPUTS] if folder != results else []
        for path in (os.path.join(folder, f) for f in outputs):
            record = record_path(history, path)
            # a link may point to a file that is gone
            if not is_complete(record) and os.path.exists(path):
                record.parent.mkdir(parents=True, exist_ok=True)
                record.write_text(json.dumps(recall(path, digest)))
                adopted.append(path)
    return adopted


def is_complete(record: Path) -> bool:
    """Whether a record exists and is complete.

    Snakemake treats a record that a full disk has cut off as missing, and then no change would make the output again.
    """
    try:
        with record.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() == b"}"
    except OSError:  # it does not exist or is empty, so that seeking before its end fails
        return False


def recall(path: str, digest: Callable[[str], str]) -> dict:
    """Return Snakemake's record of an output, built from the output's origin. digest: returns the sha256 of a file."""
    try:
        made_from = origin.read(path)
    except (ValueError, OSError):  # a damaged file is made again in any case
        made_from = None
    record = {
        "record_format_version": FORMAT,
        "incomplete": False,
        "params": ["'unknown origin'"],
        "input_checksums": {},
    }
    if made_from is None:
        return record
    inputs = made_from["inputs"]
    # Snakemake compares times first: an input that has changed but is older than the output would go unnoticed
    stale = [name for name, sha in inputs.items() if os.path.exists(name) and digest(name) != sha]
    params = ["'made from another input'"] if stale else [repr(made_from["spec"])]
    return record | {"rule": made_from["rule"], "params": params, "input": sorted(inputs), "input_checksums": inputs}


# --- what a dead run leaves behind


def free_locks() -> None:
    """Remove Snakemake's own locks. Call it only while holding the lock of the results: then no other run is alive."""
    shutil.rmtree(LOCKS, ignore_errors=True)


def recover_outputs(results: str) -> list[str]:
    """Remove the incomplete marks of existing outputs and records that are older than the output. Return these outputs."""
    recovered = {output for mark in _files(MARKS) if (output := _unmark(mark))}
    records = Path(results, RECORDS)
    for record in _files(records):
        output = _output(record, records)
        # Snakemake writes the record after the output, so an older record is about an earlier version of the output
        if os.path.exists(output) and (output in recovered or os.path.getmtime(output) > record.stat().st_mtime):
            record.unlink()
            recovered.add(output)
    return sorted(recovered)


def _unmark(mark: Path) -> str | None:
    output = _output(mark, MARKS)
    if not os.path.exists(output):
        return None
    mark.unlink()
    return output


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _output(record: Path, folder: Path) -> str:
    """Return the output that a record or mark is about; the inverse of record_path."""
    name = "".join(part.removeprefix("@") for part in record.relative_to(folder).parts)
    return urlsafe_b64decode(name).decode()
