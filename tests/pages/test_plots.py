"""Dots, whiskers, points and links of plots."""

import re
import xml.etree.ElementTree as ElementTree

import pytest
from teachergrid.pages import labels, plots, text


def test_dots_draws_a_whisker_from_low_to_high():
    row = plots.Dot(label="a", value=5.0, low=2.0, high=8.0, text="5.0")
    drawn = ElementTree.fromstring(
        plots.dots([row, row._replace(value=None, label="b")], "t", "d", "x", domain=(0.0, 10.0))
    )
    whiskers = [node for node in drawn.iter("path") if "whisker" in node.get("class")]
    marks = [node for node in drawn.iter("path") if "dot" in node.get("class")]
    assert len(whiskers) == len(marks) == 1
    start, end = re.findall(r"[ML]([\d.]+)", whiskers[0].get("d"))
    middle = re.search(r"\(([\d.]+)", marks[0].get("transform"))[1]
    assert float(middle) == pytest.approx((float(start) + float(end)) / 2, abs=0.2)
    assert [node.text for node in drawn.iter("text")][-2] == "b"


def test_points_at_the_same_x_stand_side_by_side():
    point = labels.Point(x=1.0, y=1.0, label="a")
    drawn = plots.scatter(
        [point, point._replace(y=2.0), point._replace(x=2.0)], "t", "d", "x", "y", log=text.parameters
    )
    places = [float(x) for x in re.findall(r"translate\(([\d.]+)", drawn)]
    assert places[1] - places[0] == pytest.approx(9, abs=0.2)


def test_nearly_equal_costs_stand_side_by_side_at_one_tick():
    point = labels.Point(x=1.0, y=1.0, label="a")
    drawn = plots.scatter([point, point._replace(x=1.0004)], "t", "d", "x", "y", log=text.significant)
    first, second = [float(x) for x in re.findall(r"translate\(([\d.]+)", drawn)]
    assert 0 < second - first < 2
    assert re.findall(r'class="tick"[^>]*"middle">([^<]*)<', drawn) == ["1"]


def test_linked_points_are_joined_by_their_mean_and_a_crowd_loses_labels():
    points = [labels.Point(x=x, y=y, label="a", linked=True) for x, y in ((1.0, 0.0), (1.0, 2.0), (2.0, 3.0))]
    (link,) = re.findall(r'class="link[^"]*" d="M([^"]+)"', plots.scatter(points, "t", "d", "x", "y"))
    assert link.count("L") == 1
    assert "link" not in plots.scatter([point._replace(linked=False) for point in points], "t", "d", "x", "y")
    same = [labels.Point(x=1.0, y=1.0, label="a long label")] * (labels.CROWD + 1)
    assert 0 < plots.scatter(same, "t", "d", "x", "y").count(">a long label<") < len(same)


def test_an_empty_plot_is_a_sentence():
    no_value = plots.Dot(label="a", value=None, low=None, high=None, text="")
    for drawn in (
        plots.dots([no_value], "Gain of x", "d", "x"),
        plots.dots([], "Gain of x", "d", "x"),
        plots.scatter([labels.Point(x=1.0, y=None, label="a")], "Gain of x", "d", "x", "y"),
        plots.lines([plots.Line("a", [(1.0, None)], 0)], "Gain of x", "d", "x", "y"),
    ):
        assert drawn == '<p class="note">Gain of x: nothing to draw, because no value is known.</p>'
