"""AutoIF stage by stage, with replies written by hand and what is left of them counted by hand."""

import json
from collections import Counter

import pytest
from teachergrid.data.files import message_id
from teachergrid.errors import BadInput
from teachergrid.evolution import autoif_stages as stages
from teachergrid.evolution.crosscheck import PUBLISHED, RULES
from teachergrid.evolution.steps import Given
from teachergrid.tasks import sandbox

SEEDS = ["Use no commas.", "Write in capital letters."]
LIMITS = {"seconds": 2, "megabytes": 512}


def given(*sets, replies=None, name="auto"):
    """replies: {id: text, or texts of several samples}."""
    by_id = {
        id: [{"response": text} for text in ([said] if isinstance(said, str) else said)]
        for id, said in (replies or {}).items()
    }
    return Given(name, [*sets], [by_id], [])


def row(text, answer=None, **more):
    messages = [{"role": "user", "content": text}]
    usual = {"answer": answer, "source": "s", "category": None, "parent_id": None, "operator": None, "round": 0}
    return {"id": message_id(messages), "messages": messages, **usual, **more}


def text_of(one):
    return one["messages"][-1]["content"]


def counted(made):
    """Return {(what, why it was left out): how many}, as the table of yields has it."""
    return Counter((fate.operator, fate.reason) for fate in made.fates)


# --- constraints


def instruct(**more):
    settings = {
        "text": "{number} like\n{seeds}",
        "seeds": SEEDS,
        "calls": 2,
        "each": 5,
        "shown": None,
        "shuffle": True,
        "seed": 1,
    }
    return stages.ask_instructions(given(), settings | more).rows


def test_each_call_shows_the_seeds_in_an_order_of_its_own():
    seeds = [f"Use the digit {i}." for i in range(9)]
    rows = instruct(seeds=seeds, calls=3)
    assert len({one["id"] for one in rows}) == len({text_of(one) for one in rows}) == 3
    assert all(sorted(text_of(one).splitlines()) == sorted(["5 like", *seeds]) for one in rows)
    assert instruct(seeds=seeds, calls=3) == rows and instruct(seeds=seeds, calls=2) == rows[:2]
    assert [len(text_of(one).splitlines()) for one in instruct(seeds=seeds, shown=4)] == [5, 5]


def test_the_published_run_puts_the_same_prompt_each_time():
    one, other = instruct(shuffle=False)
    assert (
        text_of(one) == text_of(other) == "5 like\nUse no commas.\nWrite in capital letters."
        and one["id"] != other["id"]
    )


REPLY = """Sure, here are some instructions:

1. Use exactly two sentences.
- "Begin with the letter A."
3) Use NO commas!
Use exactly two sentences.
Would you like more of them?
Hope this helps.
Be brief
* Let every sentence begin with a capital letter"""


def test_lines_that_talk_or_repeat_are_left_out_with_reasons():
    asked = instruct()
    made = stages.read_instructions(given(asked, replies={asked[0]["id"]: REPLY}), {"seeds": SEEDS, "clean": True})
    new = ["Use exactly two sentences.", "Begin with the letter A.", "Let every sentence begin with a capital letter"]
    assert [text_of(one) for one in made.rows] == [*SEEDS, *new]
    assert counted(made) == {
        ("line", None): 3,
        ("line", "talks about the list"): 3,
        ("line", "repeated"): 2,
        ("line", "fewer than 3 words"): 1,
    }
    assert {one["parent_id"] for one in made.rows[2:]} == {asked[0]["id"]}


def test_the_published_run_keeps_every_line():
    asked = instruct()
    replies = {one["id"]: REPLY for one in asked}
    made = stages.read_instructions(given(asked, replies=replies), {"seeds": SEEDS, "clean": False})
    assert len(made.rows) == len({one["id"] for one in made.rows}) == 2 + 2 * 9
    assert text_of(made.rows[2]) == "Sure, here are some instructions:" and text_of(made.rows[5]) == "3) Use NO commas!"


# --- functions and cases

CAPITALS = "def evaluate(response):\n    return response.isupper()"
CASES = [{"input": "AB", "output": "True"}, {"input": "ab", "output": False}, {"input": "1", "output": True}]


def functions(settings, *replies):
    """Return what becomes of two constraints; the replies are about the first."""
    constraints = [row(text) for text in SEEDS]
    asked = stages.ask_functions(given(constraints), {"text": "Check: {instruction}", "samples": 4}).rows
    assert len({one["id"] for one in asked}) == 8 and Counter(map(text_of, asked)) == {
        f"Check: {text}": 4 for text in SEEDS
    }
    by_id = {one["id"]: text for one, text in zip(asked, replies, strict=False)}
    return stages.read_functions(given(constraints, asked, replies=by_id), settings._asdict() | LIMITS)


def reply(source, cases=CASES):
    return json.dumps({"func": source, "cases": cases})


@pytest.fixture
def guarded():
    if all(sandbox.gap(level) for level in sandbox.LEVELS):
        pytest.skip(sandbox.levels())


