"""Responses that exist already, in a file or a hub data set, and rewards beside them. They are joined to the instructions by id, by all messages, or by the text of
a single turn."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..errors import BadInput
from ..hub.parquet_files import Columns
from ..instructions import files, loading, notes, rows
from ..instructions.files import Notes

USUAL = ("response", "output", "content", "answer")
# what APIs and engines write in a column `finish_reason`; a response that was cut off gets no end token
FINISHED = {"stop": "stop", "eos": "stop", "end_turn": "stop", "length": "length", "max_tokens": "length"}
EXAMPLES = 3  # in a message
MOST_OTHERS = 20  # names of other teachers in a message
UNJOINED = "answers none of the instructions, not read"


class Asked(NamedTuple):
    """The instructions that are answered, as a row of a file finds them."""

    ids: set[str]
    by_text: dict[str, str]  # {text of the last turn: id}, without the texts that several instructions share

    @classmethod
    def of(cls, items: list[dict]) -> "Asked":
        """Return them from rows of artifacts.INSTRUCTIONS."""
        texts = [item["messages"][-1]["content"] for item in items]
        counts = Counter(texts)
        by_text = {text: item["id"] for text, item in zip(texts, items, strict=True) if counts[text] == 1}
        return cls({item["id"] for item in items}, by_text)


class Row(NamedTuple):
    """A row of a source that answers an instruction."""

    key: tuple[str, int]  # id of the instruction, and sample
    cells: dict
    after: list[dict]  # the turns after the instruction, where the row holds a chat
    where: str  # its place, for messages
    found: set[str]  # what was read in another way than it is written; added to


class Source(NamedTuple):
    """Where the responses lie. path: of the file; None: the hub data set that the teacher's entry names."""

    teacher: dict
    path: str | None

    @property
    def name(self) -> str:
        return self.path or self.teacher["source"]


def load(items: list[dict], teacher: dict, path: str | None, noted: Notes | None = None) -> list[dict]:
    """Return one row for each response to one of the instructions, in the order of the instructions, then of samples.

    The finish reason is that of a column `finish_reason`, else `unknown`; the numbers of tokens are left out. What was read in another way than it is written is
    said in the log, and how many rows and instructions belong together.

    Args:
        items: rows of artifacts.INSTRUCTIONS.
        teacher: the teacher's entry in the config. Its `fields` name columns; if they are null the usual names are tried
            (id; messages, conversations, instruction + input, prompt, question; the assistant turn after the last user turn,
            response, output, content, answer). Numbers in a column `sample` number several responses to one instruction.
        path: of the file; None for a hub data set.
        noted: what is said is added.
    Raises:
        BadInput: for two responses to the same instruction and sample, for instructions without a response (unless
            teacher["allow_missing"]), and when no row of the file belongs to an instruction.
    """
    source, counts, found = Source(teacher, path), Counter[str](), Counter[str]()
    texts: dict[tuple[str, int], str] = {}
    ends: dict[tuple[str, int], str] = {}
    repeated: Counter[tuple[str, int]] = Counter()
    for row in _joined(items, source, files.path(teacher["fields"]["response"]), counts):
        repeated[row.key] += row.key in texts
        texts[row.key] = _response(row.cells, teacher["fields"], row.after, row.where, row.found)
        ends[row.key] = FINISHED.get(str(row.cells.get("finish_reason")), "unknown")
        if files.BROKEN in texts[row.key]:
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
    found.update({UNJOINED: others} if others else {})
    if noted is not None:
        noted.update(found)
    repeated_ids = [id for id, _ in +repeated]
    _check(source.name, counts["rows"], items, missing, repeated_ids, teacher["allow_missing"])
    order = {item["id"]: number for number, item in enumerate(items)}
    return [
        {"id": id, "sample": sample, "response": texts[id, sample], "finish_reason": ends[id, sample]}
        for id, sample in sorted(texts, key=lambda key: (order[key[0]], key[1]))
    ]


