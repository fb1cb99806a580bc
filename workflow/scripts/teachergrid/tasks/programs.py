"""Check programs that answer a task such as HumanEval's or MBPP's: they run with the task's tests in the sandbox.

A reference is the row of the benchmark, as far as it checks an answer: of HumanEval `prompt` and `test` (and `entry_point`; in
HumanEval-X's form the test calls the check itself), of MBPP `test_list` or `test` (and `code`, `test_setup_code`, `test_imports`), of
MBPP+ `test`, one program with all tests (and `code`).
The code of a prompt comes first, so that an answer needs to repeat neither its imports nor its helpers.
"""

import builtins
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import BadInput
from . import answers as texts
from .sandbox import Limits, Outcome, Program, Sandbox
from .verify import Verdict

VERSION = 1  # of the rules of this module and of answers.py; another one makes the scores again
DEFAULTS: dict[str, Any] = {"seconds": 10, "megabytes": 512}
WORDS = {
    "passed": "right",
    "failed": "wrong",
    "timeout": "time limit",
    "memory": "memory limit",
    "output": "output limit",
}
NOTHING = Verdict(0.0, "no answer found", None)
# comes after the answer's program, which therefore has no numpy, and before the tests of HumanEval+ and MBPP+
NUMPY = """
def _numpy():
    import sys
    import types

    def allclose(a, b, rtol=1e-05, atol=1e-08):
        if isinstance(a, (list, tuple)) or isinstance(b, (list, tuple)):
            if not isinstance(b, (list, tuple)):
                return all(allclose(one, b, rtol, atol) for one in a)
            if not isinstance(a, (list, tuple)):
                return all(allclose(a, one, rtol, atol) for one in b)
            if len(a) != len(b):
                raise ValueError("shapes differ")
            return all(allclose(one, other, rtol, atol) for one, other in zip(a, b))
        return bool(a == b or abs(a - b) <= atol + rtol * abs(b) < float("inf"))

    module = types.ModuleType("numpy")
    module.allclose, module.ndarray = allclose, type("ndarray", (), {})
    module.float32 = module.float64 = float
    sys.modules["numpy"] = module


_numpy()
"""
_IMPORTS_NUMPY = re.compile(r"^\s*(?:import|from)[ \t]+numpy\b", re.MULTILINE)
# what tests call beside the function that they test
_HELPERS = {
    *dir(builtins),
    "assert",
    "isclose",
    "Counter",
    "OrderedDict",
    "defaultdict",
    "deque",
    "and",
    "or",
    "not",
    "in",
}


class Item(NamedTuple):
    """What checks an answer. entry: the name that the tests use. prompt: code that the answer goes on with, "" where the prompt
    is prose. setup: code that the tests need. tests: what has to come to its end."""

    entry: str
    prompt: str
    setup: str
    tests: str


def item(row: Mapping[str, Any]) -> Item:
    """Return the item of a reference.

    Raises:
        BadInput: when it has no tests, or they call nothing.
    """
    if isinstance(row.get("test"), str) and isinstance(row.get("prompt"), str):
        entry = row.get("entry_point") or _last_function(row)
        called = "" if re.search(r"^check\(", row["test"], re.MULTILINE) else f"\ncheck({entry})\n"
        return Item(entry, _lines(row["prompt"]), _setup(row["test"]), _lines(row["test"] + called))
    if isinstance(row.get("test"), str) and row["test"].strip():
        return Item(_called(row, [row["test"]]), "", _setup(row["test"]), _lines(row["test"]))
    tests = row.get("test_list") or row.get("test")
    if not isinstance(tests, list) or not tests or not all(isinstance(test, str) for test in tests):
        raise BadInput(f"{_named(row)}: it has neither `prompt` and `test` (as HumanEval) nor `test_list` (as MBPP)")
    setup = [row.get("test_setup_code") or "", *(row.get("test_imports") or [])]
    return Item(_called(row, tests), "", _lines("\n".join(filter(None, setup))), _lines("\n".join(tests)))


def _setup(tests: str) -> str:
    """Return what tests need that the sandbox does not have: what the tests of EvalPlus use of numpy, and no more."""
    return NUMPY if _IMPORTS_NUMPY.search(tests) else ""


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n")


def _named(row: Mapping[str, Any]) -> str:
    return f"row {row['task_id']}" if "task_id" in row else f"row with the keys {', '.join(map(str, row))}"


def _last_function(row: Mapping[str, Any]) -> str:
    found = re.findall(r"^(?:async )?def[ \t]+(\w+)", row["prompt"], re.MULTILINE)
    if not found:
        raise BadInput(f"{_named(row)}: its prompt defines no function; give its name as `entry_point`")
    return found[-1]


def _called(row: Mapping[str, Any], tests: Sequence[str]) -> str:
    """Return the function that MBPP's tests call: the one that the row's solution defines, else the first of their own."""
    names = [name for test in tests for name in re.findall(r"(?<![.\w])([A-Za-z_]\w*)[ \t]*\(", test)]
    known = [name for name in names if texts.defines(row.get("code") or "", name)]
    own = known or [name for name in names if name not in _HELPERS]
    if not own:
        raise BadInput(f"{_named(row)}: its tests call no function")
    return own[0]


def verdicts(
    answers: Sequence[str], references: Sequence[Mapping[str, Any] | None], checker: Mapping[str, Any]
) -> list[Verdict]:
    """Return whether each answer is a program that passes its tests, in the order of the answers. One sandbox serves all.

    Args:
        references: of the answers; None where there is none.
        checker: the config's entry, of which `seconds` (of CPU time) and `megabytes` count: what a program may use.
    Raises:
        BadInput: when a reference has no tests; sandbox.Refused when no guard holds here, before any answer is checked.
    """
    settings = DEFAULTS | {key: value for key, value in checker.items() if key in DEFAULTS}
    items = [item(row) if row else None for row in references]
    programs = [one and program(answer, one) for answer, one in zip(answers, items, strict=True)]
    with Sandbox(Limits(**settings)) as box:
        outcomes = iter(box.map(one for one in programs if one))
    return [
        Verdict(None, None, "no reference answer") if not one else of(next(outcomes)) if found else NOTHING
        for one, found in zip(items, programs, strict=True)
    ]


def program(answer: str, one: Item) -> Program | None:
    """Return an answer's program with its tests; None where the answer holds none."""
    code = texts.program(_lines(answer), one.entry, one.prompt)
    if code is None:
        return None
    return Program(tuple(part for part in (*code, one.setup, one.tests) if part.strip()))


def of(outcome: Outcome) -> Verdict:
    """Return an outcome as a verdict: right, wrong, error, time limit, memory limit or output limit."""
    return Verdict(float(outcome.kind == "passed"), WORDS.get(outcome.kind, outcome.kind), None)
