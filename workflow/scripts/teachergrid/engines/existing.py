"""Responses that exist already: joined to the instructions by id, by content, or by the text of a single turn."""

from collections import Counter

from .. import files, instructions
from ..errors import BadInput

USUAL = ("response", "output", "content", "answer")
_SHOWN = 3  # examples in an error


def respond(asked: list[dict], teacher: dict, source: str) -> list[dict]:
    """Return one row per response to one of the instructions, in their order; finish reason and tokens are not known.

    asked: rows of INSTRUCTIONS. teacher: the config's entry; its `fields` name columns, else the usual names are tried
    (id; messages, conversations, instruction + input, prompt, question; response, output, content, answer, or the
    assistant turn after the last user turn). A column `sample` numbers several responses to one instruction.
    Raises BadInput for doubled responses, for instructions without one (unless teacher["allow_missing"]), and when none
    of the file's rows belongs to an instruction.
    """
    ids = {item["id"] for item in asked}
    by_text = _by_text(asked)
    found, doubled = {}, Counter()
    rows = files.read_rows(source)
    for number, row in enumerate(rows, 1):
        where = f"{source}, row {number}"
        key = _instruction(row, teacher["fields"], ids, by_text, where)
        if key in ids:
            sample = int(row.get("sample") or 0)
            doubled[key, sample] += (key, sample) in found
            found[key, sample] = _response(row, teacher["fields"], where)
    answered = {key for key, _ in found}
    missing = [item for item in asked if item["id"] not in answered]
    _refuse(source, teacher, rows, asked, missing, +doubled)
    order = {item["id"]: place for place, item in enumerate(asked)}
    keys = sorted(found, key=lambda key: (order[key[0]], key[1]))
    return [
        {"id": key, "sample": sample, "response": found[key, sample], "finish_reason": "unknown"}
        for key, sample in keys
    ]


def _refuse(source: str, teacher: dict, rows: list, asked: list[dict], missing: list[dict], doubled: Counter) -> None:
    if len(missing) == len(asked):
        raise BadInput(
            f"{source}: none of its {len(rows)} rows belongs to one of the {len(asked)} instructions, such as "
            f"{_quoted(asked)}; name the instruction column under `fields`, or take the instruction set it answers"
        )
    if doubled:
        texts = {item["id"]: item for item in asked}
        raise BadInput(
            f"{source}: {len(doubled)} instructions have more than one response, such as "
            f"{_quoted([texts[key] for key, _ in doubled])}; remove the others, or number them in a column `sample`"
        )
    if missing and not teacher["allow_missing"]:
        raise BadInput(
            f"{source}: {len(missing)} of {len(asked)} instructions have no response, such as {_quoted(missing)}; "
            "add them, or set `allow_missing: true`"
        )


def _quoted(items: list[dict]) -> str:
    return ", ".join(f"{item['id']} {item['messages'][-1]['content'][:60]!r}" for item in items[:_SHOWN])


def _by_text(asked: list[dict]) -> dict[str, str]:
    """Return the id of each instruction whose last turn no other one has."""
    texts = [item["messages"][-1]["content"] for item in asked]
    counts = Counter(texts)
    return {text: item["id"] for text, item in zip(texts, asked, strict=True) if counts[text] == 1}


def _instruction(row: dict, fields: dict, ids: set[str], by_text: dict[str, str], where: str) -> str | None:
    """Return the id of the instruction that a row answers, or None."""
    stated = fields["messages"] or fields["instruction"]
    if row.get("id") in ids or ("id" in row and not stated and not row.keys() & set(instructions.USUAL)):
        return row["id"]
    item = instructions.item_of(row, {"fields": fields}, "", where)
    alone = len(item["messages"]) == 1
    return by_text.get(item["messages"][0]["content"]) if alone and item["id"] not in ids else item["id"]


def _response(row: dict, fields: dict, where: str) -> str:
    """Return the response of a row; null is an empty one, which the health table counts."""
    column = fields["response"] or next((name for name in USUAL if name in row), None)
    if column in row:
        text = "" if row[column] is None else row[column]
    else:
        turns = row.get(fields["messages"] or "messages") or row.get("conversations")
        last = turns[-1] if isinstance(turns, list) else {}
        said = last.get("role", last.get("from")) in ("assistant", "gpt") and not column
        text = last.get("content", last.get("value")) if said else None
    if not isinstance(text, str):
        wanted = repr(column) if column else f"{' or '.join(map(repr, USUAL))}, and no last turn of an assistant"
        raise BadInput(f"{where}: no text in {wanted}; name the column of the response under `fields`")
    return instructions.valid(text, where)
