"""Functions that a model wrote to check an instruction: `evaluate(response) -> bool`, called in the sandbox.

    run([Calls("def evaluate(response):\n    return response.isupper()", ["HI", "Hi"])])  # said: [True, False]

A function is run as a program of its own: its imports and helpers are what `evaluate` sees. Each call begins anew, with the same
seed, so that what it says of one text depends on no other text. All texts of a function go into one process. Where that ends early
(by a limit, or since the function ends its process), each text gets a process of its own, so that one text costs no other its
verdict. A function that meets a limit PATIENCE times is asked no more.

What a function is to say never enters the sandbox.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import BadInput
from .processes import Outcome
from .sandbox import Limits, Program, Sandbox
from .verify import Asked, Checked

USUAL = Limits(seconds=5, megabytes=512)
PATIENCE = 3  # limits that a function may meet
TOGETHER = 50  # texts in one process
SHOWN = 20  # characters of what a function returns that is no truth value
# runs in the process: of each text [what the function returns, the name of its error], or why it cannot be loaded, as [[name]]
HARNESS = """
import random, sys, types

def calls(source, texts):
    said = []
    for text in texts:
        module = sys.modules["program"] = types.ModuleType("program")
        random.seed(0)
        try:
            exec(compile(source, "function", "exec", dont_inherit=True), module.__dict__)
            function = module.evaluate
        except BaseException as error:
            return [[type(error).__name__]]
        try:
            value = function(text)
            said.append([value if type(value) is bool else str(value)[:20], None])
        except BaseException as error:
            said.append([None, type(error).__name__])
    return said
"""
LIMITED = ("timeout", "memory")
WORDS = {"timeout": "time limit", "memory": "memory limit", "output": "output limit"}


class Calls(NamedTuple):
    """A function, as source, and the texts that it is called with."""

    source: str
    texts: Sequence[str]


class Said(NamedTuple):
    """What a function says of a text. truth: None where it says nothing, and `why` says why."""

    truth: bool | None
    why: str | None = None


class Function(NamedTuple):
    """What became of a function. broken: why it cannot be loaded; then it says nothing. said: of each text."""

    broken: str | None
    said: list[Said]


def truth(value: Any) -> bool | None:
    """Return the truth value that a function, or a case, means; None where it is none.

    Models write True, "True", "true" and 1 for the same, in their functions and in their cases.
    """
    return {"true": True, "1": True, "false": False, "0": False}.get(str(value).strip().casefold())


def run(functions: Sequence[Calls], limits: Limits = USUAL) -> list[Function]:
    """Return what became of functions, in their order. One sandbox serves all.

    Raises:
        Refused: of sandbox, when no guard holds here, before any function runs.
    """
    parts = [
        (number, one._replace(texts=one.texts[start : start + TOGETHER]))
        for number, one in enumerate(functions)
        for start in range(0, len(one.texts), TOGETHER)
    ]
    found: list[list[Function]] = [[] for _ in functions]
    with Sandbox(limits) as box:
        outcomes = box.map(_program(part) for _, part in parts)

        def settled(place: int) -> Function:
            part = parts[place][1]
            return _read(outcomes[place], part) or _one_by_one(box, part)

        for (number, _), one in zip(parts, box.pool.map(settled, range(len(parts))), strict=True):
            found[number].append(one)
    return [_joined(several) for several in found]


def _program(part: Calls) -> Program:
    return Program((HARNESS,), ("calls", [part.source, [*part.texts]]))


def _read(outcome: Outcome, part: Calls) -> Function | None:
    """Return what a process reports; None where it did not come to its end."""
    if outcome.kind != "passed":
        return None
    match outcome.value:
        case [[str(why)]]:
            return Function(why, [Said(None, f"cannot be loaded: {why}")] * len(part.texts))
        case [*pairs] if len(pairs) == len(part.texts) and all(
            isinstance(pair, list) and len(pair) == 2 for pair in pairs
        ):
            return Function(None, [_of(*pair) for pair in pairs])
    return Function(None, [Said(None, "no report")] * len(part.texts))


def _of(value: Any, error: Any) -> Said:
    if error is not None:
        return Said(None, str(error)[:SHOWN])
    found = truth(value)
    return Said(found, None if found is not None else f"returns {value!r}"[: SHOWN + 10])


def _one_by_one(box: Sandbox, part: Calls) -> Function:
    said: list[Said] = []
    met = 0
    for text in part.texts:
        if met >= PATIENCE:
            said.append(Said(None, "given up"))
            continue
        outcome = box.call(HARNESS, "calls", [part.source, [text]])
        if one := _read(outcome, Calls(part.source, [text])):
            said += one.said
        else:
            said.append(Said(None, WORDS.get(outcome.kind, outcome.kind)))
            met += outcome.kind in LIMITED
    return Function(None, said)


def _joined(several: list[Function]) -> Function:
    broken = next((part.broken for part in several if part.broken), None)
    return Function(broken, [said for part in several for said in part.said])


# --- responses, by the functions that come with their instruction

MEASURE = "functions"
NO_FUNCTIONS = Checked(None, None, "no verifier functions")


def functions_of(reference: str | None) -> list[str]:
    """Return the functions that an item's reference holds; none where it is no JSON that names them."""
    try:
        found = json.loads(reference or "null")
    except ValueError:
        return []
    functions = found.get("functions") if isinstance(found, dict) else None
    return [one for one in functions if isinstance(one, str)] if isinstance(functions, list) else []


def check(answers: Sequence[Asked], checker: Mapping[str, Any]) -> list[Checked]:
    """Return which share of its item's functions says yes to each answer, in their order.

    A function that fails, or says nothing, has not said yes. The references are JSON with `functions`, as AutoIF's sets have them; an
    answer to any other item has no score.

    Args:
        checker: the config's entry, of which `seconds` (of CPU time) and `megabytes` count.
    Raises:
        Refused: of sandbox, when no guard holds here, before any answer is checked.
    """
    sources = [functions_of(one.reference) for one in answers]
    texts: dict[str, dict[str, None]] = {}
    for one, own in zip(answers, sources, strict=True):
        for source in own:
            texts.setdefault(source, {})[one.text] = None
    if not texts:
        return [NO_FUNCTIONS] * len(answers)
    calls = [Calls(source, [*asked]) for source, asked in texts.items()]
    found = run(calls, Limits(seconds=checker["seconds"], megabytes=checker["megabytes"]))
    yes = {
        (one.source, text): said.truth is True
        for one, function in zip(calls, found, strict=True)
        for text, said in zip(one.texts, function.said, strict=True)
    }
    return [
        _checked(sum(yes[source, one.text] for source in own), len(own)) if own else NO_FUNCTIONS
        for one, own in zip(answers, sources, strict=True)
    ]


def _checked(met: int, of: int) -> Checked:
    verdict = "right" if met == of else "partly right" if met else "wrong"
    return Checked(met / of, verdict, None, {MEASURE: (met, of)})


def reference(instruction: str, functions: Sequence[str]) -> str:
    """Return the reference of an item whose answers these functions check. Raises BadInput where there is none."""
    if not functions:
        raise BadInput(f"{instruction!r}: no verifier function; leave the instruction out")
    return json.dumps({"functions": [*functions], "instruction": instruction}, ensure_ascii=False, sort_keys=True)
