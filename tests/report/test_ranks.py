"""Correlations on the page: how firm they are, what they can show, and plateaus of a parameter."""

import copy

import pytest
from page_words import Words
from teachergrid.pages import text
from teachergrid.report import page, ranks


def test_with_enough_teachers_the_page_says_what_they_can_show():
    assert ranks.power(9) is None
    assert ranks.power(19).startswith(
        "With 19 no rho between \u22120.46 and 0.46 is significant, and a true one of 0.62"
    )


@pytest.mark.parametrize(
    ("points", "wanted"),
    [
        ([(0, 0.1), (1, 0.88), (3, 0.9), (10, 0.86)], (1, 10)),
        ([(0, 0.9), (1, 0.5), (3, 0.88)], (0, 0)),  # nearly as good again, but not next to the best
        ([(0, -0.9), (1, -0.5), (3, 0.2)], (3, 3)),  # strong against the promise is no merit
        ([(3, 0.9), (1, None), (0, 0.89)], (0, 3)),  # in order, without what is undefined
        ([(1, None)], (None, None)),
    ],
)
def test_plateau(points, wanted):
    assert ranks.plateau(points) == wanted


def test_how_firm_a_correlation_is(data, html):
    read = Words(html).text
    row = next(r for r in data["correlations"] if r["role"] == "primary" and r["base"] == "bs")
    for low, high in (("low_nested", "high_nested"), ("low", "high")):
        assert text.within(row["rho"], row[low], row[high], 2) in read
    assert text.within(row["regret_1"], row["low_regret_1"], row["high_regret_1"]) in read
    assert f"(most without {row['family']})" in read
    assert "differences from the best below" in read


def correlation_table(data: dict, base: str) -> str:
    """Return what the page says above the table of a base, and the rows."""
    read = Words(page.build(data)).text
    start = read.index(f" {base} . ", read.index("Which metric predicts the student?"))
    return read[start : start + 1500]


def test_the_ceiling_is_no_cap_and_says_which_noise_it_holds(data):
    table = correlation_table(data, "bs")
    assert "a perfect metric can expect a rho of about" in table and "a single rho may lie above by chance" in table
    assert "by the noise of items and seeds" in table
    made = copy.deepcopy(data)
    for row in made["performance"]:
        row["seeds"] = (row.get("seeds") or [])[:1]
    for found in made["recommendation"]["bases"].values():
        found["seeds"] = [1]
    table = correlation_table(made, "bs")
    assert "by the noise of items alone: that of seeds is unknown and would lower it" in table
    read = Words(page.build(made)).text
    assert "but not the SFT seeds, of which there is one," in read and "noise of seeds left out" in read


def test_families_stand_beside_p(data):
    assert "These are 2 families" in correlation_table(data, "bs")
    assert "With fewer than four families there is no test over families" in correlation_table(data, "bs")
    made = copy.deepcopy(data)
    for row in made["correlations"]:
        row |= {"families": 5, "p_family": 0.25}
    table = correlation_table(made, "bs")
    assert "These are 5 families" in table and "p (families) shuffles whole families" in table and "0.250" in table


def test_the_pooled_table_has_the_columns_of_the_others(data):
    table = correlation_table(data, "all bases pooled")
    for words in (
        "p (max-T)",
        "Regret@1",
        "tau-b",
        "means over bases, each with its own choice",
        "a perfect metric can expect",
    ):
        assert words in table
    assert "“With items and seeds” covers 91 to 93 % of a rho near 0.9" in Words(page.build(data)).text


def test_a_circular_metric_is_marked_where_performance_is_the_circular_score(data):
    """The score that alone is AP is not shown a second time; the mark stands at the metric and in the answer."""
    made = copy.deepcopy(data)
    for row in made["correlations"]:
        row["role"] = "circular" if row["entry"] == "car" else row["role"]
    for found in made["recommendation"]["bases"].values():
        found["primary_metric"] |= {"choice": None, "regret": None, "circular": ["rm-wins"]}
    read = Words(page.build(made)).text
    assert "Circular: performance itself is decided by a reward that is part of the metric" in read
    assert "car has no verdict: the judge rm-wins decides performance by a reward that is part of it" in read
    assert "would have chosen" not in read[: read.index("All cells", 400)]
    assert "Circular: performance itself" not in Words(page.build(data)).text


def test_a_correlation_needs_four_teachers(data):
    made = copy.deepcopy(data) | {"correlations": []}
    assert "it needs at least four teachers" in Words(page.build(made)).text
