"""One row of a source as an instruction: find its columns, and turn them into chat messages with a stable id.

Text is kept as it is, only white space around it is removed: no Unicode normalisation, since every character may be part of a
benchmark or of code.
"""

import json
from typing import Any

from ..errors import BadInput
from ..hub.parquet_files import Columns
from . import files
from .files import Notes

CHATS = ("messages", "conversations")
USUAL = (*CHATS, "instruction", "prompt", "question")
SYSTEM = ("system", "system_prompt")
CONTEXT = ("input", "context", "history")  # may belong to the instruction


def item_of(row: dict, entry: dict, name: str, where: str, notes: Notes | None = None) -> dict:
    """Return a source's row as one of artifacts.INSTRUCTIONS.

    Args:
        entry: the config's entry, of which `fields` and `turns` count.
        name: of the set; fills `source` where the row names none.
        where: the row's place, for messages.
        notes: added to.
    Raises:
        BadInput: the row cannot be read, or has no text.
    """
    fields, found = entry["fields"], set[str]()
    messages = cut(stripped(chat_of(row, fields, where, found)), entry.get("turns", "last"), where)
    several = isinstance(fields.get("answer"), dict)
    answer = (
        _several(row, fields["answer"]["columns"], where) if several else _label(row, fields, "answer", where, found)
    )
    item = {
        # the same prompt may come with other tests
        "id": files.message_id(messages, answer if several else None),
        "messages": messages,
        "answer": answer,
        "category": _label(row, fields, "category", where, found),
        "source": _text_of(row, None, "source", where) or name,
        "round": 0,
    }
    if any(files.BROKEN in message["content"] for message in messages):
        found.add(files.BROKEN_NOTE)
    if notes is not None:
        notes.update(found)
    return item


def input_of(row: dict, entry: dict, where: str) -> str:
    """Return the text that stands below the instruction of a row, such as Alpaca's `input`; "" where there is none.

    Arguments and errors: `item_of`.
    """
    fields = entry["fields"]
    stated = fields.get("messages") or fields.get("instruction")
    for column in [stated] if stated else USUAL:
        if _turns(row, fields, column, where, set()):
            value = row[column]
            return "" if column in CHATS or not isinstance(value, str) else _input(row, fields, column, where)
    return ""


def columns_of(fields: dict) -> Columns | None:
    """Return the columns that `item_of` reads; None, all of them, where `fields` does not name the one of the instruction."""
    if not fields.get("messages") and not fields.get("instruction"):
        return None
    answer = fields.get("answer")
    several = answer["columns"] if isinstance(answer, dict) else [answer]
    names = [*(fields.get(key) for key in ("messages", "instruction", "input", "system", "category")), *several]
    usual = ("id", "uuid", "source", "answer", "category", *SYSTEM, *CONTEXT)
    return Columns([(name,) for name in names if name], usual)


def chat_of(row: dict, fields: dict, where: str, notes: set[str]) -> list[dict]:
    """Return all turns of a row, with its system prompt, from the columns that `fields` names, else from the usual ones.

    White space around the texts of a chat is kept. Errors are those of item_of.
    """
    stated = fields.get("messages") or fields.get("instruction")
    for column in [stated] if stated else USUAL:
        if turns := _turns(row, fields, column, where, notes):
            _note_context(row, fields, column, notes)
            return _with_system(turns, row, fields, where, notes)
    searched = f"'{stated}'" if stated else " or ".join(f"'{column}'" for column in USUAL)
    raise BadInput(
        f"{where}: no text in {searched}; the row has the columns {', '.join(map(repr, row))}. "
        "Name the right one under `fields`, or remove the row"
    )


def _turns(row: dict, fields: dict, column: str, where: str, notes: set[str]) -> list[dict]:
    """Return the turns of a column; none where it holds nothing."""
    value, place = row.get(column), f"{where}, column '{column}'"
    if isinstance(value, str) and not value.strip():
        return []
    is_chat = column == fields.get("messages") or (column in CHATS and column != fields.get("instruction"))
    if isinstance(value, str) and not is_chat and not files.looks_like_chat(value):
        _refuse_missing_as_text(value, place)
        extra = _input(row, fields, column, where)
        return [{"role": "user", "content": files.valid(f"{value.strip()}\n\n{extra}" if extra else value, where)}]
    if isinstance(value, str | list | dict) and value:
        return [files.turn(turn, place, notes) for turn in files.chat(value, place, notes)]
    return []


