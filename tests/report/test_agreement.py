"""Metrics beside each other in the report: by hand, against a simulation, and on the page."""

import math

import numpy as np
import pytest
import report_data
from teachergrid.metrics.variants import Metric
from teachergrid.report import agreement, page
from teachergrid.report.data import gather

NAN = math.nan


def page_data(data: dict, values: dict, n=100, width=0.0, categories=(None,)):
    """The made grid with the values {(metric's entry, base, unit): value} in place of its own."""
    own = {name: Metric(entry).name for name, entry in data["settings"]["metrics"].items()}
    named = {row["entry"]: row for row in data["metrics"] if row["metric"] == own.get(row["entry"])}
    rows = [
        named[entry]
        | {"base": base, "unit": unit, "value": value, "low": value - width, "high": value + width, "n": n}
        | {"category": category}
        for (entry, base, unit), value in values.items()
        for category in categories
    ]
    return gather(data | {"metrics": rows})


def test_agreement_is_of_what_metrics_promise(data):
    rising = {("reward-verifier", base, unit): i for base in ("bs", "bm") for i, unit in enumerate("uvwx")}
    falling = {("nll", base, unit): -i for base in ("bs", "bm") for i, unit in enumerate("uvwx")}
    mixed = {("length", "bs", unit): value for unit, value in zip("uvwx", (0, 1, 2, 3), strict=True)}
    mixed |= {("length", "bm", unit): value for unit, value in zip("uvwx", (3, 2, 1, 0), strict=True)}
    found = agreement.between(page_data(data, rising | falling | mixed))
    alike = {
        (a, b): rho
        for a, row in zip(found["names"], found["rows"], strict=True)
        for b, rho in zip(found["names"], row, strict=True)
    }
    assert alike["reward-verifier", "nll"] == pytest.approx(1), "a low loss is what it promises"
    assert alike["reward-verifier", "length"] == pytest.approx(0), "1 for one base and -1 for the other"
    assert agreement.between(page_data(data, {("nll", "bs", unit): 1.0 for unit in "uvwx"})) is None


def test_order_of_pairs_by_hand():
    assert agreement.ordered(np.array([1.0]), 1) == pytest.approx(0.8413, abs=1e-4)  # one standard error apart
    assert agreement.ordered(np.array([1.0]), 4) == pytest.approx(0.9772, abs=1e-4)
    assert agreement.ordered(np.array([0.0, math.inf]), 7) == 0.75  # a tie, and a pair without noise


def test_samples_order_as_often_as_said(data):
    """400 responses of each of three units are known; samples of 50 of such units are drawn."""
    rng, means, spread = np.random.default_rng(0), {"u": 0.0, "v": 0.1, "w": 0.3}, 1.0
    values = {("reward-verifier", "bs", unit): mean for unit, mean in means.items()}
    shown = page_data(data, values, n=400, width=agreement.NORMAL * spread / math.sqrt(400))
    found = agreement.enough(shown)
    pairs, most = agreement.differences(shown, shown.inputs["metrics"][0]["metric"], "bs", shown.panels[0])
    assert most == 400 and found["metric"] == "reward-verifier"
    drawn = rng.normal(list(means.values()), spread / math.sqrt(50), (20_000, 3))
    right = [(drawn[:, a] < drawn[:, b]).mean() for a, b in ((0, 1), (0, 2), (1, 2))]
    assert agreement.ordered(pairs, 50) == pytest.approx(np.mean(right), abs=0.01)
    # of 200, (0.841 + 0.999 + 0.977) / 3; of 500, (0.943 + 1 + 0.999) / 3
    assert dict(found["needed"])["bs"] == 500


def test_values_without_intervals_need_no_number(data):
    values = {("reward-verifier", "bs", unit): 1.0 for unit in "uvw"}
    assert agreement.enough(page_data(data, values, width=NAN)) is None
    tied = agreement.enough(page_data(data, values, width=0.1))
    assert tied["needed"] == [("bs", None)]


def test_values_by_category(data):
    values = {
        ("reward-verifier", base, unit): i / 3 for base in ("bs", "bm") for i, unit in enumerate(report_data.TEACHERS)
    }
    shown = page_data(data, values, width=0.01, categories=(None, "code", "maths"))
    found = agreement.by_category(shown)
    assert [table["name"] for table in found["tables"]] == ["bs", "bm"] and found["metric"] == "reward-verifier"
    table = found["tables"][0]
    assert [column["entry"] for column in table["columns"]] == ["code", "maths"]
    assert len(table["rows"]) == len(report_data.TEACHERS)
    assert table["rows"][1]["cells"][0]["value"] == pytest.approx(1 / 3)
    assert agreement.by_category(page_data(data, values)) is None


def test_the_page_shows_them(html):
    for said in ("Do the metrics agree?", "How many responses are enough?", "Inside these bounds"):
        assert html.count(said) == 1
    assert "beta of car: bs" in html
    assert "By category" not in html, "the made grid has no categories"


def test_the_page_shows_values_by_category(data):
    rows = data["metrics"]
    by_category = [row | {"category": category} for row in rows for category in ("code", "maths")]
    html = page.build(data | {"metrics": rows + by_category})
    assert html.count("<summary>By category") == 1
    shown = html[html.index("<summary>By category") :].partition("</details>")[0]
    assert all(f'aria-label="Values, {base}"' in shown for base in ("bs", "bm")) and ">maths" in shown
