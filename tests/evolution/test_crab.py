"""Constraint back-translation: constraints that a response meets, those that are read off it, and what is trained on."""

import json
import random

import pytest
from teachergrid.data.files import message_id
from teachergrid.errors import BadInput
from teachergrid.evolution import crab
from teachergrid.evolution.steps import Given

RESPONSE = (
    "Harbours shelter ships; harbours feed towns. They are old!\n\nMost harbours have a light. "
    + "And so it goes on. " * 20
)
STATED = {
    "style": "Use a plain tone.",
    "content": "Mention  ships.",
    "prohibition": None,
    "language": "null",
    "format": "Write prose.",
    "sentence": 3,
    "lists": "Use a very plain tone.",
    "odd": "Sing it.",
}


def row(text):
    messages = [{"role": "user", "content": text}]
    return {"id": message_id(messages), "messages": messages, "category": "c", "parent_id": None, "round": 0}


def made(reply, response=RESPONSE, **settings):
    one = row("Tell me about harbours.")
    replies = {one["id"]: [{"response": response}]}
    first = crab.ask(Given("n.asked", [[one]], [replies], []), {"text": "{instruction} / {response}", "words": 50})
    asked = first.rows
    given = Given("n", [[one], asked], [{asked[0]["id"]: [{"response": reply}]} if asked else {}, replies], [])
    return first, crab.read(given, {"least": 2, "most": 4, "by_rule": False, "seed": 1} | settings)


def test_a_response_is_shown_with_its_instruction_where_it_is_long_enough():
    first, _ = made("")
    assert first.rows[0]["messages"][0]["content"] == f"Tell me about harbours. / {RESPONSE.strip()}"
    short, read = made("", response="Short.")
    assert short.rows == read.rows == [] and short.fates[0].reason == "response too short"


def test_the_instruction_gets_constraints_and_keeps_its_response():
    _, found = made(f"Here:\n```json\n{json.dumps(STATED)}\n```", most=3)
    [one] = found.rows
    first, empty, head, *constraints = one["messages"][0]["content"].split("\n")
    assert (first, empty, head) == ("Tell me about harbours.", "", crab.HEAD)
    # the second plain tone is like the first, and the other kinds hold no constraint
    assert {*constraints} <= {"- Use a plain tone.", "- Mention ships.", "- Write prose."} and 2 <= len(
        constraints
    ) <= 3
    assert one["answer"] == RESPONSE.strip() and (one["category"], one["operator"], one["round"]) == ("c", "crab", 1)
    assert made(json.dumps(STATED), most=3)[1].rows == found.rows


@pytest.mark.parametrize(
    ("reply", "reason"), [("I cannot.", "no constraint stated"), (json.dumps(STATED), "fewer than 4 constraints")]
)
def test_too_few_constraints_leave_an_instruction_out(reply, reason):
    _, found = made(reply, least=4)
    assert found.rows == [] and found.fates[0].reason == reason


def test_what_is_read_off_a_response_holds():
    found = crab.by_rule(RESPONSE, random.Random(0))
    # 14 words and 20 times 5; 3 sentences and 20; harbours in small letters twice
    assert found[:4] == [
        "Write between 100 and 150 words.",
        "Use at most 25 sentences.",
        "Write exactly 2 paragraphs, with an empty line between them.",
        'Use the word "harbours" at least 2 times.',
    ]
    assert found[4] in ("Use no question marks.", "Use no brackets.") and len(found) == 5
    _, with_rules = made(json.dumps(STATED), least=8, most=8, by_rule=True)
    assert len(with_rules.rows[0]["messages"][0]["content"].split("\n- ")) == 9


ENTRY = {"rounds": 1, "operators": [], "equal_by": None, "of": "q", "crab": {"responses": "t", "least": 6, "most": 8}}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"rounds": 2}, "e.rounds: method crab has no such thing"),
        ({"crab": ENTRY["crab"] | {"responses": None}}, "e.crab.responses: state the teacher whose responses to 'q'"),
        ({"crab": ENTRY["crab"] | {"responses": "s"}}, "e.crab.responses"),
        ({"crab": ENTRY["crab"] | {"most": 5}}, "e.crab.most: 5 is less than `least`, 6"),
    ],
)
def test_what_contradicts_itself(entry, said):
    with pytest.raises(BadInput, match=said):
        crab.check("e", ENTRY | entry, {"t": {}})
