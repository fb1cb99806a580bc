"""Responses that exist already, in a file. They are joined to the instructions by id, by all messages, or by the text of
a single turn."""

from collections import Counter

from ..errors import BadInput
from ..instructions import files, loading

USUAL = ("response", "output", "content", "answer")
EXAMPLES = 3  # in a message


def load(items: list[dict], teacher: dict, source: str) -> list[dict]:
    """Return one row for each response to one of the instructions, in the order of the instructions, then of samples.

    The finish reason is `unknown`, and the numbers of tokens are left out.

    Args:
        items: rows of artifacts.INSTRUCTIONS.
        teacher: the teacher's entry in the config. Its `fields` name columns; if they are null the usual names are tried
            (id; messages, conversations, instruction + input, prompt, question; response, output, content, answer, or the
            assistant turn after the last user turn). A column `sample` numbers several responses to one instruction.
        source: path of the file.
    Raises:
        BadInput: for two responses to the same instruction and sample, for instructions without a response (unless
            teacher["allow_missing"]), and when no row of the file belongs to an instruction.
    """
    ids = {item["id"] for item in items}
    ids_by_text = _ids_by_text(items)
    texts: dict[tuple[str, int], str] = {}
    repeated: Counter[tuple[str, int]] = Counter()
    rows = files.read_rows(source)
    for number, row in enumerate(rows, 1):
        where = f"{source}, row {number}"
        id = _instruction_id(row, teacher["fields"], ids, ids_by_text, where)
        if id is None or id not in ids:
            continue
        key = (id, int(row.get("sample") or 0))
        repeated[key] += key in texts
        texts[key] = _response(row, teacher["fields"], where)
    with_response = {id for id, _ in texts}
    missing = [item for item in items if item["id"] not in with_response]
    repeated_ids = [id for id, _ in +repeated]
    _check(source, len(rows), items, missing, repeated_ids, teacher["allow_missing"])
    order = {item["id"]: number for number, item in enumerate(items)}
    return [
        {"id": id, "sample": sample, "response": texts[id, sample], "finish_reason": "unknown"}
        for id, sample in sorted(texts, key=lambda key: (order[key[0]], key[1]))
    ]


def _check(
    source: str, rows: int, items: list[dict], missing: list[dict], repeated_ids: list[str], allow_missing: bool
) -> None:
    """Raise BadInput unless the file's rows answer the instructions, each once."""
    if len(missing) == len(items):
        raise BadInput(
            f"{source}: none of its {rows} rows belongs to one of the {len(items)} instructions, such as "
            f"{_quoted(items)}; name the instruction column under `fields`, or take the instruction set it answers"
        )
    if repeated_ids:
        by_id = {item["id"]: item for item in items}
        raise BadInput(
            f"{source}: {len(repeated_ids)} instructions have more than one response, such as "
            f"{_quoted([by_id[id] for id in repeated_ids])}; remove the others, or number them in a column `sample`"
        )
    if missing and not allow_missing:
        raise BadInput(
            f"{source}: {len(missing)} of {len(items)} instructions have no response, such as {_quoted(missing)}; "
            "add them, or set `allow_missing: true`"
        )


def _quoted(items: list[dict]) -> str:
    return ", ".join(f"{item['id']} {item['messages'][-1]['content'][:60]!r}" for item in items[:EXAMPLES])


def _ids_by_text(items: list[dict]) -> dict[str, str]:
    """Return {text of the last turn: id of its instruction}, without the texts that several instructions share."""
    texts = [item["messages"][-1]["content"] for item in items]
    counts = Counter(texts)
    return {text: item["id"] for text, item in zip(texts, items, strict=True) if counts[text] == 1}


def _instruction_id(row: dict, fields: dict, ids: set[str], ids_by_text: dict[str, str], where: str) -> str | None:
    """Return the id of the instruction that a row answers, or None where it is none of them."""
    column = fields["messages"] or fields["instruction"]
    if row.get("id") in ids or ("id" in row and not column and not row.keys() & set(loading.USUAL)):
        return row["id"]
    item = loading.item_of(row, {"fields": fields}, "", where)
    if len(item["messages"]) == 1 and item["id"] not in ids:
        return ids_by_text.get(item["messages"][0]["content"])
    return item["id"]


def _response(row: dict, fields: dict, where: str) -> str:
    """Return the response of a row; null is an empty one, which the health table counts."""
    column = fields["response"] or next((name for name in USUAL if name in row), None)
    if column in row:
        text = "" if row[column] is None else row[column]
    else:
        turns = row.get(fields["messages"] or "messages") or row.get("conversations")
        last = turns[-1] if isinstance(turns, list) else {}
        is_assistant = last.get("role", last.get("from")) in ("assistant", "gpt") and not column
        text = last.get("content", last.get("value")) if is_assistant else None
    if not isinstance(text, str):
        expected = repr(column) if column else f"{' or '.join(map(repr, USUAL))}, and no last turn of an assistant"
        raise BadInput(f"{where}: no text in {expected}; name the column of the response under `fields`")
    return loading.valid(text, where)
