"""FollowBench's rules, with answers that were judged by hand, and which of its rows they check."""

import json

import pytest
from stored_judgments import FOLLOWBENCH, needs_followbench
from teachergrid.errors import BadInput
from teachergrid.tasks.followbench import Item, by_rule, item, satisfied, sentences

PARAGRAPH = "Walk " + "very " * 20 + "far"
POINTS = [
    f"**{i}. Growth: it makes you better at what you like to do{'' if i == 5 else ' so'} now." for i in range(1, 6)
]


@needs_followbench
def test_rows_of_the_benchmark():
    kinds = ("content", "example", "format", "mixed", "situation", "style")
    files = {kind: json.loads((FOLLOWBENCH / f"{kind}_constraints.json").read_text()) for kind in kinds}
    rows = [row for of_kind in files.values() for row in of_kind]
    items = [(kind, one) for kind, of_kind in files.items() for one in map(item, of_kind) if one.level]
    assert (len(rows), len(items)) == (944, 820)
    assert sum(by_rule(one) for _, one in items) == 350  # a judge checks the other 470
    # groups are numbered within a file; the column `category` of the mixed ones says other things
    assert len({(kind, one.group) for kind, one in items if by_rule(one)}) == 70
    # an example's own answer has the form of its template
    own = [(one, row["answer"]) for one, row in zip(map(item, rows), rows, strict=True) if one.category == "example"]
    failed = {one.group for one, answer in own if not satisfied(one, answer)}
    assert len(own) == 200 and len(failed) == 1  # one whose answer has several lines, for which the source has no room


def of(source: str, level: int, target: str = "", category: str = "content", group: int = 1) -> Item:
    return Item(category, group, level, source, target)


@pytest.mark.parametrize(
    ("source", "answer", "level"),
    [
        # the last level whose constraints are all satisfied
        ("cnn_dailymail", "Potter is 18. The actor saves. He has made films.", 5),
        ("cnn_dailymail", "Potter is 18. The actor saves. He made films.", 4),
        ("cnn_dailymail", "Potter is 18. The lavish actor saves. He has made films.", 3),
        ("cnn_dailymail", "Potter is 18. He saves. He has made films.", 2),
        (
            "cnn_dailymail",
            "Potter is 18. The actor saves. He has made films which nearly everyone I know saw once or twice or thrice at home.",
            1,
        ),
        ("cnn_dailymail", "Potter is 18. The actor saves.", 0),
        ("xsum", "An operation is saving lives.", 5),
        ("xsum", "A ship is saving lives.", 4),
        ("xsum", "A ship saves lives.", 3),
        ("xsum", "A ship near Newton Stewart is saving lives.", 2),
        ("xsum", "A ship saves lives. It sank.", 0),
        ("samsum", "They do their stuff.", 5),
        ("samsum", "They do their stuff, now.", 4),
        ("samsum", "They Procrastinate on stuff", 3),
        ("samsum", "They wait", 2),
        ("gigaword", "seven men in a boat went to sea", 5),
        ("gigaword", "seven men on a boat went to sea", 4),
        ("gigaword", "seven men in a bus went to sea", 3),
        ("gigaword", "Seven men in a boat went to sea", 2),
        ("gigaword", "seven men in a boat went to sea.", 1),
        ("gigaword", "seven men  in a boat went to sea", 0),  # every space begins a word
        ("arxiv", "We prune activations", 5),
        ("arxiv", "We prune activations of a transformer", 4),
        ("arxiv", "We prune weights", 3),
        ("arxiv", "They prune weights", 2),
    ],
)
def test_summaries(source, answer, level):
    kept = [satisfied(of(source, n), f"\n{answer} ") for n in range(1, 6)]
    assert kept == [n <= level for n in range(1, 6)]


@pytest.mark.parametrize(
    ("source", "target", "answer", "right"),
    [
        ("E2E", "name[Blue]\n", "name[Blue]", True),
        ("E2E", "name[Blue]", "name[blue]", False),
        ("text_editing", "a b", " a b\n", True),
        ("WIKIEVENTS", "one\ntwo", "two", True),
        ("WIKIEVENTS", "one\ntwo", "two\nthree", False),
        ("CONLL2003", "['a, b', 'b, a']", "b, a", True),
        ("CONLL2003", "['a, b', 'b, a']", "a", False),
        ("BBH_logical", "(B)", "Not (A), it is (B).", True),
        ("BBH_logical", "(B)", "(B), not (A)", False),
        ("BBH_logical", "(B)", "B", False),
        ("BBH_time", "01/02/2003", "It was 01/02/2003.", True),
        ("BBH_time", "01/02/2003", "It was 2003-02-01.", False),
        ("self_made_space", "left", "on the left side", True),
        ("gsm_8k", "$18", "$2 a piece, so $18", True),
        ("gsm_8k", "$18", "18 dollars", False),
        ("gsm_8k", "$18", "", False),
    ],
)
def test_right_texts(source, target, answer, right):
    assert satisfied(of(source, 3, target), answer) is right


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("{'AI': 'Legal (tm).'}", True),
        ("{'AI': ''}", True),
        ("{'AI': 'one\ntwo'}", False),
        ("Sure: {'AI': 'Legal'}", False),
        ("{'ai': 'Legal'}", False),
    ],
)
def test_forms_of_examples(answer, right):
    one = of("aeslc", 2, "{instruction}\n{{'AI': '{answer}'}}", "example")
    assert by_rule(one) and satisfied(one, answer) is right


def test_two_groups_of_formats():
    three = "\n\n".join([PARAGRAPH] * 3)
    first = [satisfied(of("self", n, "", "format", 22), three) for n in (1, 2, 3, 4)]
    assert first == [True, True, True, False]
    assert not satisfied(of("self", 5, "", "format", 22), three)  # it wants a fourth paragraph
    assert not satisfied(of("self", 1, "", "format", 22), PARAGRAPH)
    points = " ".join(POINTS)
    assert satisfied(of("self", 2, "", "format", 30), points)
    assert not satisfied(of("self", 2, "", "format", 30), " ".join(POINTS[:4]))
    assert not satisfied(of("self", 1, "", "format", 30), "1. Growth")
    assert not by_rule(of("self", 1, "", "format", 31)) and not by_rule(of("quora", 1, "", "style"))


def test_what_counts_as_a_sentence():
    assert sentences("One. Two!  Three?") == ["One", " Two", "  Three"]
    assert sentences("1. Walk") == ["1", " Walk"]
    assert sentences("...") == []


def test_rows_that_are_none():
    row = {"category": "style", "example_id": "3", "level": "2", "source": "quora", "target": ""}
    assert item(row) == Item("style", 3, 2, "quora", "") == item(row | {"target": None})
    for broken in ({**row, "level": "two"}, {key: row[key] for key in row if key != "source"}, {**row, "level": None}):
        with pytest.raises(BadInput, match=r"a row of FollowBench lacks .*`fields.answer` needs the columns"):
            item(broken)
