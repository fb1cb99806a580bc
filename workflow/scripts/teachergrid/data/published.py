"""Responses that exist already, in a file or a hub data set, and rewards beside them."""

from collections import Counter
from collections.abc import Iterator

from ..errors import BadInput
from . import files, notes
from .files import Notes
from .joining import USUAL, Key, Row, Source, joined

# what APIs and engines write in a column `finish_reason`; a response that was cut off gets no end token
FINISHED = {"stop": "stop", "eos": "stop", "end_turn": "stop", "length": "length", "max_tokens": "length"}
EXAMPLES = 3  # in a message


def load(items: list[dict], teacher: dict, path: str | None, noted: Notes | None = None) -> list[dict]:
    """Return one row for each response to one of the instructions, in the order of the instructions, then of samples.

    The finish reason is that of a column `finish_reason`, else `unknown`; the numbers of tokens are left out. What was read in another way than it is written is
    said in the log, and how many rows and instructions belong together.

    Args:
        items: rows of artifacts.INSTRUCTIONS.
        teacher: the teacher's entry in the config. Its `fields` name columns; if they are null the usual names are tried
            (id; messages, conversations, instruction + input, prompt, question; the assistant turn after the last user turn,
            response, output, content, answer). Numbers in a column `sample` number several responses to one instruction; so
            does their order, where the column that `fields.response` names holds lists.
        path: of the file; None for a hub data set.
        noted: what is said is added.
    Raises:
        BadInput: for two responses to the same instruction and sample, for instructions without a response (unless
            teacher["allow_missing"]), and when no row of the file belongs to an instruction.
    """
    source, counts, found = Source(teacher, path), Counter[str](), Counter[str]()
    texts: dict[Key, str] = {}
    ends: dict[Key, str] = {}
    repeated: Counter[Key] = Counter()
    for row in joined(items, source, files.path(teacher["fields"]["response"]), counts):
        for number, (key, text) in enumerate(_responses(row, teacher["fields"])):
            repeated[key] += key in texts
            texts[key], ends[key] = text, _end(row.cells.get("finish_reason"), number)
            if files.BROKEN in text:
                row.found.add(files.BROKEN_NOTE)
        found.update(row.found)
    with_response = {id for id, _ in texts}
    missing = [item for item in items if item["id"] not in with_response]
    notes.say(source.name, found)
    others = counts["rows"] - counts["joined"]
    print(
        f"{source.name}: {counts['joined']} of {counts['rows']} rows answer {len(with_response)} of {len(items)} instructions; "
        f"{others} rows answer none of them, {len(missing)} instructions have no response"
    )
    found.update({notes.UNJOINED: others} if others else {})
    if noted is not None:
        noted.update(found)
    repeated_ids = [id for id, _ in +repeated]
    _check(source.name, counts["rows"], items, missing, repeated_ids, teacher["allow_missing"])
    order = {item["id"]: number for number, item in enumerate(items)}
    return [
        {"id": id, "sample": sample, "response": texts[id, sample], "finish_reason": ends[id, sample]}
        for id, sample in sorted(texts, key=lambda key: (order[key[0]], key[1]))
    ]


def rewards(items: list[dict], teacher: dict, path: str | None, column: str) -> dict[Key, float | None]:
    """Return {(id, sample): the reward that a source stores beside a response}; None where it stores none.

    Args:
        items, teacher, path: as in `load`, which joins the rows in the same way.
        column: of the reward; where the response lies in a struct, a key of that struct.
    Raises:
        BadInput: where the column is missing, or holds what is no number.
    """
    source, counts = Source(teacher, path), Counter[str]()
    place = (*files.path(teacher["fields"]["response"])[:-1], column)
    values: dict[Key, float | None] = {}
    for row in joined(items, source, place, counts):
        for key, value in row.each(files.cell(row.cells, place, row.where), files.named(place), stated=True):
            if not files.is_missing(value) and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise BadInput(
                    f"{row.where}, column {files.named(place)}: {str(value)[:60]!r} is no number; name another column of rewards"
                )
            values[key] = None if files.is_missing(value) else float(value)
    print(
        f"{source.name}: {len(values)} of {counts['rows']} rows have the place of a reward in column {files.named(place)}"
    )
    return values


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


def _assistant(after: list[dict], where: str) -> str | None:
    """Return the text of the assistant turn that begins these turns; None where none does. Raises BadInput for two of them."""
    if [turn["role"] for turn in after[:2]] == ["assistant"] * 2:
        raise BadInput(f"{where}: two assistant turns answer the instruction; join them, or remove one of them")
    return after[0]["content"] if after and after[0]["role"] == "assistant" else None


def _responses(row: Row, fields: dict) -> Iterator[tuple[Key, str]]:
    """Yield each response of a row; null and NaN are an empty one, which the health table counts.

    An assistant turn goes before the usual columns, which often hold reference answers.
    """
    place, cells = files.path(fields["response"]), row.cells
    column = ".".join(place) or next((name for name in USUAL if name in cells), None)
    turn = None if place else _assistant(row.after, row.where)
    if turn is not None:
        if column and not files.is_missing(cells[column]) and cells[column] not in ("", turn):
            row.found.add(
                f"response: the assistant turn; column '{column}' differs, name it as `fields.response` to take it"
            )
        yield (row.id, row.sample or 0), files.valid(turn, row.where)
        return
    if column is None or (len(place) <= 1 and column not in cells):
        expected = repr(column) if column else f"{' or '.join(map(repr, USUAL))}, and no last turn of an assistant"
        raise BadInput(f"{row.where}: no text in {expected}; name the column of the response under `fields`")
    value = files.cell(cells, place or (column,), row.where)
    for key, one in row.each(value, column, stated=bool(place)):
        yield key, _text(one, " -> ".join(place or (column,)), row.where, row.found)


def _end(reason: object, number: int) -> str:
    """Return the finish reason of a response. number: of it in its row, where a row holds a list of several."""
    if isinstance(reason, list):
        reason = reason[number] if number < len(reason) else None
    return FINISHED.get(str(reason), "unknown")


def _text(value: object, column: str, where: str, found: set[str]) -> str:
    """Return the text of a response. Raises BadInput for what is no text."""
    if files.is_missing(value):
        return ""
    if not isinstance(value, str):
        raise BadInput(
            f"{where}: no text in '{column}', but {str(value)[:60]!r}; name the column of the response under `fields`"
        )
    if value in files.MISSING_AS_TEXT:
        found.add(f"column '{column}': {files.LIKE_MISSING.format(value)}")
    return files.valid(value, where)
