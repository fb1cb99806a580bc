"""The answer comes first, with its doubts."""

import copy

import pytest
import report_data
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


# --- the pilot


def test_what_the_page_of_a_pilot_says():
    rows = [
        {
            "teacher": "steps-l",
            "rank": 1.0,
            "rank_low": 1.0,
            "rank_high": 2.0,
            "p_best": 0.9,
            "p_kept": 0.97,
            "kept": True,
        },
        {"teacher": "steps-s", **dict.fromkeys(("rank", "rank_low", "rank_high", "p_best", "p_kept")), "kept": False},
    ]
    values = {"car": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100}}
    rows = [row | {"metrics": values, "reason": None if row["kept"] else "gated: empty"} for row in rows]
    lost = {"base": "bs", "panel": "p", "best": "steps-s", "value": 45, "best_kept": "steps-l", "kept_value": 43.75}
    found = {
        "sample": 300,
        "by": ["car"],
        "keep": 1,
        "bases": {"bs": {"kept": ["steps-l"], "p_best_kept": 0.97, "teachers": rows}},
        "saved": {"students_kept": 2, "students_all": 16, "responses_kept": 1, "responses_all": 8},
        "regret": [lost | {"regret": 1.25}],
    }
    data = report_data.grid(bases=("bs",), teachers=("steps-l", "steps-s"), seeds=(1,))
    text = " ".join(page.build(data | {"pilot": found}).split())
    for words in (
        "14 of 16 students",
        "7 of 8 full sets of responses",
        "1.0 [1.0, 2.0]",
        "0.500 [0.400, 0.600]",
        "gated: empty",
        "<strong>1.25 points</strong>; steps-s (45.0) was left out; the best of those kept is steps-l (43.8)",
    ):
        assert words in text
    assert "no grid of this config trains all" in page.build(data | {"pilot": found | {"regret": None}})
    assert 'id="pilot"' not in page.build(data)
