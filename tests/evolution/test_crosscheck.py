"""Cross-validation by hand: who is right about what, and what stays by the rule of the paper and by that of the code."""

import pytest
from teachergrid.evolution import crosscheck
from teachergrid.evolution.crosscheck import PUBLISHED, RULES, Case, Written, rule_of, validated
from teachergrid.tasks import sandbox
from teachergrid.tasks.sandbox import Limits
from teachergrid.tasks.verifiers import Function, Said

PAPER, CODE = RULES["paper"], RULES["code"]
STATED = {"rule": "code", "functions": None, "cases": None, "case_share": None, "function_share": None}


def instruction(*right: str) -> tuple[Written, list[Function]]:
    """Return functions that are right (1), wrong (0) or say nothing (-) about cases; x: the function cannot be loaded."""
    cases = [Case(f"case {j}", j % 2 == 0) for j in range(len(max(right, key=len)))]
    told = {"1": lambda case: case.wanted, "0": lambda case: not case.wanted, "-": lambda case: None}
    functions = [
        Function("NameError", [])
        if marks == "x"
        else Function(None, [Said(told[mark](case)) for mark, case in zip(marks, cases, strict=True)])
        for marks in right
    ]
    return Written([f"f{i}" for i in range(len(right))], cases, []), functions


def stays(rule, *right: str):
    found = validated(*instruction(*right), rule)
    return found.why or (found.functions, [int(case.text[5:]) for case in found.cases])


def test_the_rule_of_the_paper_asks_for_more_than_half():
    # half of the functions is not enough for a case, half of the cases not for a function
    assert stays(PAPER, "11-", "100", "011", "0-1") == "no case on which functions agree"
    assert stays(PAPER, "1111", "1111", "1100") == (["f0", "f1"], [0, 1, 2, 3])
    assert stays(PAPER, "110", "100") == (["f0", "f1"], [0])
    assert stays(PAPER, "1100", "1010", "1111") == (["f0", "f1", "f2"], [0, 1, 2])
    assert stays(PAPER, "10", "01") == "no case on which functions agree"


def test_a_function_that_cannot_be_loaded_has_no_vote():
    assert stays(PAPER, "11", "x", "x", "x") == (["f0"], [0, 1])
    assert stays(PAPER, "x") == "no functions that can be loaded; the rule asks for 1"


def test_the_rule_of_the_code_asks_for_enough_and_lets_any_function_save_a_case():
    ten = "1" * 10
    assert stays(CODE, ten, ten) == "2 functions that can be loaded; the rule asks for 3"
    assert stays(CODE, ten, ten, "x") == "2 functions that can be loaded; the rule asks for 3"
    assert stays(CODE, *["1" * 9] * 3) == "9 cases; the rule asks for 10"
    # the last case is saved by one function alone; 8 of 10 is enough, 7 is not
    assert stays(CODE, "1111111001", "1111111100", "1111111000") == (["f0", "f1"], [0, 1, 2, 3, 4, 5, 6, 7, 9])
    assert stays(CODE, ten, "1111111100", "1111111000") == (["f0", "f1"], [*range(10)])


def test_the_published_run_asks_for_no_fewest_number():
    assert stays(PUBLISHED, "11111") == (["f0"], [0, 1, 2, 3, 4])
    assert stays(PUBLISHED, "1111-") == (["f0"], [0, 1, 2, 3])
    assert stays(PUBLISHED, "--") == "no case on which functions agree"
    assert stays(PUBLISHED, "10", "01") == "no function that is right often enough"


def test_thresholds_are_keys():
    assert rule_of(STATED) == CODE and rule_of(STATED | {"rule": "paper"}) == PAPER
    assert rule_of(STATED | {"functions": 1, "function_share": 0.5}) == CODE._replace(functions=1, function_share=0.5)


def test_nothing_was_written():
    assert validated(Written([], [], []), [], PAPER).why == "no functions that can be loaded; the rule asks for 1"
    assert stays(PAPER, "") == "no cases; the rule asks for 1"


def test_functions_are_called_and_a_killed_job_goes_on(tmp_path, monkeypatch):
    if all(sandbox.gap(level) for level in sandbox.LEVELS):
        pytest.skip(sandbox.levels())
    source = "def evaluate(response):\n    return len(response) < 3"
    items = [Written([source, "import none"], [Case("ab", True), Case("abc", False)], []), Written([], [], [])]
    monkeypatch.setattr(crosscheck, "SHARD", 1)
    first = crosscheck.called(items, Limits(1, 512), tmp_path)
    assert [one.broken for one in first[0]] == [None, "ModuleNotFoundError"] and first[1] == []
    assert [said.truth for said in first[0][0].said] == [True, False]

    def never(*_):
        raise AssertionError("it was called before")

    monkeypatch.setattr(crosscheck.verifiers, "run", never)
    assert crosscheck.called(items, Limits(1, 512), tmp_path) == first