def rewards(items: list[dict], teacher: dict, path: str | None, column: str) -> dict[tuple[str, int], float | None]:
    """Return {(id, sample): the reward that a source stores beside a response}; None where it stores none.

    Args:
        items, teacher, path: as in `load`, which joins the rows in the same way.
        column: of the reward; where the response lies in a struct, a key of that struct.
    Raises:
        BadInput: where the column is missing, or holds what is no number.
    """
    source, counts = Source(teacher, path), Counter[str]()
    place = (*files.path(teacher["fields"]["response"])[:-1], column)
    values: dict[tuple[str, int], float | None] = {}
    for row in _joined(items, source, place, counts):
        value: Any = files.cell(row.cells, place, row.where)
        if not files.is_missing(value) and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise BadInput(
                f"{row.where}, column {files.named(place)}: {str(value)[:60]!r} is no number; name another column of rewards"
            )
        values[row.key] = None if files.is_missing(value) else float(value)
    print(
        f"{source.name}: {len(values)} of {counts['rows']} rows have the place of a reward in column {files.named(place)}"
    )
    return values


def _joined(items: list[dict], source: Source, place: tuple[str, ...], counts: Counter[str]) -> Iterator[Row]:
    """Yield the rows of a source that answer one of the instructions.

    place: path of the column that is wanted of them. counts: gets `rows`, those of this teacher, and `joined`.
    """
    asked, fields = Asked.of(items), source.teacher["fields"]
    others: dict[str, None] = {}  # names of other teachers
    for where, row in loading.rows_of(source.path, source.teacher, _columns(fields, place)):
        if fields.get("teacher") and not _is_by(source.teacher, row, where, others):
            continue
        counts["rows"] += 1
        found = set[str]()
        answer = _answered(row, fields, asked, where, found)
        if answer is not None:
            counts["joined"] += 1
            yield Row((answer[0], _sample(row, where, found)), row, answer[1], where, found)
    if others and not counts["rows"]:
        raise BadInput(
            f"{source.name}: no row has {source.teacher['written_by']!r} in column '{fields['teacher']}', which holds "
            f"{', '.join(map(repr, others))}; fix `written_by`"
        )


def _is_by(teacher: dict, row: dict, where: str, others: dict[str, None]) -> bool:
    """Whether a row is by this teacher. others: the first names of other teachers are added."""
    name = str(files.cell(row, (teacher["fields"]["teacher"],), where))
    if name != teacher["written_by"] and len(others) < MOST_OTHERS:
        others[name] = None
    return name == teacher["written_by"]


def _columns(fields: dict, place: tuple[str, ...]) -> Columns | None:
    """Return the columns that are read; None, all of them, where the config does not name that of the response."""
    if not fields["response"]:
        return None
    of_item = rows.columns_of(fields) or Columns([], (*rows.USUAL, *rows.SYSTEM, *rows.CONTEXT))
    by = [(fields["teacher"],)] if fields.get("teacher") else []
    return Columns([*of_item.stated, *by, place], (*of_item.usual, "id", "sample", "finish_reason"))


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


def _answered(row: dict, fields: dict, asked: Asked, where: str, found: set[str]) -> tuple[str, list[dict]] | None:
    """Return (id of the instruction that a row answers, the turns after it), or None where it is none of them."""
    id = row.get("id")
    if isinstance(id, str) and id in asked.ids:
        turns = rows.chat_of(row, fields, where, found) if _holds_chat(row, fields) and not fields["response"] else []
        last = max((place for place, turn in enumerate(turns) if turn["role"] == "user"), default=len(turns))
        return id, turns[last + 1 :]
    column = fields["messages"] or fields["instruction"]
    if not files.is_missing(id) and not column and not row.keys() & set(rows.USUAL):
        return None
    turns = rows.chat_of(row, fields, where, found)
    users = [place for place, turn in enumerate(turns) if turn["role"] == "user"]
    # a set may ask the last user turn of a chat or the first, so both are looked for
    for place, which in [(users[-1], "last"), (users[0], "first")] if users else [(-1, "last")]:
        match = _match(rows.cut(rows.stripped(turns), which, where), asked, found)
        if match is not None:
            return match, turns[place + 1 :]
    return None


