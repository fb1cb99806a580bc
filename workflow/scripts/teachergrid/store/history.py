"""Snakemake's records (one per output: rule, params, inputs and their sha256) travel with the results.

Without a record Snakemake takes an output as up to date whatever it was made from. So .snakemake/metadata is a link into
results/.history, and an output that came without its record gets one from the origin it carries.

A dead run leaves locks behind, and outputs of jobs that ended when nobody watched any more. Every output is written under
a temporary name and renamed, so one that exists is complete, whatever Snakemake's marks say. The dead run's records of such
outputs are not needed: `adopt` writes new ones.
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
ASIDE = {"weights", "logs", "benchmarks"}
RECORDS = ".history"  # below the results
MARKS = Path(".snakemake/incomplete")
LOCKS = Path(".snakemake/locks")


def begin(is_main_process: bool) -> None:
    """Prepare the results for a workflow that is read: where records go, and in the main process what has none yet."""
    follow(RESULTS)
    if is_main_process:
        lock.warn_of_another(RESULTS)
        adopt(RESULTS)


def end() -> None:
    """Remove the unfinished work on finished outputs and give the lock back, when Snakemake ends."""
    unfinished.clear(RESULTS)
    lock.release(RESULTS)


# --- records


def record_path(history: Path, output: str) -> Path:
    """Return where Snakemake keeps the record of an output: base64 of its path, in folders of 254 letters."""
    name = urlsafe_b64encode(output.encode()).decode()
    parts = [name[i : i + 254] for i in range(0, len(name), 254)]
    return history.joinpath(*[f"@{part}" for part in parts[:-1]], parts[-1])


def follow(results: str) -> None:
    """Make Snakemake keep its records inside the results."""
    history, link = Path(results, RECORDS), Path(".snakemake/metadata")
    history.mkdir(parents=True, exist_ok=True)
    # else Snakemake takes it for an old folder and migrates
    MARKS.mkdir(parents=True, exist_ok=True)
    if link.is_dir() and not link.is_symlink():
        raise RuntimeError(f"{link} holds records of results made elsewhere: move its files to {history} and remove it")
    if not link.is_symlink():
        with suppress(FileExistsError):  # another job of this run was first
            link.symlink_to(Path("..", history))


def adopt(results: str) -> list[str]:
    """Give every output without a complete record one from its own origin; one of unknown origin is made again."""
    history, digest = Path(results, RECORDS), cache(origin.sha256)
    adopted = []
    # what lies in a linked folder of somebody else's needs a record, too
    for folder, folders, files in os.walk(results, followlinks=True):
        folders[:] = [f for f in folders if f not in ASIDE and not f.startswith(".")]
        # no output lies in the results' own folder: a run's summary and the live page do
        outputs = [f for f in files if os.path.splitext(f)[1] in OUTPUTS] if folder != results else []
        for path in (os.path.join(folder, f) for f in outputs):
            record = record_path(history, path)
            # a link whose file is gone is no output
            if not is_complete(record) and os.path.exists(path):
                record.parent.mkdir(parents=True, exist_ok=True)
                record.write_text(json.dumps(recall(path, digest)))
                adopted.append(path)
    return adopted


def is_complete(record: Path) -> bool:
    """Whether a record is there to its end. Snakemake takes one that a full disk cut off for none, so any change would pass."""
    try:
        with record.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() == b"}"
    except OSError:  # not there, or empty: nothing lies one byte before its end
        return False


def recall(path: str, digest: Callable[[str], str]) -> dict:
    """Return Snakemake's record of an output as its origin tells it. digest: returns the sha256 of a file."""
    try:
        made_from = origin.read(path)
    except (ValueError, OSError):  # cut off or damaged: what made it does not matter any more
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
    # an input that is not what this output was made from must not pass by being older
    stale = [name for name, sha in inputs.items() if os.path.exists(name) and digest(name) != sha]
    params = ["'made from another input'"] if stale else [repr(made_from["spec"])]
    return record | {"rule": made_from["rule"], "params": params, "input": sorted(inputs), "input_checksums": inputs}


# --- what a dead run leaves behind


def free_locks() -> None:
    """Remove Snakemake's own locks. Only for who holds the lock of the results: then no other run lives."""
    shutil.rmtree(LOCKS, ignore_errors=True)


def recover_outputs(results: str) -> list[str]:
    """Forget that outputs which exist were begun, and records of an older content. Return these outputs."""
    recovered = {output for mark in _files(MARKS) if (output := _unmark(mark))}
    records = Path(results, RECORDS)
    for record in _files(records):
        output = _output(record, records)
        # Snakemake writes the record after the output: an older one is of what was there before
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
    """Return the output that a file stands for; the inverse of record_path."""
    name = "".join(part.removeprefix("@") for part in record.relative_to(folder).parts)
    return urlsafe_b64decode(name).decode()
