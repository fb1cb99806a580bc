"""Constraint back-translation (Crab, Qi et al. 2024, arXiv 2410.24175): constraints that a good response already meets.

    NAME.r1.asked   instructions of `of` with a response, to be asked which constraints it meets
    NAME.r1         instructions with some of these constraints, and with some that are read off the response; `answer` is the response

So nothing has to be answered again. Not there: the published check of each constraint by a model, examples in the prompt, and the
task in reverse.
"""

import math
import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ..data.files import message_id
from ..errors import BadInput
from ..spec.ids import Responses
from ..spec.spelling import known
from . import crosscheck, texts
from .steps import Asked, Fate, Given, Made, Row, Step, last_turn, with_last_turn

KINDS = (
    "style",
    "content",
    "prohibition",
    "language",
    "hierarchy",
    "format",
    "paragraphs",
    "sentence",
    "keys",
    "lists",
)
ALIKE = 0.6  # Rouge-L of two constraints of which only the first is kept
HEAD = "Meet these requirements:"
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_SENTENCE = re.compile(r"[.!?\u3002\uff01\uff1f]+(?=\s|$)")
_LONG = 7  # letters of a word that may be asked for
MARKS = {"exclamation marks": "!", "question marks": "?", "semicolons": ";", "brackets": "("}


def check(where: str, entry: dict[str, Any], teachers: dict[str, dict]) -> None:
    """Raise BadInput for an entry that contradicts itself. where: the config's key."""
    own = entry["crab"]
    for key, usual in (("rounds", 1), ("operators", []), ("equal_by", None)):
        if entry[key] != usual:
            raise BadInput(f"{where}.{key}: method crab has no such thing; remove the key")
    if own["responses"] is None:
        raise BadInput(f"{where}.crab.responses: state the teacher whose responses to '{entry['of']}' are good ones")
    known(f"{where}.crab.responses", own["responses"], teachers)
    if own["most"] < own["least"]:
        raise BadInput(f"{where}.crab.most: {own['most']} is less than `least`, {own['least']}; raise it")


def steps(asked: Asked) -> list[Step]:
    """Return the steps of an evolution. Raises BadInput for a text that lacks a mark."""
    entry, own, name = asked.entry, asked.entry["crab"], f"{asked.name}.r1"
    texts.require(f"{asked.where}.prompts", "back", asked.texts["back"], "instruction", "response")
    answered, prompts = str(Responses(entry["of"], own["responses"])), f"{name}.asked"
    ancestors = (*asked.ancestors, entry["of"])
    settings = {key: own[key] for key in ("least", "most", "by_rule")} | {"seed": asked.seed}
    words = {"text": asked.texts["back"], "words": own["words"]}
    return [
        Step(prompts, "crab.ask", (entry["of"],), words, asked.seeds, (answered,), ancestors=ancestors),
        Step(
            name,
            "crab.read",
            (entry["of"], prompts),
            settings,
            asked.seeds,
            (str(Responses(prompts, entry["by"])), answered),
            ancestors=ancestors,
        ),
    ]


def ask(given: Given, settings: dict[str, Any]) -> Made:
    """Return the prompts about all responses of enough words, the first one to each instruction."""
    rows, fates = [], []
    for one in given.sets[0]:
        response = _first(given, one["id"], 0)
        reason = None if len(_WORD.findall(response)) >= settings["words"] else "response too short"
        row = None
        if reason is None:
            prompt = texts.filled(settings["text"], {"instruction": last_turn(one), "response": response})
            messages = [{"role": "user", "content": prompt}]
            row = {"id": message_id(messages, one["id"]), "messages": messages, "source": given.name, "round": 1}
            rows.append(row | {"parent_id": one["id"]})
        fates.append(Fate(one["id"], "crab", row, reason, response))
    return Made(rows, fates)


