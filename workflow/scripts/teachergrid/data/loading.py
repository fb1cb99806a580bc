"""Load a set of instructions: read the rows of its source, drop duplicates, sample.

The prompts of a benchmark task are loaded by the same functions.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from glob import escape
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pyarrow as pa

from ..errors import BadInput
from ..hub import needs, pins, row_files
from ..hub.parquet_files import Columns
from ..store import artifacts
from . import files, notes
from .files import Notes
from .rows import columns_of, item_of

Rows: TypeAlias = Iterator[tuple[str, dict]]  # (place, for messages; the row)


class Loaded(NamedTuple):
    """The instructions of a source, before any is drawn."""

    items: list[dict]  # rows of artifacts.INSTRUCTIONS, each id once
    source: str  # path or name of the data set, for messages
    duplicates: int  # rows that were dropped, since an earlier one has the same messages
    other_answers: int  # those of them with another reference answer than the row that is kept
    notes: Notes


def load(path: str | None, entry: dict, name: str) -> pa.Table:
    """Return the instructions of a set as artifacts.INSTRUCTIONS, in the order of the source. Arguments and errors: `read`, `draw`."""
    return draw(read(path, entry, name), entry, name)


def read(path: str | None, entry: dict, name: str) -> Loaded:
    """Return all instructions of a source, in its order.

    Messages end with a user turn: with `turns: last` the last one, with `turns: first` the first, after the system message
    at most.
    Rows with the same messages are dropped after the first.

    Args:
        path: the file; None takes the hub data set that entry["source"] names.
        entry: the config's `instructions` with all defaults, or a task, which has fields but no sample.
        name: of the set; fills `source` where a row names none.
    Raises:
        BadInput: with row numbers, for a row that cannot be read, has no text, or repeats the id of another one.
    """
    source = path or entry["source"]
    rows = rows_of(path, entry, columns_of(entry["fields"]))
    found: Notes = Counter()
    items: dict[str, dict] = {}
    first_with: dict[str, tuple[int, str]] = {}
    duplicates = other_answers = 0
    for number, (place, row) in enumerate(rows, 1):
        item = item_of(row, entry, name, place, found)
        _refuse_doubled_id(row, item, number, first_with, source)
        first = items.setdefault(item["id"], item)
        duplicates += first is not item
        other_answers += first["answer"] != item["answer"]
    if not items:
        raise BadInput(f"{source}: no instructions; give a source with rows")
    return Loaded(list(items.values()), source, duplicates, other_answers, found)


def draw(
    loaded: Loaded, entry: dict, name: str, removed: Collection[str] = (), tasks: Collection[str] = ()
) -> pa.Table:
    """Return the sample that an entry asks for (all without `sample`), in the order of the source; the log has the counts.

    The sample are the rows with the smallest sha256 of "seed/id". So it depends on the rows and not on their order, and a
    smaller sample is a part of a larger one.

    Args:
        removed: ids that are left out before the draw, since one of the `tasks` holds them too.
    Raises:
        BadInput: when there are fewer instructions than the sample needs.
    """
    items = [item for item in loaded.items if item["id"] not in removed]
    drawn = _sampled(items, entry.get("sample"), entry.get("seed"), loaded.source)
    print(
        f"{name}: {len(drawn)} of {len(items)} instructions in {loaded.source}; {loaded.duplicates} exact duplicates dropped, "
        f"{loaded.other_answers} of them with another reference answer than the row that is kept"
        + (f"; {len(removed)} removed for {', '.join(sorted(tasks))}" if tasks else "")
    )
    notes.say(name, loaded.notes)
    return artifacts.table(drawn, artifacts.INSTRUCTIONS)


def load_tasks(tasks: dict[str, dict], paths: Sequence[str]) -> dict[str, pa.Table]:
    """Return the prompts of each task. tasks: {name: {"fields": ...}}; paths: their files in the order of the sorted names."""
    return {name: items_of(path, tasks[name], name) for name, path in zip(sorted(tasks), paths, strict=True)}


def items_of(path: str, entry: dict, name: str) -> pa.Table:
    """Return the items of a task's file. A table that `load` has written keeps its ids: they may depend on more than the messages."""
    if path.endswith(".parquet") and artifacts.holds(path, artifacts.INSTRUCTIONS):
        return artifacts.read(path, artifacts.INSTRUCTIONS)
    return load(path, entry, name)


def files_of(folder: str, file: str | None, split: str, where: str) -> list[str]:
    """Return the files of a data set in a folder, or the one that is asked for; none where they need the data set's library.

    Raises BadInput where the library finds no such split.
    """
    return [str(Path(folder, file))] if file else _files_of_split(folder, split, where) or []


def rows_of(path: str | None, entry: dict, columns: Columns | None = None) -> Rows:
    """Yield the rows of a source, each with its place for messages.

    Args:
        path: the file; None takes the hub data set that entry["source"] names, at entry["revision"].
        columns: that are needed; None: all.
    Raises:
        BadInput: for a file or data set that cannot be read.
    """
    return _from_file(path, columns=columns) if path else _from_hub(entry, columns)