@pytest.mark.usefixtures("guarded")
def test_functions_and_cases_that_agree_stay_and_all_others_are_counted():
    other = "import re\nPATTERN = '[a-z]'\ndef evaluate(response):\n    return not re.search(PATTERN, response)"
    always = "def evaluate(response):\n    return False"
    made = functions(RULES["paper"], reply(CAPITALS), reply(other), reply(always), "I cannot.")
    # AB: 2 of 3 are right, ab: 3 of 3, 1: only the second one; the third is right about one of the two cases that stay
    [kept] = made.rows
    held = json.loads(kept["answer"])
    assert held["instruction"] == SEEDS[0] and held["functions"] == [CAPITALS, other]
    assert held["cases"] == [{"input": "AB", "output": True}, {"input": "ab", "output": False}]
    assert counted(made) == {
        ("instruction", None): 1,
        ("instruction", "no functions that can be loaded; the rule asks for 1"): 1,
        ("reply", "no JSON"): 1,
        ("function", None): 2,
        ("function", "wrong too often"): 1,
        ("case", None): 2,
        ("case", "too few functions agree"): 1,
    }


@pytest.mark.usefixtures("guarded")
def test_the_published_run_lets_one_function_and_one_case_stand():
    only = reply(CAPITALS, CASES[:1])
    assert functions(RULES["code"], only).rows == []
    made = functions(PUBLISHED, only, reply("import nothing_there\ndef evaluate(r):\n    return True", []))
    assert [json.loads(one["answer"])["functions"] for one in made.rows] == [[CAPITALS]]
    assert counted(made)["function", "cannot be loaded: ModuleNotFoundError"] == 1


# --- back-translation


def verified(*texts):
    answer = json.dumps({"functions": ["f1", "f2", "f3", "f4"], "instruction": "i", "cases": []})
    return [row(text, answer) for text in texts]


def test_a_contradiction_leaves_a_constraint_out_and_no_verdict_too():
    constraints = verified("a a a", "b b b", "c c c", "d d d")
    back = stages.ask_back(given(constraints), {"text": "say {function}", "at_most": 2}).rows
    assert [text_of(one) for one in back] == ["say f1", "say f2"] * 4
    said = [
        'Instruction: "be a"',
        "**Instruction:** be a\n\nIt is clear.",
        "be b",
        "be not b",
        "be c",
        "",
        "be d",
        "be d",
    ]
    made = stages.ask_entailment(
        given(constraints, back, replies=dict(zip([one["id"] for one in back], said, strict=True))),
        {"text": "{premise} | {hypothesis}"},
    )
    assert [text_of(one) for one in made.rows] == [
        "a a a | be a", "a a a | be a", "b b b | be b", "b b b | be not b", "c c c | be c", "d d d | be d", "d d d | be d"
    ]  # fmt: skip
    assert counted(made) == {("back-translation", None): 7, ("back-translation", "no text"): 1}
    verdicts = [
        "Verdict: entailment",
        "Neutral.",
        "Verdict: entailment",
        "So: **Verdict:** Contradiction",
        "verdict: neutral",
        "?",
        "Hm.",
    ]
    asked = made.rows
    final = stages.read_entailment(
        given(constraints, asked, replies=dict(zip([one["id"] for one in asked], verdicts, strict=True))), {}
    )
    assert [text_of(one) for one in final.rows] == ["a a a", "c c c"]
    assert counted(final) == {
        ("verdict", None): 4,
        ("verdict", "contradiction"): 1,
        ("verdict", "no verdict"): 2,
        ("instruction", None): 2,
        ("instruction", "a back-translation contradicts it"): 1,
        ("instruction", "no verdict"): 1,
    }


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("It is no contradiction.\nVerdict: neutral", "neutral"),
        ("Verdict: neutral? No.\n**Verdict: entailment**", "entailment"),
        ("CONTRADICTION", "contradiction"),
        ("There is a contradiction.", None),
        ("", None),
    ],
)
def test_the_last_verdict_counts(said, found):
    assert stages.verdict(said) == found


# --- queries

LONG = "What is the best way to cook rice for number {}?"


def joined(verified_rows, **more):
    queries = [row(LONG.format(i), category="food") for i in range(50)] + [row("Hi."), row("x" * 400)]
    settings = {"constraints": None, "queries": 4, "shortest": 20, "longest": 300, "seed": 7}
    return stages.join_queries(given(verified_rows, queries), settings | more)


def test_a_query_and_a_constraint_are_one_user_turn_with_the_functions_beside():
    made = joined(verified("a a a", "b b b"))
    assert len(made.rows) == 8
    for one in made.rows:
        assert text_of(one).startswith("What is the best way") and text_of(one).endswith("? i")
        assert json.loads(one["answer"]) == {"functions": ["f1", "f2", "f3", "f4"], "instruction": "i"}
        assert (one["category"], one["operator"], one["round"]) == ("food", "autoif", 1)
    assert {one["parent_id"] for one in made.rows} <= {row(LONG.format(i))["id"] for i in range(50)}


def held(name, number):
    return [
        row(f"{name} {i}", json.dumps({"functions": [name], "instruction": f"{name} {i}", "cases": []}))
        for i in range(number)
    ]


def test_evolvers_get_equally_many_constraints_and_the_same_queries():
    """The published code drew from the examples, so that one evolver kept 780 constraints, the other 420, with other queries."""
    small, large = joined(held("small", 30), constraints=20).rows, joined(held("large", 21), constraints=20).rows
    assert len({json.loads(one["answer"])["instruction"] for one in small}) == 20
    assert len({json.loads(one["answer"])["instruction"] for one in large}) == 20
    assert [one["parent_id"] for one in small] == [one["parent_id"] for one in large]
    assert {one["id"] for one in joined(held("small", 30), constraints=10).rows} < {one["id"] for one in small}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"constraints": 3}, "2 constraints are left, and `constraints` asks for 3"),
        ({"queries": 51}, "50 queries have more than 20"),
    ],
)
def test_what_cannot_be_joined(more, said):
    with pytest.raises(BadInput, match=said):
        joined(verified("a a a", "b b b"), **more)
