"""Selections of rows in words and plots."""

import copy

import pytest
from page_words import Words
from teachergrid.report import page, selection
from teachergrid.report.data import gather


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"by": "ifd", "choose": "best", "share": 0.25}, "best by ifd, 25 %"),
        ({"by": "nll", "choose": "worst", "rows": 1200}, "worst by nll, 1\u202f200 rows"),
        ({"by": {"ifd": 0.5, "nll": 1}, "choose": "all", "tokens": 900}, "best by 0.5 ifd + 1 nll, 900 tokens"),
        ({"by": None, "choose": "random", "share": 0.1}, "random, 10 %"),
    ],
)
def test_a_choice_in_words(entry, words):
    assert selection.choice(entry) == words


def effect(effect, smaller, larger, **values):
    columns = dict.fromkeys(("family", "value", "low", "high", "p", "p_holm", "n", "reason"))
    return {"base": "bm", "panel": None, "effect": effect, "smaller": smaller, "larger": larger, **columns, **values}


@pytest.fixture
def selected(data):
    made = copy.deepcopy(data)
    panel = next(row["panel"] for row in made["effects"] if row["base"] == "bm")
    made["settings"]["corpora"] = {"top": {"by": "ifd", "choose": "best", "share": 0.25, "each": ["length"]}}
    made["effects"] += [
        {**row, "panel": panel}
        for row in (
            effect("against_random", "lot-1, lot-2", "top", value=3.25, low=1.0, high=5.5, p=0.01, p_holm=0.02, n=300),
            effect("against_all", "pool__steps-l", "top", value=-1.5, low=-4.0, high=1.0, p=0.3, p_holm=0.3, n=300),
            effect("overlap", "top", "lot-1", value=0.26, n=150),
        )
    ]
    made["effects"].append(effect("scorers", "bs", "bm", value=0.61, n=150, family="top") | {"base": "pooled"})
    return made


def test_selections_against_random_and_all_rows(selected):
    html = page.build(selected)
    read = Words(html).text
    assert "What is choosing rows worth?" in read and "best by ifd, 25 %" in read and "length" in read
    assert "+3.2 [+1.0, +5.5], p 0.020" in read and "\u22121.5 [\u22124.0, +1.0], p 0.300" in read
    assert "26\u00a0%" in html and "top: bs and bm choose 61\u00a0% of 150 rows alike." in html
    assert 'href="#selection"' in html


def test_a_grid_without_selections_has_no_such_section(data, html):
    assert selection.section(gather(data)) is None
    assert 'id="selection"' not in html