def _holds_chat(row: dict, fields: dict) -> bool:
    """Whether a row has a column that may hold the turns of a chat."""
    columns = (
        [fields["messages"] or fields["instruction"]] if fields["messages"] or fields["instruction"] else rows.USUAL
    )
    return any(
        isinstance(row.get(name), list | dict) or (name in (*rows.CHATS, fields["messages"]) and bool(row.get(name)))
        for name in columns
    )


def _match(messages: list[dict], asked: Asked, found: set[str]) -> str | None:
    """Return the id of the instruction with these messages, or with the text of the only turn apart from a system prompt."""
    id = files.message_id(messages)
    if id in asked.ids:
        return id
    others = [message for message in messages if message["role"] != "system"]
    match = asked.by_text.get(others[0]["content"]) if len(others) == 1 else None
    if match is not None and len(messages) > 1:
        found.add("instruction found by the user's text, though its system prompt differs")
    return match


def _assistant(after: list[dict], where: str) -> str | None:
    """Return the text of the assistant turn that begins these turns; None where none does. Raises BadInput for two of them."""
    if [turn["role"] for turn in after[:2]] == ["assistant"] * 2:
        raise BadInput(f"{where}: two assistant turns answer the instruction; join them, or remove one of them")
    return after[0]["content"] if after and after[0]["role"] == "assistant" else None


def _sample(row: dict, where: str, found: set[str]) -> int:
    """Return the number of a response among those to one instruction; 0 where a column `sample` holds something else."""
    value: Any = row.get("sample")
    if files.is_missing(value):
        return 0
    try:
        number = float(value)  # pandas makes 1.0 of 1 where a number is missing
    except (TypeError, ValueError):
        found.add("column 'sample' holds no numbers and is not read")
        return 0
    if number < 0 or not number.is_integer() or isinstance(value, bool):
        raise BadInput(f"{where}, column 'sample': {value!r} is not the number of a response; number them 0, 1, 2 ...")
    return int(number)


def _response(row: dict, fields: dict, after: list[dict], where: str, found: set[str]) -> str:
    """Return the response of a row; null and NaN are an empty one, which the health table counts.

    after: the turns after the instruction. An assistant turn goes before the usual columns, which often hold reference answers.
    """
    place = files.path(fields["response"])
    if len(place) > 1:
        return _text(files.cell(row, place, where), " -> ".join(place), where, found)
    column = place[0] if place else next((name for name in USUAL if name in row), None)
    turn = None if place else _assistant(after, where)
    if turn is not None:
        if column and not files.is_missing(row[column]) and row[column] not in ("", turn):
            found.add(
                f"response: the assistant turn; column '{column}' differs, name it as `fields.response` to take it"
            )
        return files.valid(turn, where)
    if column is None or column not in row:
        expected = repr(column) if column else f"{' or '.join(map(repr, USUAL))}, and no last turn of an assistant"
        raise BadInput(f"{where}: no text in {expected}; name the column of the response under `fields`")
    return _text(row[column], column, where, found)


def _text(value: object, column: str, where: str, found: set[str]) -> str:
    """Return the text of a cell. Raises BadInput for a list of several, and for what is no text."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if files.is_missing(value):
        return ""
    if isinstance(value, list):
        raise BadInput(
            f"{where}, column '{column}': a list of {len(value)} responses; write one row for each, numbered in a column "
            "`sample`"
        )
    if not isinstance(value, str):
        raise BadInput(
            f"{where}: no text in '{column}', but {str(value)[:60]!r}; name the column of the response under `fields`"
        )
    if value in files.MISSING_AS_TEXT:
        found.add(f"column '{column}': {files.LIKE_MISSING.format(value)}")
    return files.valid(value, where)
