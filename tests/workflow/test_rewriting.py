"""The mini world's harder problems: any text is read, its truth is known, and harder is more work."""

import random

import pytest
import world
from hardening import OPERATORS, harder, pair, verdict
from reading import read


@pytest.fixture(scope="module")
def items():
    rng = random.Random(3)
    return [world.sample(rng, tasks=world.OPEN) for _ in range(1500)] + world.distinct(*world.POOL)


@pytest.fixture(scope="module")
def pairs():
    rng = random.Random(4)
    return [pair(rng, world.sample) for _ in range(1500)]


def test_reading_gives_what_the_generators_say(items):
    for item in items:
        problem = read(item.instruction)
        assert problem is not None, item.instruction
        said = (item.task, item.instruction, item.problem, item.raw, item.answer)
        assert (problem.task, problem.text, problem.key, problem.raw, problem.answer) == said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Sort these words: fig red",  # no phrasing of the world
        "Reverse this list: fig",  # no list
        "Reverse this list: fig red fig",
        "Reverse this list: fig grey",
        "Reverse this list: 3 4",
        "Reverse this list: apple axe bear black blue brush cat",
        "Reverse this list: fig red .",
        "Reverse this list: fig red . ",
        "Reverse this list: fig red Use upper case.",
        "Reverse this list: fig red . Use upper case. End with the word done.",
        "Compute 5 - 7",
        "Compute 5 + 107",
        "Compute 5 + 07",
        "What is 3 plus 4? Use upper case.",
        "Pick the third item: fig red",
        "Keep only the tools: fig red",
        "Keep only the tools and then reverse them: fig axe",
        "Find the largest number: 0 3",
        "Convert 2 weeks to days",  # closed tasks are in neither pool nor tests
    ],
)
def test_what_is_no_problem_of_the_world_is_not_read(text):
    assert read(text) is None


def test_operations_are_words_and_digits_times_what_is_done_with_them():
    operations = {
        "Copy the list: fig red pear": 3,
        "Copy the list: fig red pear . Use upper case.": 4,
        "Take the last word and spell it: fig red pear": 6,
        "Compute 5 + 17": 3,
        "What is twice the sum of 5 and 17? Say the answer twice.": 7,
    }
    assert {text: read(text).operations for text in operations} == operations


def test_a_harder_problem_is_one_of_the_world_and_keeps_its_parents_content(pairs):
    for _, parent, child in pairs:
        assert read(child.text) == child
        assert verdict(parent, child.text) == "harder"
        assert parent.split == child.split == "train"
    assert {operator for operator, *_ in pairs} == {*OPERATORS}
    assert {parent.task for _, parent, _ in pairs} == {*world.OPEN}


def test_every_problem_of_the_pool_can_be_made_harder_and_most_of_them_twice(items):
    rng = random.Random(0)
    stuck = []
    for item in items[-200:]:
        for operator in OPERATORS:
            once = harder(rng, read(item.instruction), operator)
            assert verdict(read(item.instruction), once.text) == "harder"
            twice = harder(rng, once, operator)
            stuck += [once] if twice is None else []
    assert len(stuck) < 0.1 * 200 * len(OPERATORS)
    assert all(problem.constraint != "none" for problem in stuck)


def test_the_same_seed_gives_the_same_pairs(pairs):
    rng = random.Random(4)
    assert [pair(rng, world.sample) for _ in range(50)] == pairs[:50]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Copy the list: fig red pear", "harder"),
        ("Reverse this list: fig red", "not harder"),
        ("Copy the list: fig pear saw", "other content"),
        ("Copy the list: fig red fig", "no problem"),
    ],
)
def test_verdict(text, said):
    assert verdict(read("Copy the list: fig red"), text) == said
    assert verdict(read("Compute 7 + 5"), "Compute 17 + 5") == "harder"
    assert verdict(read("Compute 7 + 5"), "Compute 71 + 5") == "other content"
