"""Which rewritten instructions are left out, and what of an evolver's text is the instruction."""

import pytest
from evolved_rows import READ, replies, said, seed_row
from teachergrid.evolution import elimination
from teachergrid.evolution.elimination import Draft
from teachergrid.evolution.steps import Given

PARENT = "Name two cities of France"
HARDER = "Name two cities of France that lie on a river, and say which river it is"


def why(text, parent=PARENT, ended="stop", **settings):
    return elimination.verdict(Draft(text, parent, ended), READ | settings)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (HARDER, None),
        ("", "empty"),
        ("I'm sorry, but I can't help with that request.", "refusal"),
        ("The given task asks for two cities; name three of them with their rivers", "labels"),
        ("... !? -", "punctuation"),
        ("And it is this, or that.", "punctuation"),
        ("name TWO cities, of France!", "equal"),
        ("Name two big cities of France", "equal"),
        ("Назовите два города Франции, которые лежат на реке", "language"),
        (f"{HARDER} {'and more ' * 30}", "long"),
        ("Two cities of France that have a harbour: name them", None),
    ],
)
def test_the_reason(text, reason):
    assert why(text) == reason


def test_words_of_the_template_that_the_parent_has_are_its_own():
    parent = "Explain what a given task is in scheduling"
    assert why(f"{parent} and compare it with a job of a queue", parent) is None


def test_a_rule_that_is_not_asked_for_leaves_nothing_out():
    assert why("name TWO cities, of France!", eliminate=["refusal"]) is None
    assert why("Name two big cities of France", least_change=1) is None
    assert why("name TWO cities, of France!", least_change=1) == "equal"


@pytest.mark.parametrize(("ended", "reason"), [("prompt_too_long", "prompt too long"), ("content_filter", "cut-off")])
def test_how_a_response_ended_counts(ended, reason):
    assert why(HARDER, ended=ended) == reason


def test_a_task_in_figures_may_change_in_figures():
    assert why("12 + 7 * 3 - 4", "3 + 4") is None


@pytest.mark.parametrize(
    "text",
    [
        HARDER,
        f"  {HARDER}\n",
        f"Sure! Here is the revised task:\n\n{HARDER}",
        f"Here's a harder version:\n{HARDER}",
        f"Revised task: {HARDER}",
        f"**Revised task:**\n{HARDER}",
        f"### Revised Task\n{HARDER}",
        f'"{HARDER}"',
        f"```\n{HARDER}\n```",
        f"Certainly, here it is:\n\nRevised task:\n\u201c{HARDER}\u201d",
    ],
)
def test_what_surrounds_the_instruction_is_taken_off(text):
    """The published code keeps it (bug 4): its own printed example opens with a sentence about itself."""
    assert elimination.written(text, READ) == HARDER


@pytest.mark.parametrize(
    "text",
    [
        "Here is a list of words: pear, apple. Sort it.",
        "Sure-footed animals live here. Which ones?",
        '"Who is there?" is the first line of which play, and who says "Long live the king!"',
        "Revised tasks are the topic: list three",
        "```\na\n```\nWhat does this print, and\n```\nb\n```",
    ],
)
def test_what_only_looks_like_it_stays(text):
    assert elimination.written(text, READ) == text


def test_the_last_of_the_labelled_sections_is_the_result():
    text = f"Ways: more.\nPlan: Final task: later\nDraft: {PARENT}\n**Final task:**\n{HARDER}\n"
    settings = READ | {"final": ["Final task"], "labels": ["ways:", "plan:"]}
    assert elimination.written(text, settings) == HARDER
    assert elimination.written(text, settings | {"published": True}) == HARDER
    assert elimination.written(f"Ways: more.\nDraft: {HARDER}", settings) == ""


def judged(*answers, **settings):
    seeds = [seed_row(f"{PARENT} {n}") for n in range(len(answers))]
    drafts = [seed_row(f"{HARDER} {n}", parent_id=row["id"], operator="a", round=1) for n, row in enumerate(seeds)]
    how = {"retry": True}
    text = {"text": "{parent} | {instruction}"}
    asked = elimination.ask_equal(Given("q", [seeds, drafts], [], []), how | text).rows
    assert said(asked) == [f"{PARENT} {n} | {HARDER} {n}" for n in range(len(answers))]
    given = Given("e", [seeds, drafts, asked], [replies(asked, *answers)], [])
    return elimination.read_equal(given, how | {"equal": "equal", "keep": False} | settings)


def test_a_judge_leaves_out_what_asks_for_the_same():
    """It compares with the parent; a published script puts the evolved text itself there (bug 7)."""
    made = judged("Equal.", "different", "They are not equal: different", "**equal**", "", "no idea")
    reasons = [fate.reason for fate in made.fates]
    assert reasons == ["equal, by a judge", None, None, "equal, by a judge", None, None]
    assert said(made.rows) == [f"{HARDER} {n}" for n in (1, 2, 4, 5)]


def test_a_parent_stands_for_what_a_judge_left_out():
    assert said(judged("equal", "different", keep=True).rows) == [f"{PARENT} 0", f"{HARDER} 1"]
