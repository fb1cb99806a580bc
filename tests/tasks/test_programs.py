"""Programs that answer HumanEval and MBPP: odd answers with verdicts made by hand, and the benchmarks' own solutions."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from teachergrid.errors import BadInput
from teachergrid.tasks import programs, sandbox
from teachergrid.tasks.sandbox import Refused

CODE = Path(__file__).parents[3] / "shared/data/code"
HUMANEVAL, MBPP = CODE / "humaneval-python_164.jsonl", CODE / "mbpp_test_500.jsonl"
# rows of the two forms, made for these tests
GROWS = {
    "task_id": "Mini/0",
    "prompt": 'from typing import List\n\n\ndef helper(x: int) -> int:\n    return x + 1\n\n\ndef grow(numbers: List[int]) -> List[int]:\n    """Add one."""\n',
    "entry_point": "grow",
    "test": "def check(candidate):\n    assert candidate([1, 2]) == [2, 3]\n    assert candidate([]) == []\n",
}
TWICE = {
    "task_id": 7,
    "text": "Write a function that doubles.",
    "test_list": ["assert twice(2) == 4", "assert set(twice('ab')) == {'a', 'b'}"],
}
QUICK = {"seconds": 1, "megabytes": 512}
RIGHT, WRONG, NOTHING, ERROR = (
    (1.0, "right", None),
    (0.0, "wrong", None),
    (0.0, "no answer found", None),
    (0.0, "error", None),
)
GOOD = "def twice(x):\n    return 2 * x"


@pytest.fixture(autouse=True, scope="module")
def guarded():
    if all(sandbox.gap(level) for level in sandbox.LEVELS):
        pytest.skip(sandbox.levels())


def fenced(code: str) -> str:
    return f"```python\n{code}\n```"


ODD = [
    (TWICE, f"Of course!\n\n{fenced(GOOD)}\n\nIt multiplies by 2.", RIGHT),
    (TWICE, GOOD, RIGHT),
    (TWICE, f"{GOOD}\n\nThis doubles its argument.", RIGHT),
    (TWICE, f"{fenced('def twice(x): return x')}\nThat is wrong. Better:\n{fenced(GOOD)}\nTry it:\n{fenced('print(twice(2))')}", RIGHT),
    (TWICE, f"{fenced(GOOD)}\nOr shorter:\n{fenced('def twice(x): return x')}", WRONG),
    (TWICE, fenced("def double(x):\n    return 2 * x"), NOTHING),
    (TWICE, "It returns 2 * x.", NOTHING),
    (TWICE, "", NOTHING),
    (TWICE, fenced("def twice(x)\n    return 2 * x"), ERROR),
    (TWICE, fenced("def twice(x):\n    while True:\n        pass"), (0.0, "time limit", None)),
    (TWICE, fenced("def twice(x):\n    print(2 * x)"), WRONG),
    (TWICE, fenced(f"import sys\n{GOOD}\nsys.exit(0)"), ERROR),
    (TWICE, fenced(f"import os\n{GOOD}\nos._exit(0)"), ERROR),
    (TWICE, fenced(f"{GOOD}\nx = int(input())"), ERROR),
    (TWICE, fenced(f"{GOOD}\nif __name__ == '__main__':\n    print(twice(int(input())))"), RIGHT),
    (TWICE, fenced("def twice(x):\n    return x + y"), ERROR),
    (TWICE, fenced("def twice(x):\n    return twice(x)"), ERROR),
    (TWICE, fenced("def twice(x):\n    return [0] * 10**9"), (0.0, "memory limit", None)),
    (TWICE, fenced(f"import numpy\n{GOOD}"), ERROR),
    (TWICE, fenced("twice = lambda x: 2 * x"), RIGHT),
    (TWICE, fenced(f"{GOOD}\nassert twice(1) == 3"), WRONG),
    (TWICE, f"```python\r\n{GOOD}".replace("\n", "\r\n"), RIGHT),
    (TWICE, fenced(GOOD.replace("x", "größe")), RIGHT),
    (TWICE, fenced(f"{GOOD}\nprint('y' * 10**7)"), RIGHT),
    (TWICE, f"[BEGIN]\n{GOOD}\n[DONE]\nWrite another", RIGHT),
    (GROWS, "    return [x + 1 for x in numbers]\n", RIGHT),
    (GROWS, "    return [helper(x) for x in numbers]\n\n\ndef check(candidate):\n    pass\n", RIGHT),
    (GROWS, "    return numbers\n", WRONG),
    (GROWS, fenced("def grow(numbers: List[int]) -> List[int]:\n    return list(map(helper, numbers))"), RIGHT),
    (GROWS, fenced("from __future__ import annotations\n\ndef grow(numbers: list[int]):\n    return [x + 1 for x in numbers]"), RIGHT),
    (GROWS, fenced("    return [x + 1 for x in numbers]"), RIGHT),
    (GROWS, fenced("def check(candidate): pass\ndef grow(numbers): return numbers"), WRONG),
    (GROWS, "  I would add one to each.\n", ERROR),
    (GROWS, "I would add one to each.", NOTHING),
]  # fmt: skip


def test_odd_answers():
    rows, answers, expected = zip(*ODD, strict=True)
    assert len(ODD) >= 20
    found = programs.verdicts(answers, rows, QUICK)
    assert [one for one in zip(answers, found, expected, strict=True) if one[1] != one[2]] == []


def test_without_a_reference_there_is_no_score():
    none = (None, None, "no reference answer")
    assert programs.verdicts([GOOD, GOOD, GOOD], [None, TWICE, {}], {}) == [none, RIGHT, none]
    assert programs.verdicts([], [], {}) == []


@pytest.mark.parametrize(
    ("row", "item"),
    [
        (GROWS, ("grow", GROWS["prompt"], "", f"{GROWS['test']}\ncheck(grow)\n")),
        # HumanEval-X: the test calls the check, and nothing names the function
        (
            {"prompt": "def g(): pass\n\ndef f(x):\n", "test": "def check(f):\n    assert f\n\ncheck(f)"},
            ("f", "def g(): pass\n\ndef f(x):\n", "", "def check(f):\n    assert f\n\ncheck(f)"),
        ),
        (
            {"prompt": "Write.", "test": ["assert f(1)", "assert f(2)"], "code": "def f(x):\r\n    return x"},
            ("f", "", "", "assert f(1)\nassert f(2)"),
        ),
        (
            {"text": "x", "test_list": ["assert math.isclose(f(g(1)), 2)"], "test_imports": ["import math"], "test_setup_code": "y = 1"},
            ("f", "", "y = 1\nimport math", "assert math.isclose(f(g(1)), 2)"),
        ),
        (
            {"task_id": 2, "code": "def f(x):\n    return x", "test_list": ["assert f(1)"], "test": "def same(a, b):\n    assert a == b\n\nsame(f(1), 1)"},
            ("f", "", "", "def same(a, b):\n    assert a == b\n\nsame(f(1), 1)"),
        ),
        ({"test_list": ["assert set(f(g(1))) == 2"], "code": "def g(x): pass"}, ("g", "", "", "assert set(f(g(1))) == 2")),
    ],
)  # fmt: skip
def test_items(row, item):
    assert programs.item(row) == item


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"task_id": 3, "prompt": "x"}, "row 3: it has neither `prompt` and `test`"),
        ({"question": "x"}, "row with the keys question"),
        ({"task_id": 3, "test_list": ["assert True"]}, "row 3: its tests call no function"),
        ({"task_id": 3, "test_list": []}, "it has neither"),
        (
            {"task_id": 3, "test": "def check(f): pass", "prompt": "x = 1"},
            "row 3: its prompt defines no function; .*`entry_point`",
        ),
    ],
)
def test_rows_without_tests(row, message):
    with pytest.raises(BadInput, match=message):
        programs.verdicts(["x"], [row], {})


# the form of the tests of HumanEval+ and MBPP+, whose numbers are compared by numpy
CLOSE = """
import numpy as np