def _from_file(path: str | Path, name: str | None = None, columns: Columns | None = None) -> Rows:
    """Yield the rows of a file. name: of the file in messages, by default its path."""
    for number, row in enumerate(row_files.read(path, columns), 1):
        yield f"{name or path}, row {number}", row


def _from_hub(entry: dict, columns: Columns | None = None) -> Rows:
    """Yield the rows of a hub data set, or of one file of it, at its commit; from the cache if `prefetch` put it there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()  # they fill a log
    repo, file = pins.data_set(entry["source"])
    where = f"hub:{repo}, revision {entry['revision']}, split {entry['split']}"
    if not pins.is_commit(entry["revision"]):
        raise BadInput(f"{where}: no commit is stated; {pins.REMEDY}")
    try:
        folder = snapshot_download(
            repo, repo_type="dataset", revision=entry["revision"], allow_patterns=file and escape(file)
        )
    except OSError as error:
        why = _why_not(error, needs.Need("dataset", repo, entry["revision"], file))
        raise BadInput(
            f"{where}: {why}. Without a network, run `teachergrid prefetch` where there is one, or save it as parquet and name "
            "that file as source"
        ) from error
    if file:
        yield from _from_file(Path(folder, file), entry["source"], columns)
        return
    files = _files_of_split(folder, entry["split"], where)
    for path in files or ():
        yield from _from_file(path, f"{where}, {Path(path).relative_to(folder)}", columns)
    if not files:
        yield from _streamed(folder, entry["split"], where)


def _why_not(error: OSError, need: needs.Need) -> str:
    """Return why a data set cannot be had. The library's words on what is not in the cache name no file."""
    from huggingface_hub import errors

    lack = needs.lacks(need) if isinstance(error, errors.LocalEntryNotFoundError) else None
    return lack.removesuffix(f"; {needs.REMEDY}") if lack else str(error).strip()


def _files_of_split(folder: str, split: str, where: str) -> list[str] | None:
    """Return the files of a data set's split where row_files can read them; None where the data set needs its library.

    The library gives all rows of a set the columns and types of the first ones, and refuses files that differ.
    """
    import datasets

    try:
        builder = datasets.load_dataset_builder(folder)
    except _hub_errors() as error:
        raise BadInput(f"{where}: {_one_line(error)}") from error
    config, kind = builder.config, type(builder).__module__.rpartition(".")[2]
    options = ("field", "columns", "filters", "features")
    if kind not in ("json", "parquet") or any(getattr(config, name, None) is not None for name in options):
        return None
    files = (config.data_files or {}).get(split)
    return list(files) if files and all(map(row_files.is_known, files)) else None


def _streamed(folder: str, split: str, where: str) -> Rows:
    """Yield the rows that the data set's library reads from the cached folder.

    They are streamed: `load_dataset` with the set's name asks the hub even for what is cached, and writes a second copy.
    """
    import datasets

    number = 0
    try:
        for number, row in enumerate(datasets.load_dataset(folder, split=split, streaming=True), 1):
            yield f"{where}, row {number}", row
    except _hub_errors() as error:
        after = f" after row {number}" if number else ""
        raise BadInput(
            f"{where}: {_one_line(error)}{after}. If its files differ, name one of them: hub:org/name/path/file"
        ) from error


def _hub_errors() -> tuple[type[Exception], ...]:
    """Return what the library of data sets raises about data that it cannot read."""
    import datasets
    import pyarrow as pa

    library = (datasets.exceptions.DatasetsError, datasets.exceptions.DatasetGenerationError)
    return (*library, pa.ArrowException, OSError, RuntimeError, ValueError, TypeError, KeyError)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _refuse_doubled_id(row: dict, item: dict, number: int, first_with: dict[str, tuple[int, str]], where: str) -> None:
    """Raise BadInput when an earlier row has the same id and other messages. first_with: {id: (row number, hash)}, added to."""
    stated_id = next((row[key] for key in ("id", "uuid") if not files.is_missing(row.get(key))), None)
    if stated_id is None:
        return
    first_number, content = first_with.setdefault(str(stated_id), (number, item["id"]))
    if content != item["id"]:
        raise BadInput(
            f"{where}: rows {first_number} and {number} have the same id {stated_id!r} and different messages; fix one of them"
        )


def _sampled(items: list[dict], size: int | None, seed: int | None, where: str) -> list[dict]:
    if size is None:
        return items
    if size > len(items):
        raise BadInput(
            f"{where}: a sample of {size} was asked for and there are {len(items)} instructions; lower `sample`"
        )

    def draw_order(item: dict) -> bytes:
        return hashlib.sha256(f"{seed}/{item['id']}".encode()).digest()

    drawn = {item["id"] for item in sorted(items, key=draw_order)[:size]}
    return [item for item in items if item["id"] in drawn]
