r"""Mathematical answers are compared by value. Each verdict here was made by hand."""

import json
import os
import threading
from pathlib import Path

import pytest
from teachergrid.tasks.checkers import check
from teachergrid.tasks.formulas import as_formula, last_box
from teachergrid.tasks.verify import Asked

MATH = Path(__file__).parents[3] / "shared/data/math/math500.jsonl"
RIGHT, WRONG, NONE, TIME = "right", "wrong", "no answer found", "time limit"

# (reference, answer, verdict)
ODD = [
    (r"\frac{1}{2}", "The answer is 0.5.", RIGHT),
    (r"\frac{1}{2}", r"so $\frac{2}{4}$", RIGHT),
    (r"\frac{1}{2}", r"\boxed{1/2}, and not 3", RIGHT),
    (r"$\frac12$", "0.5", RIGHT),
    ("(1,2)", r"\boxed{(2,1)}", WRONG),
    ("1,2", r"\boxed{2,1}", RIGHT),
    ("x^2+1", r"\boxed{1+x^2}", RIGHT),
    (r"\text{even}", r"It is \boxed{even}.", RIGHT),
    ("5", "I will not answer that.", NONE),
    ("5", "", NONE),
    ("5", r"\boxed{}", NONE),
    # cut off
    ("5", r"First \boxed{5}, so \boxed{5", NONE),
    ("5", "There are 5 apples and then 6.", WRONG),
    # the last one counts
    ("5", r"\boxed{4} No: \boxed{5}", RIGHT),
    ("5", r"\boxed{5} No: \boxed{4}", WRONG),
    (r"90^\circ", r"\boxed{90}", RIGHT),
    ("1000", r"\boxed{1,000}", RIGHT),
    ("5", r"\boxed{x=5}", RIGHT),
    ("-3", r"\boxed{3}", WRONG),
    ("3", r"\boxed{\text{three}}", WRONG),
    ("[1,2)", r"\boxed{(1,2)}", WRONG),
    (r"\frac{1}{3}", r"\boxed{0.333}", WRONG),
    (r"\{1,2\}", r"\boxed{\{2,1\}}", RIGHT),
    (r"We get \boxed{4}, that is $4+1=\boxed{5}$.", r"\boxed{5}", RIGHT),
]


def verdicts(items, **checker):
    asked = [Asked(str(i), text, reference) for i, (reference, text) in enumerate(items)]
    return check(asked, {"kind": "math", **checker})


def test_odd_answers_by_hand():
    found = verdicts([(reference, text) for reference, text, _ in ODD])
    assert [(text, one.verdict) for (_, text, _), one in zip(ODD, found, strict=True)] == [
        (text, verdict) for _, text, verdict in ODD
    ]
    assert [one.score for one in found] == [float(verdict == RIGHT) for _, _, verdict in ODD]


@pytest.mark.slow
def test_a_formula_that_takes_for_ever_is_wrong_and_the_next_is_checked():
    """In a thread, too, where the library's own time limit would fail: only the main thread may have signals."""
    found = []
    tower, brackets = r"\boxed{9^{9^{9^{9^{9}}}}}", r"\boxed{" + "(" * 3000 + "}"
    items = [("7", tower), ("7", r"\boxed{7}"), ("7", brackets), ("7", "7")]
    thread = threading.Thread(target=lambda: found.extend(verdicts(items, seconds=1)))
    thread.start()
    thread.join()
    assert [one.verdict for one in found][1::2] == [RIGHT, RIGHT]
    assert found[0].verdict == TIME and (found[2].score, found[2].reason) == (0.0, None)


def test_without_a_reference_nothing_is_decided():
    found = verdicts([(None, "5"), (" ", "5"), ("5", "5")])
    assert [(one.score, one.reason) for one in found] == [
        (None, "no reference answer"),
        (None, "no reference answer"),
        (1.0, None),
    ]


def test_boxes():
    assert last_box(r"a \boxed{b} c \boxed{d{e}f} g") == r"\boxed{d{e}f}"
    assert last_box(r"\boxed{\{1\}} and") == r"\boxed{\{1\}}"
    assert (last_box("none"), last_box(r"\boxed{a"), last_box(r"x \boxed 5")) == ("none", "", r"\boxed 5")
    assert as_formula(" 5 ") == r"\boxed{5}" and as_formula(r"so \boxed{5}.") == r"\boxed{5}"


@pytest.mark.slow
@pytest.mark.skipif(not MATH.exists(), reason="no MATH-500 next to the checkout")
def test_all_golds_of_math_500_are_right():
    rows = [json.loads(line) for line in MATH.open()]
    assert sum(one.score == 1 for one in verdicts([(row["answer"], row["solution"]) for row in rows])) == 500
    # the form of MATH itself, where the solution is the reference
    some = rows[: 500 if "TEACHERGRID_SLOW" in os.environ else 50]
    assert all(one.score == 1 for one in verdicts([(row["solution"], row["solution"]) for row in some]))
