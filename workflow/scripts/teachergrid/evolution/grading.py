"""How hard instructions are, by a model that grades them: a level from very easy to very hard, and a score from 0 to 100.

    NAME.r1.asked   a question about each instruction of the set `of`
    NAME.r1         the instructions themselves, with the level as their category; those without a clear grade are left out

The lineage of `NAME.r1` holds what the model said of each. The report of a grid that compares the set shows grades by round and operator.
"""

import re
from typing import Any, NamedTuple

from ..data.files import message_id
from ..errors import BadInput
from ..spec.ids import Responses
from . import texts
from .steps import Asked, Fate, Given, Made, Step, last_turn

LEVELS = ("very easy", "easy", "medium", "hard", "very hard")
UNCLEAR = "no clear grade"
# behind a name: what a model may say of its range, such as (0-100), and marks
_MARKS = r"(?:[\s*_]{0,6}\([^()\n]{0,40}\))?\W{0,6}"
_LEVEL = re.compile(rf"level{_MARKS}(very easy|easy|medium|hard|very hard)\b", re.I)
# no part of a number, and no range
_SCORE = re.compile(rf"score{_MARKS}(\d{{1,3}})(?![\d.]*\d|\s*(?:-|\u2013|to)\s*\d)", re.I)
MOST = 100


class Grade(NamedTuple):
    """level: one of LEVELS. score: 0 to 100."""

    level: str
    score: int


def check(where: str, entry: dict[str, Any], teachers: dict[str, dict]) -> None:  # noqa: ARG001
    """Raise BadInput for an entry that contradicts itself. where: the config's key."""
    for key, usual in (("rounds", 1), ("operators", []), ("equal_by", None), ("as_published", False)):
        if entry[key] != usual:
            raise BadInput(f"{where}.{key}: method grade has no such thing; remove the key")


def steps(asked: Asked) -> list[Step]:
    """Return the steps of an evolution. Raises BadInput for a text that lacks a mark."""
    text = asked.texts["question"]
    texts.require(f"{asked.where}.prompts", "question", text, "instruction")
    name, of = f"{asked.name}.r1", asked.entry["of"]
    prompts, before = f"{name}.asked", (*asked.ancestors, of)
    replies = (str(Responses(prompts, asked.entry["by"])),)
    return [
        Step(prompts, "grade.ask", (of,), {"text": text}, asked.seeds, ancestors=before),
        Step(name, "grade.read", (of, prompts), {}, asked.seeds, replies, ancestors=before),
    ]


def ask(given: Given, settings: dict[str, Any]) -> Made:
    """Return a question about each instruction. settings: `text`, with {instruction}."""
    rows = []
    for row in given.sets[0]:
        text = texts.filled(settings["text"], {"instruction": last_turn(row)})
        messages = [{"role": "user", "content": text}]
        asked = {**row, "id": message_id(messages, row["id"]), "messages": messages, "parent_id": row["id"]}
        rows.append({**asked, "answer": None})
    return Made(rows)


def read(given: Given, settings: dict[str, Any]) -> Made:  # noqa: ARG001
    """Return the instructions with their level as category. An instruction without a clear grade is left out, with this reason."""
    instructions, asked = given.sets
    about = {prompt["parent_id"]: prompt for prompt in asked}
    rows, fates = [], []
    for one in instructions:
        replies = given.responses[0].get(about[one["id"]]["id"], [])
        said = replies[0]["response"] if replies else ""
        found = graded(said)
        row = {**one, "category": found.level} if found else None
        rows += [row] if row else []
        fates.append(Fate(one["id"], one["operator"], row, None if found else UNCLEAR, said, one["round"]))
    return Made(rows, fates)


def graded(reply: str) -> Grade | None:
    """Return the last level and the last score of a reply; None where one of them is missing, or no score is that high."""
    levels, scores = _LEVEL.findall(reply), _SCORE.findall(reply)
    if not levels or not scores or int(scores[-1]) > MOST:
        return None
    return Grade(levels[-1].casefold(), int(scores[-1]))
