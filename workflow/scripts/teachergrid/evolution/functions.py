"""Verifier functions and test cases that a model wrote for an instruction, as its replies hold them.

A reply is JSON with `func`, the source of `evaluate(response) -> bool`, and `cases`, each with `input` and `output`. It may stand in a
fence, or in prose; strings may hold real line breaks, and a function a fence of its own.
"""

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..tasks import answers
from ..tasks.verifiers import truth

ENTRY = "evaluate"
OTHER_NAMES = {"func": ("func", "function", "code"), "cases": ("cases", "test_cases", "tests")}


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
    held = next(_objects(reply), None)
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


def _objects(reply: str) -> Iterator[dict]:
    """Yield the objects that a reply holds: in its fences, as a whole, from its first brace to its last."""
    inner = reply[reply.find("{") : reply.rfind("}") + 1]
    for text in (*answers.blocks(reply), reply, inner):
        value = _loaded(text.strip())
        if isinstance(value, dict) and _value(value, "func") is not None:
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
