"""Verifier functions that a model wrote: what they say, what they see, and that none of them does harm."""

import attacks
import pytest
from teachergrid.tasks import sandbox, verifiers
from teachergrid.tasks.sandbox import Limits
from teachergrid.tasks.verifiers import Calls, run, truth
from teachergrid.tasks.verify import Asked

QUICK = Limits(seconds=1, megabytes=512)
UPPER = "def evaluate(response):\n    return response.isupper()"


@pytest.fixture(autouse=True, scope="module")
def guarded():
    if all(sandbox.gap(level) for level in sandbox.LEVELS):
        pytest.skip(sandbox.levels())


def said(source: str, *texts: str) -> list:
    [found] = run([Calls(source, texts)], QUICK)
    return [one.truth if one.why is None else one.why for one in found.said]


@pytest.mark.parametrize("value", [True, "True", "true", " TRUE ", 1, 1.0 == 1])
def test_true_is_true_however_it_is_written(value):
    assert truth(value) is True


@pytest.mark.parametrize("value", [None, "yes", "", [], 2, "None"])
def test_what_is_no_truth_value(value):
    assert truth(value) is None


FUNCTIONS = [
    (UPPER, [True, False]),
    # the published code ran `exec(source, globals(), locals())`, which hides both from `evaluate`
    ("import re\n\ndef evaluate(response):\n    return bool(re.match('A', response))", [True, False]),
    ("from math import floor\nLIMIT = 1\ndef helper(x): return floor(len(x)) > LIMIT\ndef evaluate(r):\n    return helper(r)", [True, True]),
    # and compared True with "True"
    ("def evaluate(response):\n    return str(response == 'AB').lower()", [True, False]),
    ("def evaluate(response):\n    return 1 if response == 'AB' else 0", [True, False]),
    ("def evaluate(response):\n    return None", ["returns 'None'"] * 2),
    ("def evaluate(response):\n    return 1 / 0", ["ZeroDivisionError"] * 2),
    ("import sys\ndef evaluate(response):\n    sys.exit(0)", ["SystemExit"] * 2),
    ("def evaluate(response, more):\n    return True", ["TypeError"] * 2),
    ("import numpy\ndef evaluate(response):\n    return True", ["cannot be loaded: ModuleNotFoundError"] * 2),
    ("def check(response):\n    return True", ["cannot be loaded: AttributeError"] * 2),
    ("def evaluate(response)\n    return True", ["cannot be loaded: SyntaxError"] * 2),
    ("str = bool = isinstance = None\ndef evaluate(response):\n    return True", [True, True]),
    # each call begins anew, so that no text changes what is said of another
    ("seen = []\ndef evaluate(response):\n    seen.append(response)\n    return len(seen) == 1", [True, True]),
    # what hangs, or ends its process, on one text, costs the others nothing
    ("def evaluate(response):\n    while response == 'ab':\n        pass\n    return True", [True, "time limit"]),
    ("import os\ndef evaluate(response):\n    response == 'ab' and os._exit(0)\n    return True", [True, "error"]),
]  # fmt: skip


@pytest.mark.slow
def test_what_functions_say():
    found = run([Calls(source, ["AB", "ab"]) for source, _ in FUNCTIONS], QUICK)
    told = [[one.truth if one.why is None else one.why for one in function.said] for function in found]
    assert told == [wanted for _, wanted in FUNCTIONS]


def test_chance_says_the_same_each_time():
    source = "import random\ndef evaluate(response):\n    return random.random() < 0.5"
    assert said(source, "a", "b") == said(source, "b", "c")


@pytest.mark.slow
def test_a_function_that_meets_limits_is_given_up():
    hangs = "def evaluate(response):\n    while True:\n        pass"
    assert said(hangs, *"abcd") == ["time limit"] * verifiers.PATIENCE + ["given up"]


def test_more_texts_than_one_process_gets():
    texts = [f"{i}" for i in range(verifiers.TOGETHER + 3)]
    assert said("def evaluate(response):\n    return int(response) % 2 == 0", *texts) == [
        i % 2 == 0 for i in range(len(texts))
    ]


MALICIOUS = ("its environment", "a file of the user", "removes a file", "kill", "connection", "memory bomb")


def test_malicious_functions_do_no_harm_and_say_nothing(monkeypatch):
    """The attacks of test_sandbox.py, as verifier functions; there each is shown to do its harm without the guard."""
    for name, value in attacks.SECRET.items():
        monkeypatch.setenv(name, value)
    targets = attacks.Targets()
    try:
        bodies = [
            f"{targets.names}\n{attacks.ATTACKS[name].program}\nreturn True".replace("\n", "\n    ")
            for name in MALICIOUS
        ]
        found = run([Calls(f"def evaluate(response):\n    {body}", ["x"]) for body in bodies], QUICK)
        assert [function.said[0].truth for function in found] == [None] * len(MALICIOUS)
        assert all(function.said[0].why for function in found)
        assert targets.harm() == []
    finally:
        targets.close()


def test_a_response_is_worth_the_share_of_functions_that_say_yes():
    reference = verifiers.reference(
        "Write in capitals.", [UPPER, "def evaluate(r):\n    return len(r) < 3", "def evaluate(r):\n    return 1 / 0"]
    )
    answers = [
        Asked("a", "AB", reference),
        Asked("b", "ab", reference),
        Asked("c", "abc", reference),
        Asked("d", "AB", None),
    ]
    found = verifiers.check(answers, {"seconds": 1, "megabytes": 512})
    assert [one.score for one in found] == [pytest.approx(2 / 3), pytest.approx(1 / 3), 0.0, None]
    assert [one.verdict for one in found] == ["partly right", "partly right", "wrong", None]
    others = [Asked("e", "AB", text) for text in ("42", "four", "[1]", '{"functions": 3}', "{}")]
    assert {one.reason for one in verifiers.check(others, {"seconds": 1, "megabytes": 512})} == {
        "no verifier functions"
    }
    assert found[0].measures == {"functions": (2, 3)} and found[3].reason == "no verifier functions"
