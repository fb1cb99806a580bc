"""What a judge is asked about, from tables of answers and prompts."""

import pyarrow as pa
import pytest
from judged_rows import answers, prompts
from teachergrid.errors import BadInput
from teachergrid.evaluation.cases import cases, instruction_of

ITEMS = {"open": prompts(q1="Why?", q2="How?", q3="When?")}


def test_pairs_with_the_opponent():
    made = cases(answers(q2="b", q1="a", q3=None), answers(q1="A", q3="C"), ITEMS, "pairwise")
    assert [(one.id, one.instruction, one.answer, one.opponent, one.lacking) for one in made] == [
        ("q2", "How?", "b", "", "the baseline has no answer"),
        ("q1", "Why?", "a", "A", None),
        ("q3", "When?", "", "C", "prompt too long"),
    ]
    assert [one.lacking for one in cases(answers(q1="a"), answers(q1=None), ITEMS, "pairwise")] == ["prompt too long"]


def test_one_answer_alone():
    made = cases(answers(q1="a"), None, ITEMS, "single")
    assert [(one.answer, one.opponent, one.lacking) for one in made] == [("a", None, None)]
    with pytest.raises(BadInput, match="an answer to open/q9, which is not among"):
        cases(answers(q9="a"), None, ITEMS, "single")


def test_a_conversation_is_one_text():
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Why?"},
    ]
    assert instruction_of(turns[:1]) == "Hi"
    assert instruction_of(turns) == "user: Hi\n\nassistant: Yes?\n\nuser: Why?"


def of_followbench(text: str, group: int, level: int, source: str = "quora", target: str = "") -> dict:
    return {"text": text, "category": "style", "example_id": group, "level": level, "source": source, "target": target}


def test_steps_of_followbench():
    items = {
        "open": prompts(
            a0=of_followbench("Say", 1, 0),
            b0=of_followbench("Sum up", 2, 0, "xsum"),
            a2=of_followbench("Say it short in French", 1, 2),
            a1=of_followbench("Say it short", 1, 1),
            b1=of_followbench("Sum up in one sentence", 2, 1, "xsum"),
        )
    }
    made = cases(answers(a0="x", a1="y", a2="z", b1="One. Two.", b0="w"), None, items, "followbench")
    # instructions without constraints are not judged
    assert [(one.id, one.group, one.level, one.steps, one.ruled) for one in made] == [
        ("a1", 1, 1, ("Say", "Say it short"), None),
        ("a2", 1, 2, ("Say", "Say it short", "Say it short in French"), None),
        ("b1", 2, 1, ("Sum up", "Sum up in one sentence"), False),
    ]
    thinking = cases(answers(b1="<think>One. Two.</think>One."), None, items, "followbench")
    assert [one.ruled for one in thinking] == [True]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            {"a": of_followbench("x", 1, 1), "b": of_followbench("y", 1, 1)},
            "group 1 has two rows of level 1; make one task",
        ),
        ({"a": "Why?"}, "task open: item a has no JSON as its answer; `fields.answer` needs"),
        ({"a": {"text": "x", "category": "style"}}, "a row of FollowBench lacks"),
    ],
)
def test_rows_that_are_not_of_followbench(rows, message):
    items: dict[str, pa.Table] = {"open": prompts(**rows)}
    with pytest.raises(BadInput, match=message):
        cases(answers(a="x"), None, items, "followbench")