def _note_context(row: dict, fields: dict, column: str, notes: set[str]) -> None:
    """Note the columns that may belong to the instruction and are not read. column: of the instruction."""
    read = {
        fields.get("input"),
        column,
        *(["input"] if column == "instruction" and not fields.get("instruction") else []),
    }
    for name in CONTEXT:
        if name not in read and not files.is_missing(row.get(name)) and row[name] not in ("", []):
            notes.add(f"column '{name}' not read; name it as `fields.input` if it belongs to the instruction")


def _input(row: dict, fields: dict, column: str, where: str) -> str:
    """Return the text that belongs to an instruction: the stated column, or Alpaca's `input` where no columns are stated."""
    usual = "input" if column == "instruction" and not fields.get("instruction") else None
    text = (_text_of(row, fields.get("input"), usual, where) or "").strip()
    _refuse_missing_as_text(text, f"{where}, column '{fields.get('input') or usual}'")
    return text


def _refuse_missing_as_text(text: str, where: str) -> None:
    if text.strip() in files.MISSING_AS_TEXT:
        raise BadInput(
            f"{where}: the text {text.strip()!r}, as pandas writes a missing value; leave it empty, or remove the row"
        )


def _with_system(turns: list[dict], row: dict, fields: dict, where: str, notes: set[str]) -> list[dict]:
    """Return the turns with the system prompt that the row keeps in a column of its own, where it does."""
    stated = fields.get("system")
    if stated:
        text = _text_of(row, stated, None, where)
        column = stated
    else:
        column = next((name for name in SYSTEM if isinstance(row.get(name), str) and row[name].strip()), "")
        text = row[column] if column else None
    if not text or not text.strip():
        return turns
    has_own = turns[0]["role"] == "system" and bool(turns[0]["content"].strip())
    if has_own and turns[0]["content"].strip() == text.strip():
        return turns
    if not stated and (fields.get("messages") or fields.get("instruction")):
        notes.add(f"column '{column}' not read, since `fields` names others; add `fields.system` for it")
        return turns
    if has_own:
        raise BadInput(
            f"{where}: the chat begins with another system prompt than column '{column}' has; remove one of the two, or name "
            "the column of the chat as `fields.messages`, which leaves the other unread"
        )
    if not stated:
        notes.add(f"system prompts read from column '{column}'")
    rest = turns[1:] if turns[0]["role"] == "system" else turns
    return [{"role": "system", "content": files.valid(text, where)}, *rest]


def stripped(turns: list[dict]) -> list[dict]:
    """Return turns without white space around their texts."""
    return [{**turn, "content": turn["content"].strip()} for turn in turns]


def cut(messages: list[dict], turns: str, where: str) -> list[dict]:
    """Return the messages up to the user turn that is answered; system messages without text are left out.

    turns: as in the config, `first` or `last`.
    """
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


def _label(row: dict, fields: dict, kind: str, where: str, notes: set[str]) -> str | None:
    """Return the reference answer or category of a row, or None."""
    column = fields.get(kind) or kind
    text, value = _text_of(row, fields.get(kind), kind, where), row.get(column)
    if text is None and not files.is_missing(value):
        notes.add(f"column '{column}' not read, since it holds {type(value).__name__}, not text")
    if text in files.MISSING_AS_TEXT:
        notes.add(f"column '{column}': {files.LIKE_MISSING.format(text)}")
    if isinstance(value, float) and value.is_integer():
        notes.add(f"column '{column}': whole numbers with a fraction, as pandas writes them, are read as such ({text})")
    return text


def _several(row: dict, columns: list[str], where: str) -> str:
    """Return several columns of a row as JSON. Numbers and names of its text are as they are, so that equal rows give equal texts."""
    for column in columns:
        if column not in row:
            raise BadInput(
                f"{where}: no column '{column}', which `fields.answer` names; there are {', '.join(map(repr, row))}"
            )
    try:
        return files.valid(json.dumps({name: row[name] for name in columns}, ensure_ascii=False, sort_keys=True), where)
    except TypeError as error:
        raise BadInput(f"{where}: `fields.answer`: {error}; name columns of texts, numbers and lists") from error


def _text_of(row: dict, stated: str | None, usual: str | None, where: str) -> str | None:
    """Return a text or number of a column as text; None for null and NaN, and for a usual column that is not there or holds more."""
    if stated and stated not in row:
        raise BadInput(f"{where}: no column '{stated}', which `fields` names; there are {', '.join(map(repr, row))}")
    value: Any = row.get(stated or usual or "")
    if files.is_missing(value):
        return None
    if isinstance(value, str | int | float):
        return files.valid(str(value), where)
    if stated:
        raise BadInput(
            f"{where}: column '{stated}' holds {type(value).__name__}, not text; name another one under `fields`"
        )
    return None
