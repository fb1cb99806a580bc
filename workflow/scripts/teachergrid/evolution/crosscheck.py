"""Verifier functions and test cases that a model wrote: each is trusted as far as the others agree.

A reply is JSON with `func`, the source of `evaluate(response) -> bool`, and `cases`, each with `input` and `output`. It may stand in a
fence, or in prose; strings may hold real line breaks, and a function a fence of its own.

There are two rules, as AutoIF's paper (arXiv 2406.13542, section 3) and its code differ:

- `paper`: a case stays if more than half of the functions are right about it; a function stays if it is right about more than half of
  these cases.
- `code`: at least 3 functions and 10 cases, all different; a case stays if any function is right about it; a function stays if it
  is right about at least 0.8 of these cases.

A function that cannot be loaded does not take part. One that fails on a case, or says nothing, is wrong about it. All functions are
called with all cases of their instruction, in the sandbox; what they are to say stays outside.
"""

import ast
import json
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from ..store import shards
from ..tasks import answers, verifiers
from ..tasks.sandbox import Limits
from ..tasks.verifiers import truth

ENTRY = "evaluate"
OTHER_NAMES = {"func": ("func", "function", "code"), "cases": ("cases", "test_cases", "tests")}
SHARD = 64  # instructions after which what their functions said is saved
SAID = pa.schema(
    [
        ("instruction", pa.int32()),
        ("function", pa.int32()),
        ("broken", pa.string()),
        ("said", pa.list_(pa.bool_())),
        ("why", pa.list_(pa.string())),
    ]
)


class Case(NamedTuple):
    """A response, and whether it follows the instruction."""

    text: str
    wanted: bool


class Reply(NamedTuple):
    """What a reply holds. source: of the function, None where there is none that could run; `problem` says why."""

    source: str | None
    cases: list[Case]
    problem: str | None


class Written(NamedTuple):
    """All that was written for one instruction. problems: of its replies, in their order."""

    functions: list[str]
    cases: list[Case]
    problems: list[str]


def written(replies: Sequence[str]) -> Written:
    """Return the distinct functions and cases of all replies about one instruction, in the order in which they come first."""
    found = [read(reply) for reply in replies]
    functions = dict.fromkeys(one.source for one in found if one.source is not None)
    cases = dict.fromkeys(case for one in found for case in one.cases)
    return Written([*functions], [*cases], [one.problem for one in found if one.problem])


def read(reply: str) -> Reply:
    """Return the function and the cases of a reply. Cases without a text, or without a truth value, do not count."""
    held = next((one for one in objects(reply) if _value(one, "func") is not None), None)
    if held is None:
        return Reply(None, [], "no JSON")
    cases = [*_cases(_value(held, "cases"))]
    text = _value(held, "func")
    if not isinstance(text, str) or not text.strip():
        return Reply(None, cases, "no function")
    source = _source(text)
    if answers.parsed(source) is None:
        return Reply(None, cases, "no Python")
    if not answers.defines(source, ENTRY):
        return Reply(None, cases, f"no `{ENTRY}`")
    return Reply(source, cases, None)


def objects(reply: str) -> Iterator[dict]:
    """Yield the JSON objects that a reply holds: in its fences, as a whole, from its first brace to its last."""
    inner = reply[reply.find("{") : reply.rfind("}") + 1]
    for text in (*answers.blocks(reply), reply, inner):
        value = _loaded(text.strip())
        if isinstance(value, dict):
            yield value


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _value(held: Mapping[str, Any], key: str) -> Any:
    return next((held[name] for name in OTHER_NAMES[key] if name in held), None)


def _source(text: str) -> str:
    """Return the source of a function, out of its fence, with the line breaks that a model wrote as two characters."""
    code = next((block for block in answers.blocks(text) if answers.defines(block, ENTRY)), text).strip()
    if (
        answers.parsed(code) is None
        and "\\n" in code
        and answers.parsed(broken := code.replace("\\n", "\n")) is not None
    ):
        return broken
    return code


def _cases(value: Any) -> Iterator[Case]:
    for one in value if isinstance(value, list) else []:
        if isinstance(one, dict) and isinstance(one.get("input"), str):
            wanted = truth(one.get("output"))
            if wanted is not None:
                yield Case(one["input"], wanted)


# --- which of them are trusted


class Rule(NamedTuple):
    """When functions and cases stay.

    functions, cases: the fewest with which an instruction is considered. case_share: of functions that are right about a case; 0: any
    one is enough. function_share: of cases that a function is right about. more: whether shares have to be exceeded, and not only met.
    """

    functions: int
    cases: int
    case_share: float
    function_share: float
    more: bool


# by name; as_published: of arXiv 2412.11231, whose code asks for no more than one of each
RULES = {"paper": Rule(1, 1, 0.5, 0.5, True), "code": Rule(3, 10, 0.0, 0.8, False)}
PUBLISHED = Rule(1, 1, 0.0, 0.8, False)


