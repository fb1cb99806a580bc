"""What AutoIF's sets are made of (Dong et al. 2024, arXiv 2406.13542): constraints, their verifier functions, and queries with both.

All functions are pure: they get the rows of other sets and the responses to them, and return rows and what became of each.
"""

import hashlib
import json
import random
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from ..data.files import message_id
from ..errors import BadInput
from ..tasks import verifiers
from ..tasks.sandbox import Limits
from . import crosscheck
from .steps import Fate, Given, Made, Row
from .texts import filled

Settings = dict[str, Any]
# how a line begins that talks about the list instead of being on it
_CHATTY = re.compile(
    r"(sure|certainly|of course|absolutely|okay|ok|here (are|is)|these are|note that|note:|i hope|hope this|i have|i've|i can|i will|i'll|"
    r"let me|feel free|please let|as an ai|thank you)\b",
    re.IGNORECASE,
)
_MARK = re.compile(r"\s*(?:[-*\u2022]|\(?\d{1,4}[.):])\s+")
_LABEL = re.compile(
    r"\s*(?:\*\*)?(?:the )?(?:back-?translated |original )?instruction(?:\*\*)?\s*:(?:\*\*)?\s*", re.IGNORECASE
)
_QUOTES = "\"'`\u201c\u201d\u2018\u2019*"
_VERDICT = re.compile(r"verdict\W{0,5}(entailment|neutral|contradiction)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
LONGEST = 400  # characters of a constraint
CONTRADICTION = "contradiction"


def _row(text: str, given: Given, **more: Any) -> Row:
    """Return a row of artifacts.INSTRUCTIONS with one user turn. more: its other columns; key: what sets apart rows of equal text."""
    key = more.pop("key", None)
    messages = [{"role": "user", "content": text}]
    usual = {"answer": None, "source": given.name, "category": None, "parent_id": None, "operator": None, "round": 0}
    return {"id": message_id(messages, key), "messages": messages, **usual, **more}


def _text(row: Row) -> str:
    return row["messages"][-1]["content"]


def _responses(given: Given, asked: Row, which: int = 0) -> list[str]:
    """Return what was answered to a row; an answer that was cut off counts, since most of it may be whole."""
    return [one["response"] for one in given.responses[which].get(asked["id"], [])]


# --- constraints


def ask_instructions(given: Given, settings: Settings) -> Made:
    """Return the prompts that ask for new constraints: `calls` of them, each with seeds in an order of its own."""
    rows = []
    for call in range(settings["calls"]):
        seeds = [*settings["seeds"]]
        if settings["shuffle"]:
            random.Random(f"{settings['seed']}/{call}").shuffle(seeds)
        shown = seeds[: settings["shown"] or len(seeds)]
        words = {"seeds": "\n".join(shown), "number": str(settings["each"])}
        rows.append(_row(filled(settings["text"], words), given, key=f"call {call}"))
    return Made(rows)


def read_instructions(given: Given, settings: Settings) -> Made:
    """Return the seeds and the constraints that were answered, one a line, each once; with the fate of every line.

    Without `clean` each line that holds text counts as it is, repeated or not.
    """
    rows = [_row(text, given, operator="seed") for text in settings["seeds"]]
    fates = []
    seen = {_normal(text) for text in settings["seeds"]}
    for asked in given.sets[0]:
        for number, line in enumerate("\n".join(_responses(given, asked)).splitlines()):
            if not (text := line.strip()):
                continue
            reason = key = None
            if settings["clean"]:
                text = _bare(text)
                reason = _why_not(text, seen)
                seen.add(_normal(text))
            else:
                key = f"{asked['id']}/{number}"  # lines may be equal
            row = None if reason else _row(text, given, parent_id=asked["id"], operator="self-instruct", key=key)
            rows += [row] if row else []
            fates.append(Fate(asked["id"], "line", row, reason, line))
    return Made(rows, fates)


def _bare(line: str) -> str:
    """Return a line without the number or mark of a list, and the quotes around it."""
    return _MARK.sub("", line, count=1).strip().strip(_QUOTES).strip()


def _normal(text: str) -> str:
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def _why_not(text: str, seen: set[str]) -> str | None:
    """Return why a line is no new constraint, or None. seen: the words of those before it."""
    if len(_WORD.findall(text)) < 3:
        return "fewer than 3 words"
    if text.endswith((":", "?")) or _CHATTY.match(text):
        return "talks about the list"
    if len(text) > LONGEST:
        return f"more than {LONGEST} characters"
    return "repeated" if _normal(text) in seen else None


# --- functions and cases


def ask_functions(given: Given, settings: Settings) -> Made:
    """Return the prompts that ask for a function and cases: `samples` of each constraint, the same text with noise of their own."""
    return Made(
        [
            _row(
                filled(settings["text"], {"instruction": _text(one)}),
                given,
                parent_id=one["id"],
                key=f"{one['id']}/{k}",
            )
            for one in given.sets[0]
            for k in range(settings["samples"])
        ]
    )


def read_functions(given: Given, settings: Settings) -> Made:
    """Return the constraints whose functions and cases agree (crosscheck.py); `answer` holds both as JSON."""
    instructions, asked = given.sets
    replies: dict[str, list[str]] = {}
    for one in asked:
        replies.setdefault(one["parent_id"], []).extend(_responses(given, one))
    written = [crosscheck.written(replies.get(one["id"], [])) for one in instructions]
    limits = Limits(seconds=settings["seconds"], megabytes=settings["megabytes"])
    rule = crosscheck.Rule(*(settings[name] for name in crosscheck.Rule._fields))
    said = crosscheck.called(written, limits, given.work)
    rows, fates = [], []
    for one, item, found in zip(instructions, written, said, strict=True):
        outcome = crosscheck.validated(item, found, rule)
        row = None
        if outcome.why is None:
            row = {**one, "answer": crosscheck.answer(_text(one), outcome), "source": given.name}
            rows.append(row)
        fates.append(Fate(one["id"], "instruction", row, outcome.why, _text(one)))
        for what, text, reason in crosscheck.parts(item, found, outcome):
            fates.append(Fate(one["id"], what, None if reason else row, reason, text))
    return Made(rows, fates)


# --- back-translation, and whether it says the same


def ask_back(given: Given, settings: Settings) -> Made:
    """Return the prompts that ask which instruction a function checks: of the first `at_most` functions of each constraint."""
    return Made(
        [
            _row(filled(settings["text"], {"function": source}), given, parent_id=one["id"], key=f"{one['id']}/{k}")
            for one in given.sets[0]
            for k, source in enumerate(json.loads(one["answer"])["functions"][: settings["at_most"]])
        ]
    )


def ask_entailment(given: Given, settings: Settings) -> Made:
    """Return the prompts that ask whether a constraint and a back-translation of its function contradict each other."""
    instructions, asked = given.sets
    texts = {one["id"]: _text(one) for one in instructions}
    rows, fates = [], []
    for one in asked:
        back = _back("\n".join(_responses(given, one)[:1]))
        premise = texts[one["parent_id"]]
        prompt = filled(settings["text"], {"premise": premise, "hypothesis": back})
        row = _row(prompt, given, parent_id=one["parent_id"], key=one["id"]) if back else None
        rows += [row] if row else []
        fates.append(Fate(one["parent_id"], "back-translation", row, None if back else "no text", back))
    return Made(rows, fates)


def _back(reply: str) -> str:
    """Return the instruction that a reply says: its first paragraph, without label and quotes."""
    bare = _LABEL.sub("", reply.strip(), count=1).strip()
    return " ".join(bare.split("\n\n")[0].split()).strip(_QUOTES).strip()


def verdict(reply: str) -> str | None:
    """Return entailment, neutral or contradiction as a reply says it in its last verdict, or alone; None where it says none."""
    found = _VERDICT.findall(reply)
    alone = reply.strip().strip(".*`\"'").casefold()
    if not found and alone in ("entailment", "neutral", CONTRADICTION):
        return alone
    return found[-1].casefold() if found else None


def read_entailment(given: Given, settings: Settings) -> Made:  # noqa: ARG001 (the interface of stages)
    """Return the constraints of which no back-translation contradicts them; one without any verdict is left out, too."""
    instructions, asked = given.sets
    verdicts: dict[str, list[str | None]] = {}
    fates = []
    for one in asked:
        reply = "\n".join(_responses(given, one)[:1])
        verdicts.setdefault(one["parent_id"], []).append(said := verdict(reply))
        reason = CONTRADICTION if said == CONTRADICTION else None if said else "no verdict"
        fates.append(Fate(one["parent_id"], "verdict", None if reason else one, reason, reply))
    rows = []
    for one in instructions:
        found = [said for said in verdicts.get(one["id"], []) if said]
        reason = "no verdict" if not found else "a back-translation contradicts it" if CONTRADICTION in found else None
        rows += [] if reason else [row := {**one, "source": given.name}]
        fates.append(Fate(one["id"], "instruction", None if reason else row, reason, _text(one)))
    return Made(rows, fates)


# --- queries


def join_queries(given: Given, settings: Settings) -> Made:
    """Return queries with a constraint behind each: `query + " " + constraint` in one user turn; `answer` holds its functions.

    Constraints are drawn by a hash of their id, `constraints` of them. The queries of the first, second ... constraint are the same for
    all evolutions with the same seed and number of constraints, so that sets of several evolvers differ in the constraints alone.
    """
    constraints, queries = given.sets
    fitting = [one for one in queries if settings["shortest"] < len(_text(one)) < settings["longest"]]
    if len(fitting) < settings["queries"]:
        raise BadInput(
            f"{given.name}: {len(fitting)} queries have more than {settings['shortest']} and fewer than {settings['longest']} "
            f"characters, and `queries` asks for {settings['queries']} to each constraint; lower it, or take a larger set"
        )
    rows = []
    for slot, constraint in enumerate(_drawn(constraints, settings, given.name)):
        held = json.loads(constraint["answer"])
        answer = verifiers.reference(held["instruction"], held["functions"])
        for query in _picked(fitting, slot, settings):
            last = {"role": "user", "content": f"{_text(query)} {held['instruction']}"}
            messages = [*query["messages"][:-1], last]
            more = {
                "answer": answer,
                "category": query["category"],
                "parent_id": query["id"],
                "operator": "autoif",
                "round": 1,
            }
            rows.append({"id": message_id(messages), "messages": messages, "source": given.name, **more})
    return Made(rows, [Fate(row["parent_id"], row["operator"], row, None, "") for row in rows])


def _drawn(constraints: Sequence[Row], settings: Settings, name: str) -> list[Row]:
    wanted = settings["constraints"]
    if wanted is not None and wanted > len(constraints):
        raise BadInput(
            f"{name}: {len(constraints)} constraints are left, and `constraints` asks for {wanted}; lower it in all evolutions that "
            "you compare"
        )
    order = sorted(constraints, key=lambda one: hashlib.sha256(f"{settings['seed']}/{one['id']}".encode()).digest())
    return order[:wanted]


def _picked(queries: Sequence[Row], slot: int, settings: Settings) -> Iterator[Row]:
    """Yield different queries, drawn by a hash of the seed and the number of the constraint."""
    taken: set[int] = set()
    draw = 0
    while len(taken) < settings["queries"]:
        digest = hashlib.sha256(f"{settings['seed']}/{slot}/{draw}".encode()).digest()
        place, draw = int.from_bytes(digest[:8], "big") % len(queries), draw + 1
        if place not in taken:
            taken.add(place)
            yield queries[place]
