"""Load a set of instructions: find the columns, bring rows to chat messages with a stable id, drop doubles, sample.

Text is kept as it is but for white space around it: no Unicode normalisation, since inner characters are part of a benchmark
or of code. The prompts of a benchmark task come through the same function.
"""

import hashlib
import re
from collections.abc import Iterable
from glob import escape
from pathlib import Path

import pyarrow as pa

from . import artifacts, contamination, files, pins
from .errors import BadInput

USUAL = ("messages", "conversations", "instruction", "prompt", "question")
_ROLES = {"human": "user", "gpt": "assistant"}  # ShareGPT's words
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")  # JSON can hold it, UTF-8 cannot


def load(path: str | None, entry: dict, name: str) -> pa.Table:
    """Return the instructions of a set as artifacts.INSTRUCTIONS, in the order of the source.

    path: the file; None takes the hub data set that entry["source"] names. entry: the config's `instructions` with all
    defaults, or a task, which has fields but no draw. name: of the set; stands in `source` where rows name none.
    Messages end with a user turn: the last one (turns: last), or the first, alone but for the system message (turns: first).
    Rows with the same messages are dropped after the first, and counted in the log. The draw takes the rows with the
    smallest sha256 of "seed/id", so it hangs on what the rows are and not on their order.
    Raises BadInput, with row numbers, for what cannot be read, has no text, doubles an id, or is too small for the sample.
    """
    return load_without({}, path, entry, name)[0]


def load_without(tasks: dict, path: str | None, entry: dict, name: str) -> tuple[pa.Table, list[dict]]:
    """Return the same without what the prompts of these tasks also hold, and what was removed (rows of contamination.find).

    tasks: {name: table of artifacts.INSTRUCTIONS}. They are removed before the draw, so that a sample is as large as asked
    for, and a smaller one still a part of a larger one.
    """
    where = path or entry["source"]
    rows = files.read_rows(path) if path else _from_hub(entry)
    found, first_with, dropped, other_answer = {}, {}, 0, 0
    for number, row in enumerate(rows, 1):
        item = item_of(row, entry, name, f"{where}, row {number}")
        _refuse_doubled_id(row, item, number, first_with, where)
        kept = found.setdefault(item["id"], item)
        dropped += kept is not item
        other_answer += kept["answer"] != item["answer"]
    items = list(found.values())
    if not items:
        raise BadInput(f"{where}: no instructions; give a source with rows")
    removed = contamination.find(artifacts.table(items, artifacts.INSTRUCTIONS), tasks) if tasks else []
    ids = {row["id"] for row in removed}
    items = [item for item in items if item["id"] not in ids]
    drawn = _sampled(items, entry.get("sample"), entry.get("seed"), where)
    print(
        f"{name}: {len(drawn)} of {len(items)} instructions in {where}; {dropped} exact duplicates dropped, {other_answer} "
        "of them with another reference answer than the row that is kept"
        + (f"; {len(ids)} removed for {', '.join(sorted(tasks))}" if tasks else "")
    )
    return artifacts.table(drawn, artifacts.INSTRUCTIONS), removed


def load_tasks(tasks: dict, paths: list[str]) -> dict[str, pa.Table]:
    """Return the prompts of each task. tasks: {name: {"fields": ...}}; paths: their files in the order of the sorted names."""
    return {name: load(path, tasks[name], name) for name, path in zip(sorted(tasks), paths, strict=True)}


def _from_hub(entry: dict) -> Iterable[dict]:
    """Yield the rows of a hub data set, or of one file of it, at its commit: from the cache if it is there, as prefetched.

    A job reads it as a folder and in a stream: the library's own way needs the hub even for what is cached, and a second
    copy of the data on disk.
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
    """Return one row of INSTRUCTIONS."""
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
    wanted = f"'{stated}'" if stated else " or ".join(f"'{column}'" for column in USUAL)
    raise BadInput(
        f"{where}: no text in {wanted}; the row has the columns {', '.join(map(repr, row))}. "
        "Name the right one under `fields`, or remove the row"
    )


def _input(row: dict, fields: dict, column: str, where: str) -> str:
    """Return the text that belongs to an instruction: the stated column, or Alpaca's `input` where no columns are stated."""
    usual = "input" if column == "instruction" and not fields.get("instruction") else None
    return (_text_of(row, fields.get("input"), usual, where) or "").strip()


def _turn(turn: dict, where: str) -> dict:
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
    if _HALF_A_PAIR.search(text):
        raise BadInput(f"{where}: half a surrogate pair in {text[:60]!r}; mend the \\ud... escapes of this row")
    return text


def _cut(messages: list[dict], turns: str, where: str) -> list[dict]:
    """Return the messages up to the user turn that is answered; system messages without text are left out."""
    asked = [index for index, message in enumerate(messages) if message["role"] == "user"]
    if not asked:
        raise BadInput(f"{where}: no user turn in {[message['role'] for message in messages]}; remove the row")
    last = asked[0] if turns == "first" else asked[-1]
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


def _refuse_doubled_id(row: dict, item: dict, number: int, first_with: dict, where: str) -> None:
    own = next((row[key] for key in ("id", "uuid") if row.get(key) is not None), None)
    if own is None:
        return
    before, content = first_with.setdefault(str(own), (number, item["id"]))
    if content != item["id"]:
        raise BadInput(
            f"{where}: rows {before} and {number} have the same id {own!r} and different messages; mend one of them"
        )


def _sampled(items: list[dict], size: int | None, seed: int | None, where: str) -> list[dict]:
    if size is None:
        return items
    if size > len(items):
        raise BadInput(
            f"{where}: a sample of {size} was asked for and there are {len(items)} instructions; lower `sample`"
        )

    def lot(item: dict) -> bytes:
        return hashlib.sha256(f"{seed}/{item['id']}".encode()).digest()

    drawn = {item["id"] for item in sorted(items, key=lot)[:size]}
    return [item for item in items if item["id"] in drawn]