class Outcome(NamedTuple):
    """What is left of an instruction. why: it is left out, None where it stays. loaded: functions that took part."""

    functions: list[str]
    cases: list[Case]
    loaded: int
    why: str | None


def rule_of(settings: Mapping[str, Any]) -> Rule:
    """Return the rule of a config entry: `rule` names it, keys that are not null replace its numbers."""
    rule = RULES[settings["rule"]]
    stated = {name: settings[name] for name in ("functions", "cases", "case_share", "function_share")}
    return rule._replace(**{name: value for name, value in stated.items() if value is not None})


def called(items: Sequence[Written], limits: Limits, work: Path | None = None) -> list[list[verifiers.Function]]:
    """Return what the functions of each instruction say of its cases.

    Args:
        work: folder in which finished parts are saved, so that a job that was killed goes on; None: nothing is saved.
    Raises:
        Refused: of tasks.sandbox, when no guard holds here.
    """
    bounds = shards.bounds(len(items), SHARD)

    def make(i: int) -> list[dict]:
        first, last = bounds[i]
        calls = [
            (number, place, verifiers.Calls(source, [case.text for case in items[number].cases]))
            for number in range(first, last)
            for place, source in enumerate(items[number].functions)
        ]
        found = verifiers.run([one for _, _, one in calls], limits)
        return [
            {
                "instruction": number,
                "function": place,
                "broken": function.broken,
                "said": [said.truth for said in function.said],
                "why": [said.why for said in function.said],
            }
            for (number, place, _), function in zip(calls, found, strict=True)
        ]

    if work is None:
        rows = [row for i in range(len(bounds)) for row in make(i)]
    else:
        tables = shards.run(work, len(bounds), make, SAID, "instructions cross-checked")
        rows = [row for table in tables for row in table.to_pylist()]
    result: list[list[verifiers.Function]] = [[] for _ in items]
    for row in rows:
        said = [verifiers.Said(*pair) for pair in zip(row["said"], row["why"], strict=True)]
        result[row["instruction"]].append(verifiers.Function(row["broken"], said))
    return result


def validated(item: Written, found: Sequence[verifiers.Function], rule: Rule) -> Outcome:
    """Return what is left of an instruction's functions and cases. found: what each function says of each case."""
    loaded = [i for i, function in enumerate(found) if function.broken is None]

    def outcome(why: str | None, functions: Sequence[int] = (), cases: Sequence[int] = ()) -> Outcome:
        return Outcome([item.functions[i] for i in functions], [item.cases[j] for j in cases], len(loaded), why)

    if len(loaded) < max(rule.functions, 1):
        return outcome(
            f"{_number(len(loaded), 'function')} that can be loaded; the rule asks for {max(rule.functions, 1)}"
        )
    if len(item.cases) < max(rule.cases, 1):
        return outcome(f"{_number(len(item.cases), 'case')}; the rule asks for {max(rule.cases, 1)}")
    right = {(i, j): found[i].said[j].truth is case.wanted for i in loaded for j, case in enumerate(item.cases)}
    enough: Callable[[float, float], bool] = operator.gt if rule.more else operator.ge

    def agreed(j: int) -> bool:
        votes = sum(right[i, j] for i in loaded)
        return votes > 0 and enough(votes / len(loaded), rule.case_share)

    cases = [j for j in range(len(item.cases)) if agreed(j)]
    if not cases:
        return outcome("no case on which functions agree")
    functions = [i for i in loaded if enough(sum(right[i, j] for j in cases) / len(cases), rule.function_share)]
    if not functions:
        return outcome("no function that is right often enough")
    return outcome(None, functions, cases)


def answer(instruction: str, outcome: Outcome) -> str:
    """Return what is left of an instruction's functions and cases as JSON, with its text."""
    cases = [{"input": case.text, "output": case.wanted} for case in outcome.cases]
    held = {"instruction": instruction, "functions": outcome.functions, "cases": cases}
    return json.dumps(held, ensure_ascii=False, sort_keys=True)


def parts(
    item: Written, found: Sequence[verifiers.Function], outcome: Outcome
) -> Iterator[tuple[str, str, str | None]]:
    """Yield (reply, function or case; its text; why it is left out, None where it stays) of what was written for an instruction."""
    gone = "its instruction is left out" if outcome.why else None
    yield from (("reply", "", problem) for problem in item.problems)
    for source, function in zip(item.functions, found, strict=True):
        broken = f"cannot be loaded: {function.broken}" if function.broken else None
        yield "function", source, None if source in outcome.functions else broken or gone or "wrong too often"
    for case in item.cases:
        yield "case", case.text, None if case in outcome.cases else gone or "too few functions agree"


def _number(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"