def is_floats(x):
    return isinstance(x, float) or isinstance(x, np.ndarray) and x.dtype == np.float32

def assertion(out, exp, atol):
    if atol == 0 and is_floats(exp):
        atol = 1e-6
    if out != exp and atol != 0:
        assert np.allclose(out, exp, rtol=1e-07, atol=atol)
    else:
        assert out == exp
"""
HALVES = {
    "task_id": "Mini/1",
    "prompt": 'def half(x):\n    """Return half of x."""\n',
    "entry_point": "half",
    "test": f"{CLOSE}\ndef check(candidate):\n    for inp, exp in [(1, 0.5), (3, 1.5)]:\n        assertion(candidate(inp), exp, 0)\n",
}
SHARES = {
    "task_id": 8,
    "code": "def shares(x):\n    return [one / sum(x) for one in x]",
    "test_list": ["assert shares([1]) == [1]"],
    "test": f"{CLOSE}\nfor inp, exp in [([1, 2], [1 / 3, 2 / 3]), ([5], [1.0])]:\n    assertion(shares(inp), exp, 1e-6)\n",
}


def test_tests_that_need_numpy():
    """The sandbox has none. What comes near enough is right, and an answer that needs numpy is an error as before."""
    cases = [
        (HALVES, "    return x / 2\n", RIGHT),
        (HALVES, "    return x / 2 + 1e-9\n", RIGHT),
        (HALVES, "    return x / 2 + 1e-3\n", WRONG),
        (HALVES, "    return None\n", ERROR),
        (HALVES, "    import numpy\n    return numpy.array(x) / 2\n", ERROR),
        (HALVES, fenced("import numpy as np\ndef half(x):\n    return x / 2"), ERROR),
        (SHARES, fenced("def shares(x):\n    return [one / sum(x) for one in x]"), RIGHT),
        (SHARES, fenced("def shares(x):\n    return tuple(one / sum(x) + 1e-8 for one in x)"), RIGHT),
        (SHARES, fenced("def shares(x):\n    return [one / (sum(x) + 1) for one in x]"), WRONG),
        (SHARES, fenced("def shares(x):\n    return [1.0]"), ERROR),
        (SHARES, fenced("def share(x):\n    return x"), NOTHING),
    ]
    rows, answers, expected = zip(*cases, strict=True)
    found = programs.verdicts(answers, rows, QUICK)
    assert [one for one in zip(answers, found, expected, strict=True) if one[1] != one[2]] == []


def test_without_a_guard_there_is_no_score(monkeypatch):
    monkeypatch.setattr(sandbox, "gap", lambda level: "it is not installed")
    with pytest.raises(Refused, match="no guard for programs of models holds on this machine"):
        programs.verdicts([GOOD], [TWICE], {})


# --- the benchmarks' own solutions


def rows_of(path: Path) -> list[dict]:
    if not path.exists():
        pytest.skip(f"needs the benchmark at {path}")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def wrong(answers: Sequence[str], rows: Sequence[dict]) -> dict[int, str]:
    found = programs.verdicts(answers, rows, {})
    return {number: one.verdict for number, one in enumerate(found) if one.score != 1}


@pytest.fixture(params=sandbox.LEVELS)
def level(request, monkeypatch):
    if gap := sandbox.gap(request.param):
        pytest.skip(f"{request.param} does not hold on this machine: {gap}")
    monkeypatch.setenv(sandbox.FORCED, request.param)


@pytest.mark.slow
@pytest.mark.parametrize(
    "bodies", [pytest.param(True, id="written on"), pytest.param(False, id="in a chat", marks=pytest.mark.slow)]
)
def test_humaneval(level, bodies):
    rows = rows_of(HUMANEVAL)
    solutions = [row["canonical_solution"] for row in rows]
    if not bodies:
        solutions = [f"So:\n\n```python\n{row['prompt']}{one}\n```" for row, one in zip(rows, solutions, strict=True)]
    assert len(rows) == 164
    assert wrong(solutions, rows) == {}


def test_a_solution_of_another_row_is_wrong():
    rows = rows_of(HUMANEVAL)[:20]
    solutions = [row["canonical_solution"] for row in rows]
    assert {*wrong(solutions[1:] + solutions[:1], rows)} == {*range(20)}


@pytest.mark.slow
def test_mbpp(level):
    """Row 112 takes 5 s; the tests of row 356 use what they do not define."""
    rows = rows_of(MBPP)
    assert len(rows) == 500
    assert {*wrong([row["code"] for row in rows], rows)} <= {112, 356}
