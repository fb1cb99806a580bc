"""What quality costs: the front of cost and performance, and what more responses are worth."""

import numpy as np
import pytest
from known_grid import SIX, SIX_REWARD, World
from teachergrid.analysis.performance import Unit
from teachergrid.decisions import fronts
from teachergrid.stats import variance


@pytest.fixture(scope="module")
def world():
    """Sizes double from u (1) to z (32); students of w were trained on twice the tokens."""
    made = World(SIX, reward=SIX_REWARD)
    made.students = {
        name: {**facts, "trained_tokens": 100 if "__w__" in name else 50} for name, facts in made.students.items()
    }
    return made


@pytest.fixture(scope="module")
def found(world):
    return world.summary()


def rows(found, effect, base):
    return {r["subject"]: r for r in found.effects if (r["effect"], r["base"]) == (effect, base)}


def test_costs_are_parameters_times_tokens(found):
    costs = {name: row["value"] for name, row in rows(found, "cost", "b1").items()}
    assert costs == {"u": 1, "v": 2, "w": 8, "x": 8, "y": 16, "z": 32}


def test_the_front_by_hand(found):
    """On b1 4, 6, 8, 16, 10 and 12 of 20 are right: x is as cheap as w and better than y and z, which cost more."""
    behind = {name: row["other"] for name, row in rows(found, "front", "b1").items()}
    assert behind == {"u": None, "v": None, "w": "x", "x": None, "y": "x", "z": "x"}
    # on b2 5, 4, 9, 8, 11 and 15
    behind = {name: row["other"] for name, row in rows(found, "front", "b2").items()}
    assert behind == {"u": None, "v": "u", "w": None, "x": "w", "y": None, "z": None}
    assert found.recommendation["bases"]["b1"]["front"] == {"u": 1, "v": 2, "x": 8}


def test_the_chance_of_the_front(found):
    chances = {name: row["value"] for name, row in rows(found, "front", "b1").items()}
    assert chances["u"] == 1  # nothing is cheaper
    assert chances["x"] > 0.9 and max(chances[name] for name in "wyz") < 0.2 and 0.5 < chances["v"] < 1


def test_a_teacher_without_size_has_no_cost(world):
    world.settings["teachers"]["x"]["parameters"], kept = None, world.settings["teachers"]["x"]["parameters"]
    try:
        found = world.summary()
    finally:
        world.settings["teachers"]["x"]["parameters"] = kept
    row = rows(found, "cost", "b1")["x"]
    assert row.get("value") is None and "x: its model states no `parameters`" in row["reason"]
    assert "x" not in rows(found, "front", "b1") and rows(found, "front", "b1")["z"]["other"] is None


def test_tokens_are_of_all_responses():
    """Means over seeds. Five samples of an instruction are five responses, and one that is not trained on was written, too."""
    unit = Unit("b", "p__t", "p", "t", "sft", "t", "p, sft", False, None, {1: "one", 2: "two", 3: "three"})
    facts = {"one": {"trained_tokens": 30, "examples": 10}, "two": {"trained_tokens": 50, "examples": 10}}
    assert fronts.tokens_of([unit], facts) == {("b", "p, sft", "t"): 40}
    of_five = {name: {key: 5 * value for key, value in own.items()} for name, own in facts.items()}
    assert fronts.tokens_of([unit], of_five) == {("b", "p, sft", "t"): 200}
    kept = {"trained_tokens": 24, "examples": 6, "left_out": {"empty": 1, "unfinished": 1}}
    partly = {"one": kept | {"prompt_refused": 1, "prompt_too_long": 1}}
    assert fronts.tokens_of([unit], partly) == {("b", "p, sft", "t"): 40}


def test_more_responses_help_a_noisy_metric_only():
    """A metric with rho 0.6 gets narrow intervals, then wide ones."""
    world, gains = World(SIX, reward=dict(zip("uvwxyz", (1.0, 2.0, 6.0, 4.0, 3.0, 5.0), strict=True))), []
    for width in (0.01, 3.0):
        found = [row for row in world.summary().effects if row["effect"] in ("variance", "after")]
        tables, labels, metric_rows = tables_of(world)
        for row in metric_rows:
            row |= {"low": row["value"] - width, "high": row["value"] + width}
        made = {(r["base"], r["subject"]): r for r in fronts.pilot_rows(tables, labels, metric_rows, found)}
        gains.append(made["b1", "now"]["value"] - made["b1", "twice the responses"]["value"])
        assert made["b1", "now"]["n"] == 4
        # a ratio of means that is undefined may still have draws that are not
        metric_rows[0]["value"] = None
        assert fronts.pilot_rows({"b1": tables["b1"]}, labels, metric_rows, found) == []
    assert abs(gains[0]) < 0.01 and gains[1] > 0.05


def tables_of(world):
    from teachergrid.analysis import baselines, correlations
    from teachergrid.analysis.performance import performance, units

    settings = world.settings
    own = units(settings, {})
    students = performance(settings, own, world.scores)
    ap = baselines.student_ap(students.rows)
    metric_rows = baselines.grid_metrics(settings, own, world.metrics, students.rows)
    (tables,) = correlations.tables_of(settings, own, metric_rows, ap, students.items).values()
    return tables, correlations.labels_of(settings, metric_rows), metric_rows


def test_the_first_of_a_perfect_metric_lose_nothing_that_can_be_known():
    all_of_them = variance.expected_regret(4.0, 1.0, 8)
    assert variance.regret_of_the_first(4.0, 1.0, 1.0, 8, 8) == pytest.approx(all_of_them, abs=0.03)
    assert variance.regret_of_the_first(4.0, 0.0, 1.0, 8, 3) == 0
    worse = [variance.regret_of_the_first(4.0, 1.0, agrees, 8, 3) for agrees in (1.0, 0.7, 0.0)]
    assert worse == sorted(worse) and worse[0] < all_of_them
    # one of no use, one trained: any teacher
    any_one = variance.regret_of_the_first(4.0, 1.0, 0.0, 2, 1)
    assert any_one == pytest.approx(2 / np.sqrt(np.pi), abs=0.03)
