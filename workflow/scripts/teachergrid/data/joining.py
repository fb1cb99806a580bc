"""Which rows of a source answer which instruction: by id, by all messages, or by the text of a single turn."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from ..errors import BadInput
from ..hub.parquet_files import Columns
from . import files, loading, rows

Key: TypeAlias = tuple[str, int]  # id of an instruction, and sample
USUAL = ("response", "output", "content", "answer")
MOST_OTHERS = 20  # names of other teachers in a message


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

    id: str  # of the instruction
    sample: int | None  # number of its response among those to the instruction; None where it states none
    cells: dict
    after: list[dict]  # the turns after the instruction, where the row holds a chat
    where: str  # its place, for messages
    found: set[str]  # what was read in another way than it is written; added to

    def each(self, value: Any, column: str, stated: bool) -> list[tuple[Key, Any]]:
        """Return [((id, sample), one)] of what a cell holds: one value, or a list of those of several responses.

        Args:
            column: its name, for messages.
            stated: whether the config names it. A usual column may hold a list of other things, such as reference answers.
        Raises:
            BadInput: for a list of several that is not stated, or in a row that numbers its response.
        """
        if not isinstance(value, list) or len(value) == 1:
            return [((self.id, self.sample or 0), value[0] if isinstance(value, list) else value)]
        if not stated:
            raise BadInput(
                f"{self.where}, column '{column}': a list of {len(value)} responses; name it as `fields.response` to take each "
                "as a sample, or write one row for each, numbered in a column `sample`"
            )
        if self.sample is not None:
            raise BadInput(
                f"{self.where}, column '{column}': a list of {len(value)} responses, though column 'sample' numbers the row; "
                "remove the one or the other"
            )
        return [((self.id, number), one) for number, one in enumerate(value)]


class Source(NamedTuple):
    """Where the responses lie. path: of the file; None: the hub data set that the teacher's entry names."""

    teacher: dict
    path: str | None

    @property
    def name(self) -> str:
        return self.path or self.teacher["source"]


def joined(items: list[dict], source: Source, place: tuple[str, ...], counts: Counter[str]) -> Iterator[Row]:
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
            yield Row(answer[0], _sample(row, where, found), row, answer[1], where, found)
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
    """Return the columns that are read; None, all of them, where the config names none. place: as of `joined`; may be empty."""
    of_item = rows.columns_of(fields)
    if of_item is None and not fields["response"]:
        return None
    of_item = of_item or Columns([], (*rows.USUAL, *rows.SYSTEM, *rows.CONTEXT))
    by = [(fields["teacher"],)] if fields.get("teacher") else []
    of_response = () if fields["response"] else USUAL
    stated = [*of_item.stated, *by, *([place] if place else [])]
    return Columns(stated, (*of_item.usual, *of_response, "id", "sample", "finish_reason"))


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


def _sample(row: dict, where: str, found: set[str]) -> int | None:
    """Return the number of a response among those to one instruction; None where no column `sample` holds one."""
    value: Any = row.get("sample")
    if files.is_missing(value):
        return None
    try:
        number = float(value)  # pandas makes 1.0 of 1 where a number is missing
    except (TypeError, ValueError):
        found.add("column 'sample' holds no numbers and is not read")
        return None
    if number < 0 or not number.is_integer() or isinstance(value, bool):
        raise BadInput(f"{where}, column 'sample': {value!r} is not the number of a response; number them 0, 1, 2 ...")
    return int(number)
