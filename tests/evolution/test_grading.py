"""A model that says how hard instructions are: what is asked, and how its replies are read."""

import pytest
from evolved_rows import replies, said, seed_row
from teachergrid.errors import BadInput
from teachergrid.evolution import grading
from teachergrid.evolution.grading import Grade, graded
from teachergrid.evolution.steps import Given
from teachergrid.grid.config import checked


@pytest.mark.parametrize(
    ("reply", "grade"),
    [
        ("It needs care.\nLevel: hard\nScore: 70", Grade("hard", 70)),
        ("**Level:** Very Hard\n**Score:** 100/100", Grade("very hard", 100)),
        ("Level: easy at first.\nScore: 10\nNo:\nLevel: very easy\nScore: 0.", Grade("very easy", 0)),
        ("level - medium, score - 45.5", None),
        ("Level (very easy to very hard): medium\nScore (0-100): 85", Grade("medium", 85)),
        ("Level: hard\n**Score** (out of 100): 85", Grade("hard", 85)),
        ("Level: hard\nScore: 60-70", None),
        ("Level: hard\nScore: 60 to 70", None),
        ("Level: hard", None),
        ("Score: 40", None),
        ("Level: hard\nScore: 120", None),
        ("Level: impossible\nScore: 99", None),
        ("", None),
    ],
)
def test_the_last_level_and_score_count_and_both_are_needed(reply, grade):
    assert graded(reply) == grade


def test_instructions_get_their_level_as_category_and_keep_all_else():
    rows = [seed_row("a", answer="4"), seed_row("b", parent_id="p", operator="deepen", round=2), seed_row("c")]
    asked = grading.ask(Given("g.r1.asked", [rows], [], []), {"text": "How hard? {instruction}"}).rows
    assert said(asked) == ["How hard? a", "How hard? b", "How hard? c"] and {row["answer"] for row in asked} == {None}
    wrote = replies(asked, "Level: easy\nScore: 5", "Level: hard\nScore: 80", "I would rather answer it.")
    made = grading.read(Given("g.r1", [rows, asked], [wrote], []), {})
    assert made.rows == [{**rows[0], "category": "easy"}, {**rows[1], "category": "hard"}]
    assert [(fate.reason, fate.operator, fate.round) for fate in made.fates] == [
        (None, None, 0),
        (None, "deepen", 2),
        (grading.UNCLEAR, None, 0),
    ]


def graded_config(small, **more):
    small["evolutions"] = {"hard": {"of": "seed", "by": "large", "method": "grade", **more}}
    return checked(small)


def test_a_set_is_graded_in_two_steps(small):
    config = graded_config(small)
    assert {name for name in config["instructions"] if name.startswith("hard")} == {"hard.r1.asked", "hard.r1"}
    assert config["instructions"]["hard.r1"]["made"]["responses"] == ["hard.r1.asked__large"]


@pytest.mark.parametrize(("more", "said_of"), [({"rounds": 2}, "rounds"), ({"operators": ["deepen"]}, "operators")])
def test_what_it_has_not(small, more, said_of):
    with pytest.raises(BadInput, match=rf"hard\.{said_of}: method grade has no such thing"):
        graded_config(small, **more)
