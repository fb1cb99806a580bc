"""Replies that hold a verifier function and cases: odd ones, with what they hold by hand."""

import json

import pytest
from teachergrid.evolution.crosscheck import Case, read, written

CODE = "def evaluate(response):\n    return '\\n' in response"
CASES = [{"input": "a\nb", "output": True}, {"input": "ab", "output": False}]
REPLY = json.dumps({"func": CODE, "cases": CASES})
FOUND = [Case("a\nb", True), Case("ab", False)]


@pytest.mark.parametrize(
    "reply",
    [
        REPLY,
        f"```json\n{REPLY}\n```",
        f"Of course!\n\n```\n{REPLY}\n```\nIt looks for a line break.",
        f"Here it is: {REPLY} I hope that helps.",
        REPLY.replace("true", '"True"').replace("false", '"false"'),
        # Python's words, and real line breaks in strings
        repr({"func": CODE, "cases": CASES}),
        json.dumps({"func": CODE, "cases": CASES}).replace("response):\\n", "response):\n"),
        json.dumps({"func": f"```python\n{CODE}\n```", "cases": CASES}),
        json.dumps({"function": CODE, "test_cases": CASES}),
    ],
)
def test_what_is_written_in_other_ways_is_read(reply):
    assert read(reply) == (CODE, FOUND, None)


def test_line_breaks_that_were_written_as_two_characters():
    source = "def evaluate(response):\n    return True"
    assert read(json.dumps({"func": source.replace("\n", "\\n"), "cases": []})).source == source


@pytest.mark.parametrize(
    ("reply", "problem", "cases"),
    [
        ("", "no JSON", []),
        ("I cannot do that.", "no JSON", []),
        ('{"func": "def evaluate', "no JSON", []),
        ("[" * 100_000, "no JSON", []),
        (json.dumps({"func": 3, "cases": CASES}), "no function", FOUND),
        (json.dumps({"func": "def evaluate(response", "cases": CASES}), "no Python", FOUND),
        (json.dumps({"func": "def check(response): return True", "cases": CASES}), "no `evaluate`", FOUND),
        (json.dumps({"func": CODE, "cases": [{"input": 3, "output": True}, {"input": "a"}, 4, *CASES]}), None, FOUND),
        (json.dumps({"func": CODE, "cases": "none"}), None, []),
    ],
)
def test_what_cannot_be_read_says_why(reply, problem, cases):
    found = read(reply)
    assert (found.problem, found.cases) == (problem, cases)
    assert (found.source is None) is (problem is not None)


def test_equal_functions_and_cases_count_once():
    other = json.dumps({"func": "def evaluate(r): return True", "cases": [CASES[0], {"input": "ab", "output": True}]})
    found = written([REPLY, "no", REPLY, other])
    assert found.functions == [CODE, "def evaluate(r): return True"]
    assert found.cases == [*FOUND, Case("ab", True)] and found.problems == ["no JSON"]