def read(given: Given, settings: dict[str, Any]) -> Made:
    """Return the instructions with constraints that their response meets, drawn by the seed and the id of the instruction."""
    instructions, asked = given.sets
    by_id = {one["id"]: one for one in instructions}
    rows, fates = [], []
    for one in asked:
        parent, reply = by_id[one["parent_id"]], _first(given, one["id"], 0)
        response = _first(given, parent["id"], 1)
        draw = random.Random(f"{settings['seed']}/{parent['id']}")
        found = stated(reply)
        found += by_rule(response, draw) if settings["by_rule"] else []
        constraints = distinct(found)
        reason, row = None, None
        if len(constraints) < settings["least"]:
            reason = f"fewer than {settings['least']} constraints" if stated(reply) else "no constraint stated"
        else:
            draw.shuffle(constraints)
            row = _row(given.name, parent, response, constraints[: draw.randint(settings["least"], settings["most"])])
            rows.append(row)
        fates.append(Fate(parent["id"], "crab", row, reason, reply))
    return Made(rows, fates)


def _first(given: Given, id: str, place: int) -> str:
    """Return the first response to a row, without space around it. place: of the responses among those that are given."""
    return next((one["response"].strip() for one in given.responses[place].get(id, [])), "")


def _row(source: str, parent: Row, response: str, constraints: list[str]) -> Row:
    text = "\n".join([last_turn(parent), "", HEAD, *(f"- {one}" for one in constraints)])
    messages = with_last_turn(parent, text)
    more = {
        "answer": response,
        "category": parent["category"],
        "parent_id": parent["id"],
        "operator": "crab",
        "round": 1,
    }
    return {"id": message_id(messages), "messages": messages, "source": source, **more}


def stated(reply: str) -> list[str]:
    """Return the constraints of a reply, by kind; none where it holds no JSON."""
    held = next(crosscheck.objects(reply), {})
    texts_found = [held.get(kind) for kind in KINDS]
    return [
        " ".join(text.split())
        for text in texts_found
        if isinstance(text, str) and _WORD.search(text) and text != "null"
    ]


def by_rule(response: str, draw: random.Random) -> list[str]:
    """Return constraints that are read off a response, so that it meets them for sure."""
    words = _WORD.findall(response)
    low = len(words) // 50 * 50
    found = [f"Write between {low} and {low + 50} words."]
    sentences = max(1, len(_SENTENCE.findall(response)))
    found.append(f"Use at most {math.ceil(sentences / 5) * 5} sentences.")
    paragraphs = len([part for part in re.split(r"\n\s*\n", response) if part.strip()])
    found.append(
        f"Write exactly {paragraphs} paragraph{'' if paragraphs == 1 else 's'}, with an empty line between them."
    )
    often = [
        (word, number) for word, number in Counter(word for word in words if len(word) >= _LONG).items() if number > 1
    ]
    if often:
        word, number = draw.choice(sorted(often))
        found.append(f'Use the word "{word}" at least {number} times.')
    absent = [name for name, mark in MARKS.items() if mark not in response]
    if absent:
        found.append(f"Use no {draw.choice(absent)}.")
    return found


def distinct(constraints: list[str]) -> list[str]:
    """Return the constraints without those that are much like an earlier one."""
    kept: list[list[str]] = []
    result = []
    for text in constraints:
        words = [word.casefold() for word in _WORD.findall(text)]
        if all(_rouge(words, other) <= ALIKE for other in kept):
            kept.append(words)
            result.append(text)
    return result


def _rouge(one: list[str], other: list[str]) -> float:
    """Return Rouge-L, the F1 of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for word in one:
        row = [*_next(row, word, other)]
    return 2 * row[-1] / (len(one) + len(other))


def _next(row: list[int], word: str, other: list[str]) -> Iterator[int]:
    yield (last := 0)
    for place, candidate in enumerate(other):
        last = row[place] + 1 if candidate == word else max(last, row[place + 1])
        yield last
