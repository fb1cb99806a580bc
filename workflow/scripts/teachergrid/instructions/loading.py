"""Load a set of instructions: find the columns, turn rows into chat messages with a stable id, drop duplicates, sample.

Text is kept as it is, only white space around it is removed: no Unicode normalisation, since every character may be part of a
benchmark or of code. The prompts of a benchmark task are loaded by the same functions.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from glob import escape
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from ..errors import BadInput
from ..hub import pins
from ..store import artifacts
from . import files

USUAL = ("messages", "conversations", "instruction", "prompt", "question")
_ROLES = {"human": "user", "gpt": "assistant"}  # ShareGPT's words
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")  # JSON can hold it, UTF-8 cannot


class Loaded(NamedTuple):
    """The instructions of a source, before any is drawn."""

    items: list[dict]  # rows of artifacts.INSTRUCTIONS, each id once
    source: str  # path or name of the data set, for messages
    duplicates: int  # rows that were dropped, since an earlier one has the same messages
    other_answers: int  # those of them with another reference answer than the row that is kept


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
    rows = files.read_rows(path) if path else _from_hub(entry)
    items: dict[str, dict] = {}
    first_with: dict[str, tuple[int, str]] = {}
    duplicates = other_answers = 0
    for number, row in enumerate(rows, 1):
        item = item_of(row, entry, name, f"{source}, row {number}")
        _refuse_doubled_id(row, item, number, first_with, source)
        first = items.setdefault(item["id"], item)
        duplicates += first is not item
        other_answers += first["answer"] != item["answer"]
    if not items:
        raise BadInput(f"{source}: no instructions; give a source with rows")
    return Loaded(list(items.values()), source, duplicates, other_answers)


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
    return artifacts.table(drawn, artifacts.INSTRUCTIONS)


def load_tasks(tasks: dict[str, dict], paths: Sequence[str]) -> dict[str, pa.Table]:
    """Return the prompts of each task. tasks: {name: {"fields": ...}}; paths: their files in the order of the sorted names."""
    return {name: load(path, tasks[name], name) for name, path in zip(sorted(tasks), paths, strict=True)}


def _from_hub(entry: dict) -> Iterable[dict]:
    """Yield the rows of a hub data set, or of one file of it, at its commit; from the cache if `prefetch` put it there.

    The rows are streamed from the cached folder: `load_dataset` with the set's name asks the hub even for what is cached, and
    writes a second copy of the data.
    """
    from huggingface_hub import snapshot_download

    repo, file = pins.data_set(entry["source"])
    where = f"hub:{repo}, revision {entry['revision']}, split {entry['split']}"
    if not pins.is_commit(entry["revision"]):
        raise BadInput(f"{where}: no commit is stated; {pins.REMEDY}")
    try:
        folder = snapshot_download(
            repo, repo_type="dataset", revision=entry["revision"], allow_patterns=file and escape(file)
        )
    except OSError as error:
        raise BadInput(
            f"{where}: {str(error).strip()}. Without a network, run `teachergrid prefetch` where there is one, or save it "
            "as parquet and name that file as source"
        ) from error
    if file:
        yield from files.read_rows(Path(folder, file))
        return
    import datasets

    try:
        yield from datasets.load_dataset(folder, split=entry["split"], streaming=True)
    except (FileNotFoundError, RuntimeError, ValueError) as error:
        raise BadInput(f"{where}: {error}") from error


def item_of(row: dict, entry: dict, name: str, where: str) -> dict:
    """Return a source's row as one of artifacts.INSTRUCTIONS. where: the row's place, for messages."""
    fields = entry["fields"]
    messages = _cut(_messages(row, fields, where), entry.get("turns", "last"), where)
    return {
        "id": files.message_id(messages),
        "messages": messages,
        "answer": _text_of(row, fields.get("answer"), "answer", where),
        "category": _text_of(row, fields.get("category"), "category", where),
        "source": _text_of(row, None, "source", where) or name,
        "round": 0,
    }


def _messages(row: dict, fields: dict, where: str) -> list[dict]:
    """Return the row's chat messages from the columns that `fields` names, else from the first usual one that holds any."""
    stated = fields.get("messages") or fields.get("instruction")
    for column in [stated] if stated else USUAL:
        value = row.get(column)
        if isinstance(value, str) and value.strip():
            extra = _input(row, fields, column, where)
            return [_turn({"role": "user", "content": f"{value.strip()}\n\n{extra}" if extra else value}, where)]
        if isinstance(value, list) and value:
            return [_turn(turn, f"{where}, column '{column}'") for turn in value]
    searched = f"'{stated}'" if stated else " or ".join(f"'{column}'" for column in USUAL)
    raise BadInput(
        f"{where}: no text in {searched}; the row has the columns {', '.join(map(repr, row))}. "
        "Name the right one under `fields`, or remove the row"
    )


