"""Snakemake's records (one per output: rule, params, inputs and their sha256) travel with the results.

Without a record Snakemake takes an output as up to date whatever it was made from. So .snakemake/metadata is a link into
results/.history, and an output that came without its record gets one from the origin it carries.
"""

import json
import os
from base64 import urlsafe_b64encode
from contextlib import suppress
from functools import cache
from pathlib import Path

from . import origin

FORMAT = 6  # RECORD_FORMAT_VERSION of Snakemake 9.27.1
OUTPUTS = {".parquet", ".json", ".html", ".yaml", ".passed"}
ASIDE = {"weights", "logs", "benchmarks"}


def record_path(history: Path, output: str) -> Path:
    """Return where Snakemake keeps the record of an output: base64 of its path, in folders of 254 letters."""
    name = urlsafe_b64encode(output.encode()).decode()
    parts = [name[i : i + 254] for i in range(0, len(name), 254)]
    return history.joinpath(*[f"@{part}" for part in parts[:-1]], parts[-1])


def follow(results: str) -> None:
    """Make Snakemake keep its records inside the results."""
    history, link = Path(results, ".history"), Path(".snakemake/metadata")
    history.mkdir(parents=True, exist_ok=True)
    Path(".snakemake/incomplete").mkdir(
        parents=True, exist_ok=True
    )  # else Snakemake takes it for an old folder and migrates
    if link.is_dir() and not link.is_symlink():
        raise RuntimeError(f"{link} holds records of results made elsewhere: move its files to {history} and remove it")
    if not link.is_symlink():
        with suppress(FileExistsError):  # another job of this run was first
            link.symlink_to(Path("..", history))


def adopt(results: str) -> list[str]:
    """Give every output without a whole record one from its own origin; one of unknown origin is made again."""
    history, digest, adopted = Path(results, ".history"), cache(origin.sha256), []
    # what lies in a linked folder of somebody else's needs a record, too
    for folder, folders, files in os.walk(results, followlinks=True):
        folders[:] = [f for f in folders if f not in ASIDE and not f.startswith(".")]
        # no output lies in the results' own folder: a run's summary and the live page do
        made = files if folder != results else ()
        for path in (os.path.join(folder, f) for f in made if os.path.splitext(f)[1] in OUTPUTS):
            # a link whose file is gone is no output
            if not whole(record := record_path(history, path)) and os.path.exists(path):
                record.parent.mkdir(parents=True, exist_ok=True)
                record.write_text(json.dumps(recall(path, digest)))
                adopted.append(path)
    return adopted


def whole(record: Path) -> bool:
    """Whether a record is there to its end. Snakemake takes one that a full disk cut off for none, so any change would pass."""
    try:
        with record.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() == b"}"
    except OSError:  # not there, or empty: nothing lies one byte before its end
        return False


def recall(path: str, digest) -> dict:
    """Return Snakemake's record of an output as its origin tells it."""
    try:
        known = origin.read(path)
    except (ValueError, OSError):  # cut off or damaged: whatever made it, it is no more
        known = None
    record = {
        "record_format_version": FORMAT,
        "incomplete": False,
        "params": ["'unknown origin'"],
        "input_checksums": {},
    }
    if known is None:
        return record
    inputs = known["inputs"]
    # an input that is not what this output was made from must not pass by being older
    stale = [name for name, sha in inputs.items() if os.path.exists(name) and digest(name) != sha]
    params = ["'made from another input'"] if stale else [repr(known["spec"])]
    return record | {"rule": known["rule"], "params": params, "input": sorted(inputs), "input_checksums": inputs}
