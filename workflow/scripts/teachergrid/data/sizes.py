"""What a plan knows of instructions before any job has loaded them: how many rows a source has, and how long its prompts are.

A file is read once: what was found is remembered in the user's cache until the file changes (store.contents).
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ..errors import BadInput
from ..hub import needs, pins, row_files
from ..spec import canonical
from ..store.contents import Contents, signature
from . import loading
from .rows import columns_of, item_of

UNKNOWN_ROWS = 100_000
LOOKED_AT = 1_000  # rows whose prompts are measured, the first of a source
# bytes of UTF-8 in a token: English has four to five letters in one, other scripts one or two of two to three bytes each; and the
# tokens that a chat template adds. A tokenizer would be exact and takes longer to load than the rest of a plan
BYTES, TEMPLATE = 4, 20


class Rows(NamedTuple):
    """How many rows a source has.

    is_counted: in its files. is_guess: nothing says it, and the number is UNKNOWN_ROWS. Neither: its card or the config says it.
    """

    number: int
    is_counted: bool = True
    is_guess: bool = False


def rows(entry: Mapping[str, Any]) -> Rows:
    """Return how many rows the source of a set of instructions has.

    entry: the config's, with `source`, and for the hub `revision`, `split` and `rows`. Raises BadInput for a file that cannot be read.
    A set that is made from others has at most the rows that its steps allow; how many are left is known when it is made.
    """
    source = entry["source"]
    if entry.get("made"):
        return Rows(entry["made"]["most"], False)
    if not source.startswith(pins.HUB):
        return Rows(count(source))
    repo, file = pins.data_set(source)
    folder = _snapshot(repo, entry.get("revision"))
    unseen = Rows(entry["rows"], False) if entry.get("rows") else Rows(UNKNOWN_ROWS, False, True)
    if folder is None:
        return unseen
    split = entry.get("split") or "train"
    with suppress(BadInput, OSError):  # the job that loads it says what is wrong
        names = _all_files(folder)
        counted = _remembered(folder, f"rows {file or split}", names, lambda: _counted(entry))
        if counted is not None:
            return Rows(counted)
        if not file and (stated := _stated(folder, split)) is not None:
            return Rows(stated, False)
    return unseen


def drawn(entry: Mapping[str, Any]) -> int:
    """Return how many instructions a set has at most: its sample, else the rows of its source. Arguments and errors: `rows`."""
    return entry["sample"] if entry.get("sample") is not None else rows(entry).number


def guessed(entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a sentence where a plan has to guess how many rows sets have. entries: {name of a set: its config entry}."""
    names = [name for name, entry in entries.items() if entry.get("sample") is None and rows(entry).is_guess]
    if not names:
        return []
    return [
        f"how many rows {', '.join(names)} {'have' if len(names) > 1 else 'has'} is a guess ({UNKNOWN_ROWS:,}), and so are the costs "
        "that follow from it: the data set is not in the cache. `teachergrid prefetch`, where there is a network, makes them exact"
    ]


def count(path: str) -> int:
    """Return how many rows a file has. Raises BadInput as row_files.count does."""
    return _remembered(path, "rows", [path], lambda: row_files.count(path))


def prompt_tokens(source: str, entry: Mapping[str, Any]) -> float | None:
    """Return the mean tokens of a prompt with its chat template, by the bytes of the first rows of a source.

    Args:
        source: a file, or a hub data set.
        entry: of the config, with `fields`; for the hub with `revision` and `split`.
    Returns:
        None where the files are not at hand, or none of these rows can be read.
    """
    with suppress(BadInput, OSError):
        files = _files(source, entry)
        how = canonical.dump(fields=entry["fields"], turns=entry.get("turns", "last"))
        return _remembered(source, f"prompts {how}", files, lambda: _mean(files, entry)) if files else None
    return None


def _mean(files: Iterable[str], entry: Mapping[str, Any]) -> float | None:
    sizes: list[int] = []
    columns = columns_of(entry["fields"])
    for row in islice((row for file in files for row in row_files.read(file, columns)), LOOKED_AT):
        with suppress(BadInput):  # the job that loads the set refuses such a row
            messages = item_of(row, dict(entry), "", "")["messages"]
            sizes.append(sum(len(message["content"].encode()) for message in messages))
    return round(sum(sizes) / len(sizes) / BYTES + TEMPLATE, 1) if sizes else None


def _remembered(folder: str | Path, name: str, files: list[str], value: Callable[[], Any]) -> Any:
    """Return a value that follows from the contents of files, from the cache where they are unchanged. None is not remembered."""
    try:
        signatures = [signature(os.stat(file)) for file in files]
    except OSError:
        return value()
    contents = Contents(folder)
    known = contents.remembered(name, signatures)
    if known is None:
        known = value()
        if known is not None and signatures:
            contents.remember(name, signatures, known)
            contents.save()
    return known


# --- the local cache of the hub


def _snapshot(repo: str, revision: str | None) -> Path | None:
    """Return the folder in which the hub's library keeps a data set at a revision; None where there is none."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE, f"datasets--{repo.replace('/', '--')}")
    name = revision or "main"
    with suppress(OSError):
        name = (folder / "refs" / name).read_text().strip()
    snapshot = folder / "snapshots" / name
    return snapshot if snapshot.is_dir() else None


def _all_files(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*") if path.is_file())


def _files(source: str, entry: Mapping[str, Any]) -> list[str]:
    """Return the files of a source where all of them are here and are read as files; else none."""
    if not source.startswith(pins.HUB):
        return [source] if os.path.isfile(source) else []
    repo, file = pins.data_set(source)
    folder = _snapshot(repo, entry.get("revision"))
    if folder is None or needs.lacks(needs.Need("dataset", repo, entry.get("revision"), file)):
        return []
    return loading.files_of(str(folder), file, entry.get("split") or "train", source)


def _counted(entry: Mapping[str, Any]) -> int | None:
    """Return the rows of a hub data set by its files; None where they are not all here."""
    files = _files(entry["source"], entry)
    return sum(map(row_files.count, files)) if files else None


def _stated(folder: Path, split: str) -> int | None:
    """Return the rows of a split as the data set's card says them; None where it does not."""
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError):
        head = (folder / "README.md").read_text().split("---")[1]
        return _of_split(_configs(yaml.safe_load(head)["dataset_info"]), split)
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        stated = json.loads((folder / "dataset_infos.json").read_text())
        return _of_split({name: list(info["splits"].values()) for name, info in stated.items()}, split)
    return None


def _configs(info: Any) -> dict[str, list[dict]]:
    """Return {name of a configuration: its splits} of a card's `dataset_info`."""
    infos = info if isinstance(info, list) else [info]
    return {one.get("config_name", "default"): one["splits"] for one in infos}


def _of_split(configs: dict[str, list[dict]], split: str) -> int | None:
    """Return the rows of a split in the only configuration, or the one that is called default."""
    splits = next(iter(configs.values())) if len(configs) == 1 else configs.get("default", [])
    return next((int(one["num_examples"]) for one in splits if one["name"] == split), None)
