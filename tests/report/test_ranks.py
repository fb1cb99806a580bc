"""Correlations on the page: how firm they are, what they can show, and plateaus of a parameter."""

import pytest
from page_words import Words
from teachergrid.pages import text
from teachergrid.report import ranks


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
    assert "differences below" in read
