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
    top = {"by": "ifd", "choose": "best", "share": 0.25, "each": ["length"], "least": {"obeys": 0.5}}
    made["settings"]["corpora"] = {"top": top}
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
    assert (
        "What is choosing rows worth?" in read
        and "best by ifd, 25 %, of those with obeys 0.5 or better" in read
        and "length" in read
    )
    assert "+3.2 [+1.0, +5.5], p 0.020" in read and "\u22121.5 [\u22124.0, +1.0], p 0.300" in read
    assert "26\u00a0%" in html and "top: bs and bm choose 61\u00a0% of 150 rows alike." in html
    assert 'href="#selection"' in html


def test_a_grid_without_selections_has_no_such_section(data, html):
    assert selection.section(gather(data)) is None
    assert 'id="selection"' not in html


def test_pilots_that_train(selected):
    """Students of 30 and 150 rows beside those of all 600: curves, the winner, what was promised, and successive halving."""
    made = copy.deepcopy(selected)
    panel = next(row["panel"] for row in made["effects"] if row["effect"] == "against_random")
    reached = {"steps-l": (20.0, 24.0, 30.0), "steps-s": (22.0, 23.0, 24.0), "concise-l": (18.0, 25.0, 33.0)}
    levels = (("rows 30", 30), ("rows 150", 150), ("all rows", 600))
    rows = [
        effect("curve", None, None, subject=teacher, other=name, value=value, low=value - 2, high=value + 2, n=n)
        for teacher, values in reached.items()
        for (name, n), value in zip(levels, values, strict=True)
    ]
    rows.append(
        effect(
            "extrapolated", None, None, subject="concise-l", other="all rows", value=31.0, low=27.0, high=35.0, n=600
        )
    )
    rows += [effect("train_rho", None, None, subject="rows 30", value=-0.5, p=0.66, n=3)]
    rows += [
        effect("train_lost", kept, None, subject="rows 30", other=chosen, value=lost, low=0.0, high=9.5, n=3)
        for kept, chosen, lost in (("1", "steps-s", 8.5), ("3", "concise-l", 0.2))
    ]
    # its students all perform equally
    rows.append(effect("train_rho", None, None, subject="rows 150", reason="equal", n=3))
    rows.append(effect("train_lost", "1", None, subject="rows 150", other="steps-l", value=3.0, low=0.0, high=6.0, n=3))
    path = "3 on rows 30, 2 on rows 150, 1 on all rows"
    rows.append(effect("halving", None, "0.383", subject=path, other="steps-l", value=3.1, low=0.5, high=6.0, n=3))
    made["effects"] += [{**row, "panel": panel} for row in rows]
    read = " ".join(Words(page.build(made)).text.split())
    assert "Pilots that train" not in Words(page.build(selected)).text
    assert "rows 30 \u22120.50 0.660 1 steps-s 8.5 [0.0, 9.5]" in read and "3 concise-l 0.2 [0.0, 9.5]" in read
    assert (
        f"Successive halving ({path}) trains 38 % of the rows, takes steps-l and is expected to lose 3.1 [0.5, 6.0]"
        in read
    )
    assert "rows 150 \u2014 \u2014 1 steps-l 3.0 [0.0, 6.0]" in read
    assert "concise-l 31.0 [27.0, 35.0] 33.0 [31.0, 35.0]" in read
    assert "Performance by rows trained on, students of bm" in page.build(made)


def test_a_pair_says_how_far_it_differs_in_rows_tokens_and_cost(data):
    """Twice the rows at the same tokens; half of 400 GPU-seconds against 80 seconds of which all is its own."""
    made = copy.deepcopy(data)
    panel = next(row["panel"] for row in made["effects"] if row["base"] == "bm")
    found = effect("pair", "steps-s", "steps-l", value=2.0, low=-0.5, high=4.5, p=0.1, p_holm=0.2, n=300)
    made["effects"].append({**found, "panel": panel})
    for student in made["settings"]["students"]:
        student["instructions"] = {"steps-s": "small-1", "steps-l": "large-1"}.get(student["teacher"], "pool")
    for row in made["lineage"]:
        row |= {"examples": 2000 if row["corpus"] == "pool__steps-l" else 1000, "trained_tokens": 5000}
    cost = {"rows": 1, "jobs": 1, "unknown": 0}
    made["evolution_costs"] = [
        {**cost, "instructions": "large-1", "gpu_s": 400.0, "cpu_s": 0.0, "share": 0.5},
        {**cost, "instructions": "small-1", "gpu_s": 80.0, "cpu_s": 0.0, "share": 1.0},
    ]
    (pair,) = selection.pairs(gather(made))
    assert pair["ratios"] == {"rows": 2.0, "trained tokens": 1.0, "GPU time": 2.5} and pair["equal"] == [
        "trained tokens"
    ]
    assert pair["hint"] == "about 800 rows of steps-l cost as much as steps-s"
    shown = Words(page.build(made)).text
    assert "Pairs that the config states" in shown and "+2.0 [\u22120.5, +4.5] 0.200" in shown
    assert "\u00d7 2.50 GPU time" in shown.replace("\u00a0", " ")
    # of two kinds, no one number says what it took; money stands for the seconds of those who ask
    made["evolution_costs"][0]["usd"] = 3.0
    assert "GPU time" not in selection.pairs(gather(made))[0]["ratios"]
    for row in made["evolution_costs"]:
        row |= {"gpu_s": 0.0, "cpu_s": 9.0, "usd": 2.0}
    assert selection.pairs(gather(made))[0]["ratios"]["money"] == 0.5
    # jobs that went on after a kill have no time, so nothing is known about cost
    made["evolution_costs"][0]["unknown"] = 1
    assert {*selection.pairs(gather(made))[0]["ratios"]} == {"rows", "trained tokens"}
    assert selection.pairs(gather(data)) == []
