"""Every value of every metric, with or without students."""

import copy
import re

import pytest
import report_data
from page_words import Words, body_of, ids, without_words
from teachergrid.pages import text
from teachergrid.report import page
from teachergrid.report import values as report_values

ABOUT_STUDENTS = ("answer", "decide", "grid", "strength", "metrics", "correlation", "tasks")


def test_a_grid_that_only_measures_shows_every_value_first(measured):
    html = page.build(measured)
    read = Words(html)
    assert "8 teachers, measured for 2 base models; nothing was trained." in read.text
    assert ids(html)[0] == "values" and not set(ids(html)) & set(ABOUT_STUDENTS)
    head, *rows = body_of(html, "Values, bm")
    assert head[:3] == ["Teacher", "car primary promise: high", "car-rm promise: high"]
    assert "nll promise: low" in head and not any("borrowed" in name for name in head)
    by_unit = {row[0]: row[1:] for row in rows}
    assert list(by_unit) == list(report_data.TEACHERS)
    for row in measured["metrics"]:
        if row["base"] == "bm" and row["metric"] in ("nll_mean/chat", "car_mean/verifier/chat/beta=1"):
            shown = by_unit[row["unit"]][0 if row["entry"] == "car" else head.index("nll promise: low") - 1]
            assert shown == text.within(row["value"], row["low"], row["high"], 3)
    assert html.count("<title>car of the responses of every teacher") == 2
    assert "No student was trained" in read.text and "borrowed" not in read.text
    assert not read.crossed and not re.search(r"\b(nan|NaN|None|inf)\b", without_words(html))


def test_left_out_responses_and_failures_of_a_grid_that_only_measures(measured):
    made = copy.deepcopy(measured)
    made["metrics"] = [row for row in made["metrics"] if (row["base"], row["unit"]) != ("bs", "steps-s")]
    found = next(row for row in made["metrics"] if row["metric"] == "nll_mean/chat")
    found |= {"n": 583, "missing": 17, "reason": "17 of 600 responses left out: too long"}
    lost = next(row for row in made["metrics"] if row["metric"] == "ifd_loss/chat")
    lost |= {"value": None, "low": None, "high": None, "reason": "no response is left"}
    for row in made["metrics"]:
        row |= {"value": None, "low": None, "high": None, "reason": "no text"} if row["metric"] == "length" else {}
    failure = {"cell": "bs/pool__steps-s", "rule": "metric", "reason": "out of memory", "log": "x.log"}
    html = page.build({**made, "failures": [failure]})
    assert "Not measured: steps-s (metric: out of memory)" in Words(html).text
    assert "Without any value: length (no text)" in Words(html).text
    first, second = body_of(html, "Values, bs")[:2]
    at = {name.split()[0]: i for i, name in enumerate(first)}
    assert second[at["nll"]].endswith("583 of 600") and second[at["ifd"]] == "—"
    assert 'title="17 of 600 responses left out: too long"' in html and 'title="no response is left"' in html


@pytest.mark.parametrize(
    "values, half_widths, wanted",
    [
        ([1.0128, 1.0195], [0.0016, 0.0034], 4),  # widths .0032 and .0068: 2 digits of .0050
        ([207.3, 359.1], [9, 9], 0),
        ([0.44, 0.40], None, 4),  # 3 digits of .0400
        ([5.0, 5.0], None, 2),
        ([0.0, None], None, 0),
        ([131380.8], [5000], 0),
    ],
)
def test_decimals_follow_the_intervals(values, half_widths, wanted):
    half = half_widths or [None] * len(values)
    column = [
        {"value": v, "low": None if h is None else v - h, "high": None if h is None else v + h}
        for v, h in zip(values, half, strict=True)
    ]
    assert report_values.decimals(column) == wanted


def test_a_page_about_students_has_all_values_too(html):
    head, *rows = body_of(html, "Values, bs")
    assert head[0] == "Teacher" and head[1].startswith("car primary") and len(rows) == len(report_data.TEACHERS)
    assert ids(html)[:7] == list(ABOUT_STUDENTS)
