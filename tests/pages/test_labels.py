"""Labels of points: readable, and never in the way of what they name."""

import re
import xml.etree.ElementTree as ElementTree

from teachergrid.pages import labels, plots

FRAME = (40.0, 12.0, 398.0, 258.0)


def placed(x: float, y: float, label: str = "concise-m") -> labels.Placed:
    return labels.Placed(labels.Point(x=x, y=y, label=label), x, y, x)


def place_of(drawn: str) -> tuple[float, float]:
    node = ElementTree.fromstring(drawn)
    return float(node.get("x")), float(node.get("y"))


def test_a_label_leaves_a_whisker_free_where_another_place_is():
    (right,) = labels.labels([placed(200, 100)], FRAME)
    assert place_of(right) == (207, 104)
    (left,) = labels.labels([placed(200, 100)], FRAME, [(230, 60, 230, 140)])
    assert place_of(left)[0] < 200, "a whisker is at its right"
    # no place is free of whiskers: the label is there nevertheless, since it hides none
    everywhere = [(x, 12.0, x, 258.0) for x in range(40, 400, 10)]
    assert len(labels.labels([placed(200, 100)], FRAME, everywhere)) == 1


def test_no_whisker_is_drawn_below_a_label():
    """A label has a rim in the colour of the paper, which would hide what was drawn before it."""
    points = [plots.Point(x=x, y=x, label="a long name", y_low=0.0, y_high=4.0) for x in (1.0, 1.2, 1.4, 2.0)]
    drawn = plots.scatter(points, "t", "d", "x", "y")
    assert drawn.rindex('class="name"') < drawn.index('class="whisker') < drawn.index('class="dot')


def test_a_crowd_loses_labels():
    drawn = labels.labels([placed(200, 100)] * (labels.CROWD + 1), FRAME)
    assert 0 < len(drawn) < labels.CROWD


def test_a_long_label_is_cut():
    assert labels.shortened("a" * 30) == "a" * 23 + "…"
    assert re.fullmatch("a{24}", labels.shortened("a" * 24))
