"""The two stages of a round: a prompt asks the evolver to rewrite each instruction, then the rewritten ones are read.

The evolver sees the last user turn of an instruction, with Alpaca's `input` in it (unless that stays beside); turns before it stay
as they are. What it writes replaces that turn. A rewritten instruction has no reference answer: the old one may be wrong for it.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from ..data.files import message_id
from . import elimination, texts
from .steps import Fate, Given, Made, Replies, Row, last_turn, pool, roots_within, with_last_turn


def ask(given: Given, settings: dict[str, Any]) -> Made:
    """Return a prompt for each instruction of a round's pool.

    Args:
        given: sets: that of the seeds, then those of the rounds so far. tables: the result of `optimise`, where its method is used.
        settings: `texts`: {operator: prompt with {instruction}}; `schedule`; `seed` of a random one; `round`, from 1; `retry`.
    """
    seeds, *rounds = given.sets
    prompts = settings["texts"]
    if given.tables:
        prompts = dict.fromkeys(prompts, json.loads(given.tables[0].read_text())["method"])
    root = roots_within(seeds, rounds)
    place = {row["id"]: place for place, row in enumerate(seeds)}
    rows = []
    for row in pool(seeds, rounds, settings["retry"]):
        origin = root[row["id"]]
        turn = Turn(place[origin], origin, settings["round"], settings.get("seed"))
        operator = SCHEDULES[settings["schedule"]](turn, [*prompts])
        text = texts.filled(prompts[operator], {"instruction": _shown(row, given.beside.get(origin))})
        messages = [{"role": "user", "content": text}]
        rows.append(
            {
                # two instructions may differ in the turns that are not shown
                "id": message_id(messages, row["id"]),
                "messages": messages,
                "category": row["category"],
                "source": row["source"],
                "parent_id": row["id"],
                "operator": operator,
                "round": settings["round"],
            }
        )
    return Made(rows)


def read(given: Given, settings: dict[str, Any]) -> Made:
    """Return the rewritten instructions of a round, without what is eliminated.

    Of several samples the first one that is not eliminated is taken.

    Args:
        given: sets: the seeds, the rounds so far, and the round's prompts. responses: the evolver's.
        settings: those of `elimination.verdict` and `written`; `retry` and `keep`: what becomes of a row that failed; `published`:
            equal texts from different seeds stay.
    """
    seeds, *rounds, asked = given.sets
    root = roots_within(seeds, rounds)
    parents = {row["id"]: row for row in pool(seeds, rounds, settings["retry"])}
    taken = set(root)
    fates = []
    for prompt in asked:
        parent = parents[prompt["parent_id"]]
        origin = root[parent["id"]]
        how = _How(settings, taken, origin if settings["published"] else None, given.beside.get(origin))
        fate = _fate(prompt, parent, given.responses[0], how)
        if fate.row is not None:
            taken.add(fate.row["id"])
        fates.append(fate)
    return Made(elimination.surviving([*parents.values()], fates, settings["keep"]), fates)


class _How(NamedTuple):
    """How a row is read. taken: ids that no new row may have. key: makes the ids of equal texts differ. beside: stays below it."""

    settings: dict[str, Any]
    taken: set[str]
    key: str | None
    beside: str | None


class _Tried(NamedTuple):
    row: Row | None
    reason: str | None
    text: str


def _fate(prompt: Row, parent: Row, replies: Replies, how: _How) -> Fate:
    """Return what became of a row."""
    tried = [_tried(prompt, parent, reply, how) for reply in replies.get(prompt["id"], ())]
    first = next((one for one in tried if one.row is not None), tried[0] if tried else _Tried(None, "no response", ""))
    return Fate(parent["id"], prompt["operator"], *first)


def _tried(prompt: Row, parent: Row, reply: dict, how: _How) -> _Tried:
    text = elimination.written(reply["response"], how.settings)
    draft = elimination.Draft(text, _shown(parent, how.beside), reply["finish_reason"])
    reason = elimination.verdict(draft, how.settings)
    if reason is not None:
        return _Tried(None, reason, reply["response"])
    messages = with_last_turn(parent, f"{text}\n\n{how.beside}" if how.beside else text)
    row = {
        "id": message_id(messages, how.key),
        "messages": messages,
        "category": parent["category"],
        "source": parent["source"],
        "parent_id": parent["id"],
        "operator": prompt["operator"],
        "round": prompt["round"],
    }
    if row["id"] in how.taken:
        return _Tried(None, "duplicate", reply["response"])
    return _Tried(row, None, reply["response"])


def _shown(row: Row, beside: str | None) -> str:
    """Return what the evolver sees of an instruction. beside: the text below it that stays as it is."""
    return last_turn(row).removesuffix(f"\n\n{beside}") if beside else last_turn(row)


# --- which operator an instruction gets


class Turn(NamedTuple):
    """Whose turn it is. place, root: of the instruction's root among the seeds, and its id. number: of the round, from 1."""

    place: int
    root: str
    number: int
    seed: int | None


def _paper(turn: Turn, operators: list[str]) -> str:
    """Return the operator of the paper's schedule: each round the next one, from the place of the instruction's root on."""
    return operators[(turn.place + turn.number - 1) % len(operators)]


def _random(turn: Turn, operators: list[str]) -> str:
    """Return a random operator that follows from the seed, the root and the round: all evolvers use the same one on an instruction."""

    def draw_order(operator: str) -> bytes:
        return hashlib.sha256(f"{turn.seed}/{turn.root}/{turn.number}/{operator}".encode()).digest()

    return min(operators, key=draw_order)


SCHEDULES: dict[str, Callable[[Turn, list[str]], str]] = {"paper": _paper, "random": _random}
