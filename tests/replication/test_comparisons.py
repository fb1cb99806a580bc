"""Published numbers beside ours: rounding, and what is printed where they disagree."""

import pytest
from teachergrid.replication import comparisons


@pytest.mark.parametrize(
    ("printed", "ours", "slack", "ok"),
    [
        ("0.925", 0.9254, 0, True),
        ("0.925", 0.9256, 0, False),
        ("14.90", 14.895, 0, True),
        ("4", 4.0, 0, True),
        ("0.7575", 0.75756, 0, False),
        ("0.7575", 0.75756, 0.5e-4, True),
        ("-0.180", -0.1795, 0, True),
    ],
)
def test_rounding(printed, ours, slack, ok):
    assert comparisons.Comparison(printed, ours, slack).ok is ok


def test_a_number_that_does_not_come_out_is_marked_and_counted():
    rows = {"a": {"x": comparisons.Comparison("1.0", 1.04), "y": comparisons.Comparison("2.0", 2.06)}}
    section = comparisons.section("Title", "about", rows)
    assert section.columns == ["x", "y"]
    assert comparisons.counts([section]) == {"printed": 0, "printed_ok": 0, "derived": 2, "derived_ok": 1}
    said = comparisons.lines([section], ["a sentence"])
    assert [line.split()[1:] for line in said if line.startswith("a ")] == [["1.04", "(1.0)", "2.06", "(2.0)", "!"]]
    assert said[-1] == "- a sentence"