def _input(row: dict, fields: dict, column: str, where: str) -> str:
    """Return the text that belongs to an instruction: the stated column, or Alpaca's `input` where no columns are stated."""
    usual = "input" if column == "instruction" and not fields.get("instruction") else None
    return (_text_of(row, fields.get("input"), usual, where) or "").strip()


def _turn(turn: object, where: str) -> dict:
    """Return a message as {role, content} from that form or from ShareGPT's {from, value}."""
    if not isinstance(turn, dict) or not ({"role", "content"} <= turn.keys() or {"from", "value"} <= turn.keys()):
        raise BadInput(f"{where}: {str(turn)[:80]!r} is no message; write {{role, content}} or {{from, value}}")
    role, content = (turn["role"], turn["content"]) if "role" in turn else (turn["from"], turn["value"])
    role = _ROLES.get(role, role)
    if role not in ("system", "user", "assistant") or not isinstance(content, str):
        raise BadInput(
            f"{where}: a turn of '{role}' with {type(content).__name__} content; turns are text of system, user (human) "
            "or assistant (gpt)"
        )
    return {"role": role, "content": valid(content, where).strip()}


def valid(text: str, where: str) -> str:
    """Return the text. Raises BadInput when it cannot be written as UTF-8."""
    if _HALF_A_PAIR.search(text):
        raise BadInput(f"{where}: half a surrogate pair in {text[:60]!r}; fix the \\ud... escapes of this row")
    return text


def _cut(messages: list[dict], turns: str, where: str) -> list[dict]:
    """Return the messages up to the user turn that is answered; system messages without text are left out."""
    user_turns = [index for index, message in enumerate(messages) if message["role"] == "user"]
    if not user_turns:
        raise BadInput(f"{where}: no user turn in {[message['role'] for message in messages]}; remove the row")
    last = user_turns[0] if turns == "first" else user_turns[-1]
    if not messages[last]["content"]:
        raise BadInput(f"{where}: user turn {last + 1} has no text; remove the row")
    before = [message for message in messages[:last] if message["content"] or message["role"] != "system"]
    if turns == "first":
        before = [message for message in before if message["role"] == "system"]
    return [*before, messages[last]]


def _text_of(row: dict, stated: str | None, usual: str | None, where: str) -> str | None:
    """Return a text or number of a column as text; None for null, and for a usual column that is not there or holds more."""
    if stated and stated not in row:
        raise BadInput(f"{where}: no column '{stated}', which `fields` names; there are {', '.join(map(repr, row))}")
    value = row.get(stated or usual)
    if isinstance(value, str | int | float):
        return valid(str(value), where)
    if stated and value is not None:
        raise BadInput(
            f"{where}: column '{stated}' holds {type(value).__name__}, not text; name another one under `fields`"
        )
    return None


def _refuse_doubled_id(row: dict, item: dict, number: int, first_with: dict[str, tuple[int, str]], where: str) -> None:
    """Raise BadInput when an earlier row has the same id and other messages. first_with: {id: (row number, hash)}, added to."""
    stated_id = next((row[key] for key in ("id", "uuid") if row.get(key) is not None), None)
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
