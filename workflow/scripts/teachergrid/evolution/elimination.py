"""Which rewritten instructions are no use: rules on the text, and a model that is asked whether anything changed.

Each rule is a line in RULES. Limits: refusals are recognised by English openings, languages by their script alone, and an answer
in the place of an instruction is found only by what it copies from the prompt.
"""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from ..data.contamination import normal
from ..data.files import message_id
from ..data.health import refused, script
from ..store.artifacts import CUT_OFF
from . import texts
from .steps import Fate, Given, Made, Row, last_turn, pool

# a first line that only announces what follows
_ANNOUNCEMENT = re.compile(r"(?:sure|certainly|of course|okay|ok|here|below|absolutely)\b[^\n]{0,200}:\s*\n+", re.I)
_FENCE = re.compile(r"```[\w-]*\n((?:(?!```).)*)\n```", re.S)
_QUOTES = ('"', '"'), ("\u201c", "\u201d"), ("'", "'")
# words that carry no request
_STOP = set(
    normal(
        "a an and are as at be by do for from has have i in is it its of on or so that the this to was we were with you"
    )
)


def written(text: str, settings: dict[str, Any]) -> str:
    """Return the instruction in what an evolver wrote.

    settings: `published`: white space is stripped and nothing else. `final`: the label, or labels, of the section that holds the
    result, where the prompt asks for sections. `labels`: what the prompt calls its parts.
    """
    text = text.strip()
    if settings["final"]:
        text = _section(text, settings["final"])
    if settings["published"]:
        return text
    if announced := _ANNOUNCEMENT.match(text):
        text = text[announced.end() :].strip()
    for label in settings["labels"]:
        start = re.match(rf"[#*\s]*{re.escape(label)}[#*\s]*:?[*\s]*\n?", text, re.I)
        if start and start.end() < len(text) and text[start.end() - 1] in ":\n*# ":
            text = text[start.end() :].strip()
    if fenced := _FENCE.fullmatch(text):
        text = fenced[1].strip()
    for opening, closing in _QUOTES:
        if len(text) > 1 and text[0] == opening and text[-1] == closing and not {opening, closing} & {*text[1:-1]}:
            text = text[1:-1].strip()
    return text


def _section(text: str, labels: list[str]) -> str:
    """Return what follows the last of the labels; "" where there is none: the section was not written."""
    marks = "|".join(map(re.escape, labels))
    found = [*re.finditer(rf"^[#*\s]*(?:{marks})[#*\s]*:?[*]*", text, re.I | re.M)]
    return text[found[-1].end() :].strip() if found else ""


class Draft(NamedTuple):
    """A rewritten instruction as the rules see it. parent: the text that was to be rewritten. ended: the finish reason."""

    text: str
    parent: str
    ended: str


def verdict(draft: Draft, settings: dict[str, Any]) -> str | None:
    """Return why a rewritten instruction is left out; None where it is kept.

    Args:
        draft: with the text that `written` returns. An empty one is always left out.
        settings: `eliminate`: names of the rules; what the rules read.
    """
    if draft.ended.startswith("prompt_"):
        return draft.ended.replace("_", " ")
    if not draft.text:
        return "empty"
    return next((name for name in settings["eliminate"] if RULES[name](draft, settings)), None)


def _equal(draft: Draft, settings: dict[str, Any]) -> bool:
    """Whether fewer words came or went than the setting asks for."""
    new, old = Counter(normal(draft.text)), Counter(normal(draft.parent))
    if not new and not old:
        return draft.text == draft.parent
    return (new - old).total() + (old - new).total() < settings["least_change"]


def _labels(draft: Draft, settings: dict[str, Any]) -> bool:
    """Whether the text has words of the prompt's template that its parent has not."""
    text, parent = draft.text.casefold(), draft.parent.casefold()
    return any(label.casefold() in text and label.casefold() not in parent for label in settings["labels"])


def _other_script(draft: Draft, _: dict[str, Any]) -> bool:
    scripts = {script(draft.text), script(draft.parent)}
    return None not in scripts and len(scripts) == 2


def _long(draft: Draft, settings: dict[str, Any]) -> bool:
    return len(draft.text.split()) > len(draft.parent.split()) + settings["most_words"]


# {name in the config: function of (draft, settings)}; the first that holds is the reason
RULES: dict[str, Callable[[Draft, dict[str, Any]], bool]] = {
    "cut-off": lambda draft, _: draft.ended in CUT_OFF,
    "refusal": lambda draft, _: refused(draft.text),
    "labels": _labels,
    "punctuation": lambda draft, _: all(word in _STOP for word in normal(draft.text)),
    "language": _other_script,
    "long": _long,
    "equal": _equal,
}


# --- a model says which rewritten instructions ask for the same as before


def ask_equal(given: Given, settings: dict[str, Any]) -> Made:
    """Return a prompt for each rewritten instruction: does it ask for the same as its parent?

    Args:
        given: sets: the seeds, the rounds so far, and the rewritten ones.
        settings: `text`: prompt with {parent} and {instruction}; `retry`, of which the pool hangs.
    """
    seeds, *rounds, drafts = given.sets
    parents = {row["id"]: row for row in pool(seeds, rounds, settings["retry"])}
    rows = []
    for row in drafts:
        values = {"parent": last_turn(parents[row["parent_id"]]), "instruction": last_turn(row)}
        messages = [{"role": "user", "content": texts.filled(settings["text"], values)}]
        asked = {**row, "id": message_id(messages, row["id"]), "messages": messages, "parent_id": row["id"]}
        rows.append({**asked, "answer": None})
    return Made(rows)


def read_equal(given: Given, settings: dict[str, Any]) -> Made:
    """Return the rewritten instructions that a model does not find equal to their parents. What it says unclearly keeps a row.

    Args:
        given: sets: what `ask_equal` got, then its prompts. responses: the model's.
        settings: `equal`: the word that says so; `retry`; `keep`: a parent stands for its row that is left out.
    """
    seeds, *rounds, drafts, asked = given.sets
    said: dict[str, str] = {}
    for prompt in asked:
        replies = given.responses[0].get(prompt["id"], [])
        said[prompt["parent_id"]] = replies[0]["response"] if replies else ""
    fates = []
    for row in drafts:
        same = _last_word(said.get(row["id"], "")) == settings["equal"].casefold()
        fates.append(
            Fate(
                row["parent_id"],
                row["operator"],
                None if same else row,
                "equal, by a judge" if same else None,
                said.get(row["id"], ""),
            )
        )
    return Made(surviving(pool(seeds, rounds, settings["retry"]), fates, settings["keep"]), fates)


def surviving(parents: list[Row], fates: list[Fate], keep: bool) -> list[Row]:
    """Return the rows of a round in the order of its pool. keep: the parent itself stands for a row that failed."""
    children = {fate.parent: fate.row for fate in fates if fate.row is not None}
    rows = [children.get(row["id"], row if keep else None) for row in parents]
    return [row for row in rows if row is not None]


def _last_word(text: str) -> str:
    words = normal(text)
    return words[-1] if words else ""
