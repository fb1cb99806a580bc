"""The answer comes first, with its doubts."""

import copy

import pytest
from page_words import Words
from teachergrid.pages import text
from teachergrid.report import answer, page


def test_the_answer_comes_before_all_tables(data, html):
    read = Words(html).text
    first = read[: read.index("All cells", read.index("The answer", 400))]
    for base, found in data["recommendation"]["bases"].items():
        assert f"For {base} , students of {found['best']} score highest" in first or f"To teach {base} , use" in first
        assert text.within(found["value"], found["low"], found["high"]) in first
        assert (
            f"{text.within(found['gain'], found['gain_low'], found['gain_high'])} points above the untuned base"
            in first
        )
        assert text.percent(found["p_best"]) in first.replace(" ", text.SPACE)
        assert all(sentence in first for sentence in data["recommendation"]["cannot_say"][:3])
    assert "concise-m descends from bm itself" in first and "steps-l descends" not in first


def test_it_says_first_that_no_student_beats_the_untuned_base(data):
    made = copy.deepcopy(data)
    for found in made["recommendation"]["bases"].values():
        found |= {"gain": -3.21, "gain_low": -5.0, "gain_high": -1.0}
    read = Words(page.build(made)).text
    start = read.index("The answer", 400)
    assert read[start:].startswith("The answer No student beats its untuned base")
    assert "3.2 [1.0, 5.0] points below the untuned base" in read
    made["recommendation"]["bases"]["bs"] |= {"gain": -0.1, "gain_low": -3.0, "gain_high": 2.8}
    read = Words(page.build(made)).text
    assert "No student of bm beats its untuned base" in read and "whichever format scores higher" in read
    assert "Gain over the untuned base: \u22120.1 [\u22123.0, 2.8] points" in read
    assert "The interval of this gain includes 0, so whether it beats the untuned base is open" in read


def test_a_better_format_is_claimed_only_where_several_were_tried(data):
    made = copy.deepcopy(data)
    made["settings"]["references"] = [r for r in made["settings"]["references"] if r["format"] == "chat"]
    made["performance"] = [row for row in made["performance"] if not (row.get("model") or "").endswith("-plain")]
    for gain in (3.2, -3.2):
        for found in made["recommendation"]["bases"].values():
            found |= {"gain": gain, "untuned_reference": f"{found['untuned_reference'].removesuffix('-plain')}"}
        read = Words(page.build(made)).text
        assert "untuned base" in read and "scores higher" not in read and "scored higher" not in read


@pytest.mark.parametrize(
    "gain, low, high, beats",
    [
        (None, None, None, None),
        (-0.1, -3.0, 2.8, "unsure"),
        (-1.0, -2.0, -0.1, "no"),
        (-1.0, None, None, "unsure"),
        (1.0, None, None, "unsure"),
        (1.0, 0.0, 2.0, "unsure"),
        (1.0, 0.5, 1.5, "yes"),
    ],
)
def test_a_gain_or_loss_is_sure_only_where_its_interval_leaves_out_0(gain, low, high, beats):
    assert answer.beats_untuned(gain, low, high) == beats


def test_the_marks_are_a_set_and_no_test_of_single_units(data):
    read = Words(page.build(data)).text
    assert "such a set holds the truly best teacher in at least 95 of 100 grids" in read
    assert "That is no 5 % test of a single hollow one, since the best was picked from the same numbers" in read
    assert "would have chosen steps-l : the best seen" in read
