"""What the cells of people's files hold: texts, missing values, and chats in all the forms in which they are kept.

What is read in another way than it is written is noted, so that the log and the health table can say it. What is not understood
is refused.
"""

import ast
import hashlib
import json
import math
import re
from collections import Counter
from typing import Any, TypeAlias

from ..errors import BadInput

Notes: TypeAlias = Counter[str]  # {what was read in another way than it is written: in how many rows}

ROLES = {"human": "user", "gpt": "assistant"}  # ShareGPT's words
FORMS = (("role", "content"), ("from", "value"))
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")  # JSON can hold it, UTF-8 cannot
# how a list of messages begins as JSON, as Python writes it, or as JSON inside a JSON text
_CHAT = re.compile(r"""\s*(?:array\()?"?\[[\s"]*\{\s*\\?["'](?:role|from|content|value)\\?["']\s*:""")
MISSING_AS_TEXT = ("nan", "NaN", "<NA>")  # what pandas writes for a missing value
LIKE_MISSING = "the text '{}' is read as it is, though pandas writes it for a missing value"
BROKEN = "\ufffd"  # what a conversion from another encoding leaves where it fails
BROKEN_NOTE = "texts with the character U+FFFD, which a failed conversion to UTF-8 leaves"


def message_id(messages: list[dict], answer: str | None = None) -> str:
    """Return the 16 hex digits that name an instruction: a hash of its roles and contents, and of `answer` where it counts."""
    turns: list = [[message["role"], message["content"]] for message in messages]
    content = turns if answer is None else [*turns, answer]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()[:16]


def is_missing(value: object) -> bool:
    """Whether a cell holds nothing: null, or the NaN that pandas leaves there."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def valid(text: str, where: str) -> str:
    """Return the text. Raises BadInput when it cannot be written as UTF-8."""
    if _HALF_A_PAIR.search(text):
        raise BadInput(f"{where}: half a surrogate pair in {text[:60]!r}; fix the \\ud... escapes of this row")
    return text


def path(field: str | list[str] | None) -> tuple[str, ...]:
    """Return the path of a column: its name, or its name and those of the keys in it."""
    return (field,) if isinstance(field, str) else tuple(field or ())


def named(place: tuple[str, ...]) -> str:
    """Return a path for messages."""
    return " -> ".join(map(repr, place))


def cell(row: dict, place: tuple[str, ...], where: str) -> object:
    """Return what a row holds at a path; None inside of a struct that is null, a list inside of a list of structs.

    Raises BadInput where there is no such place.
    """
    value: Any = row
    for depth, key in enumerate(place):
        if depth and is_missing(value):
            return None
        if depth and isinstance(value, list):
            return [None if is_missing(one) else cell(one, place[depth:], where) for one in value]
        if not isinstance(value, dict) or key not in value:
            there = f"there are {', '.join(map(repr, value))}" if isinstance(value, dict) else "there is no struct"
            inside = f" in {named(place[:depth])}" if depth else ""
            raise BadInput(f"{where}: no column {key!r}{inside}, {there}; fix the name in the config")
        value = value[key]
    return value


# --- chats


def looks_like_chat(text: str) -> bool:
    """Whether a text is a list of messages as JSON or Python writes it."""
    return bool(_CHAT.match(text)) and text.rstrip()[-1:] in ("]", ")", '"')


def chat(value: object, where: str, notes: set[str]) -> list:
    """Return the messages of a cell as a list; `turn` reads one of them.

    Args:
        value: a list, an object of columns, one message, or one of these as text.
        where: row and column, for messages.
        notes: added to.
    Raises:
        BadInput: the cell holds something else.
    """
    if isinstance(value, str):
        value = _decoded(value, where, notes)
    if isinstance(value, dict):
        value = _of_object(value, where)
    if not isinstance(value, list | tuple):
        raise BadInput(f"{where}: {str(value)[:80]!r} is not a list of messages; write [{{role, content}}, ...]")
    return [_decoded(one, where, notes) if isinstance(one, str) and one.lstrip()[:1] == "{" else one for one in value]


def _decoded(text: str, where: str, notes: set[str]) -> Any:
    """Return the value that a text holds as JSON, or as Python writes it."""
    try:
        value = json.loads(text)
        how = "JSON text"
    except (ValueError, RecursionError) as error:
        try:
            value, how = ast.literal_eval(text.strip()), "text of Python values"
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise BadInput(
                f"{where}: {text[:80]!r} cannot be read as a list of messages ({error}); save the column as lists, or as "
                "JSON, or name a column of plain text as `fields.instruction`"
            ) from error
    notes.add(f"chats read from {how}")
    return _decoded(value, where, notes) if isinstance(value, str) else value


def _of_object(value: dict, where: str) -> list:
    """Return the messages of an object: one message, or a list for each of the keys."""
    columns = {key: column for key, column in value.items() if isinstance(column, list)}
    others = [cell for key, cell in value.items() if key not in columns and not is_missing(cell)]
    if not columns:
        return [value]
    if len({len(column) for column in columns.values()}) > 1 or others:
        raise BadInput(f"{where}: an object whose lists do not belong together; write [{{role, content}}, ...]")
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def turn(message: object, where: str, notes: set[str]) -> dict:
    """Return a message as {role, content} from that form or from ShareGPT's {from, value}; white space around it stays.

    Raises BadInput for a message of another form or role, and for what is no text, such as a tool call.
    """
    forms = [form for form in FORMS if isinstance(message, dict) and set(form) <= message.keys()]
    if not forms or not isinstance(message, dict):
        raise BadInput(f"{where}: {str(message)[:80]!r} is not a message; write {{role, content}} or {{from, value}}")
    # two sets that were joined have both forms, one of them null
    form = next((form for form in forms if not is_missing(message[form[0]])), forms[0])
    role, content = message[form[0]], _joined(message[form[1]])
    role = ROLES.get(role, role) if isinstance(role, str) else role
    if role not in ("system", "user", "assistant") or not isinstance(content, str):
        raise BadInput(
            f"{where}: a turn of '{role}' with {type(content).__name__} content; turns are text of system, user (human) "
            "or assistant (gpt)"
        )
    for key, value in message.items():
        if key not in form and not is_missing(value) and value != [] and value != "":
            if key in ("tool_calls", "function_call"):
                raise BadInput(f"{where}: a turn of '{role}' with `{key}`; turns are text alone: remove the row")
            notes.add(f"key '{key}' of turns not read")
    return {"role": role, "content": valid(content, where)}


def _joined(content: object) -> object:
    """Return the text of a content that consists of text parts, [{type: text, text}, ...], or of an answer alone, {answer: text}, as
    Arena-Hard's files have it; any other one as it is."""
    if isinstance(content, dict) and [*content] == ["answer"]:
        return content["answer"]
    if not isinstance(content, list) or not content:
        return content
    texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
    words = [text for text in texts if isinstance(text, str)]
    return "".join(words) if len(words) == len(content) else content
