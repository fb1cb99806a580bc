"""Correlations of metrics with performance in a grid whose answer is known."""

import math

import numpy as np
import pytest
from known_grid import METRICS, SIX, SIX_REWARD, World, ap, correlation, metric_table
from scipy.stats import spearmanr
from tables import entry
from teachergrid.metrics.variants import Metric
from teachergrid.store import artifacts


@pytest.fixture(scope="module")
def whole():
    return World().summary()


def test_an_expression_has_the_direction_that_it_states():
    """Loss as something to maximise chooses another teacher than nll_mean does."""
    world = World(primary="own")
    chosen = entry("expression", expression="2 * nll_mean", best="highest")
    world.settings["metrics"] = {**METRICS, "own": chosen}
    for reward, key in zip((3.0, 2.0, 1.0) * 2, list(world.metrics), strict=True):
        row = {**Metric(chosen).labels, "entry": "own", "own": True, "value": -2 * reward, "n": 4, "missing": 0}
        category = {**row, "category": "maths", "value": 100.0}
        table = [*metric_table(reward, -reward).to_pylist(), row, category]
        world.metrics[key] = artifacts.table(table, artifacts.METRICS)
    found = world.summary()
    assert correlation(found, "b1", "nll_mean/chat")["choice"] == "x"
    own = correlation(found, "b1", "(2 * nll_mean)/chat")
    assert (own["choice"], own["role"]) == ("z", "primary")
    # values by category stand in the table, and in no statistic
    assert {row.get("category") for row in found.metrics if row["entry"] == "own"} == {None, "maths"}


def test_three_teachers_give_regret_and_no_correlation(whole):
    row = correlation(whole, "b1", "reward_mean/rm")
    assert (row["n"], row["rho"], row["reason"]) == (3, None, "fewer than 4 teachers")
    assert (row["choice"], row["regret_1"], row["role"]) == ("x", 0, "primary")
    assert correlation(whole, "b2", "reward_mean/rm")["regret_1"] == pytest.approx(40)
    assert correlation(whole, "b2", "borrowed")["role"] == "baseline"
    primary = whole.recommendation["bases"]["b2"]["primary_metric"]
    assert primary == {"metric": "reward_mean/rm", "choice": "x", "regret": pytest.approx(40), "rho": None, "n": 3}


@pytest.fixture(scope="module")
def six():
    return World(SIX, reward=SIX_REWARD).summary()


def test_correlations_over_six_teachers(six):
    x, y = list(SIX_REWARD.values()), [row[0] for row in SIX["b1"].values()]
    row = correlation(six, "b1", "reward_mean/rm")
    assert row["rho"] == pytest.approx(spearmanr(x, y).statistic) and row["n"] == 6
    assert row["low"] <= row["rho"] <= row["high"] and row["p"] <= row["p_max_t"]
    assert (row["choice"], row["regret_1"], row["regret_3"]) == ("x", 0, 0)
    assert 0 < row["ceiling"] <= 1


def test_a_metric_where_lower_is_better_keeps_its_sign_and_chooses_the_lowest(six):
    up, down = correlation(six, "b1", "reward_mean/rm"), correlation(six, "b1", "nll_mean/chat")
    for key in ("rho", "tau_b"):
        assert down[key] == pytest.approx(-up[key])
    assert (down["low"], down["high"]) == pytest.approx((-up["high"], -up["low"]))
    for key in ("p", "choice", "regret_1", "regret_3", "pairwise_accuracy"):
        assert down[key] == up[key]


def test_only_own_variants_are_corrected_for_many_metrics(six):
    assert correlation(six, "b1", "nll_mean/chat")["p_max_t"] is not None
    assert correlation(six, "b1", "nll_mean/chat/no-end")["p_max_t"] is None
    assert correlation(six, "b1", "nll_mean/chat/no-end")["role"] == "exploratory"


def test_the_primary_metric_has_a_row_without_self_pairs_too(six):
    x, y = list(SIX_REWARD.values()), [row[0] for row in SIX["b1"].values()]
    row = correlation(six, "b1", "reward_mean/rm (without self-pairs)")
    rest = [i for i, name in enumerate("uvwxyz") if name != "x"]
    assert row["n"] == 5
    assert row["rho"] == pytest.approx(spearmanr([x[i] for i in rest], [y[i] for i in rest]).statistic)
    assert "reward_mean/rm (without self-pairs)" not in {r["metric"] for r in six.correlations if r["base"] == "b2"}


def test_pooled_is_over_teachers_and_not_over_cells(six):
    row = correlation(six, "pooled", "reward_mean/rm")
    rhos = [correlation(six, base, "reward_mean/rm")["rho"] for base in ("b1", "b2")]
    assert row["rho"] == pytest.approx(np.tanh(np.mean(np.arctanh(rhos)))) and row["n"] == 6
    assert row["role"] == "primary"


def test_a_metric_of_the_reward_that_decides_performance_has_no_verdict():
    """The judge `wins` decides AP by the reward `rm`: the primary metric, which is that reward, agrees with itself."""
    world = World(SIX, reward=SIX_REWARD)
    judged = {(model, suite, "wins"): table for (model, suite, _), table in world.scores.items()}
    world.scores = judged
    world.settings["suites"] = {"test": ["wins"]}
    world.settings["grid"]["performance"] = ["test/wins"]
    world.settings["judges"] = {"wins": {"reward": "rm"}}
    found = world.summary()
    assert {correlation(found, base, "reward_mean/rm")["role"] for base in ("b1", "b2", "pooled")} == {"circular"}
    assert correlation(found, "b1", "nll_mean/chat")["role"] == "exploratory"
    answer = found.recommendation["bases"]["b1"]["primary_metric"]
    assert (answer["choice"], answer["regret"], answer["circular"]) == (None, None, ["wins"])
    assert "circular" in found.recommendation["cannot_say"][0] and "rm" in found.recommendation["cannot_say"][0]
    world.settings["judges"] = {"wins": {"reward": "other"}}
    other = world.summary()
    assert correlation(other, "b1", "reward_mean/rm")["role"] == "primary"
    assert "circular" not in str(other.recommendation)


def test_families_are_tested_as_families():
    """Pairs of alike teachers: three of four families in order are weaker evidence than six of eight teachers."""
    right = {"b1": {name: [i + 2, i + 2] for i, name in enumerate("abcdefgh")}}
    world = World(right, untuned={"b1": {"chat": 2}}, reward={name: float(i) for i, name in enumerate("abcdefgh")})
    for i, teacher in enumerate(world.settings["teachers"].values()):
        teacher["family"] = "stuv"[i // 2]
    row = correlation(world.summary(), "b1", "reward_mean/rm")
    assert row["families"] == 4
    assert row["p"] == pytest.approx(2 / math.factorial(8)) and row["p_family"] == pytest.approx(2 / math.factorial(4))


def test_reasons_of_the_pooled_row_name_the_base():
    found = World({**SIX, "b2": {teacher: [10, 10] for teacher in SIX["b2"]}}, reward=SIX_REWARD).summary()
    assert correlation(found, "pooled", "reward_mean/rm")["reason"].startswith("b2: constant performance")
    assert correlation(found, "b2", "reward_mean/rm")["reason"] == "constant performance"


def test_the_order_of_the_grid_moves_no_number():
    world = World(SIX, reward=SIX_REWARD)
    world.settings["students"].reverse()
    turned, straight = world.summary(), World(SIX, reward=SIX_REWARD).summary()
    for unit in "uvwxyz":
        assert ap(turned, "b1", unit)["value"] == ap(straight, "b1", unit)["value"]
    for metric in ("reward_mean/rm", "borrowed"):
        assert correlation(turned, "b1", metric)["rho"] == pytest.approx(correlation(straight, "b1", metric)["rho"])


def test_correlations_say_how_firm_they_are():
    world = World(SIX, reward=SIX_REWARD)
    for i, teacher in enumerate(world.settings["teachers"].values()):
        teacher["family"] = "fg"[i % 3 == 0]
    found = {(r["base"], r["metric"]): r for r in world.summary().correlations}
    row, down = found["b1", "reward_mean/rm"], found["b1", "nll_mean/chat"]
    assert row["low_nested"] <= row["rho"] <= row["high_nested"]
    assert row["low_accuracy"] <= row["pairwise_accuracy"] <= row["high_accuracy"]
    assert row["low_regret_1"] <= row["regret_1"] <= row["high_regret_1"]
    assert row["low_family"] == row["high_family"] and row["family"] == "g"  # without f two are left
    assert (down["low_nested"], down["high_nested"]) == pytest.approx((-row["high_nested"], -row["low_nested"]))
    assert (down["low_regret_3"], down["low_accuracy"]) == (row["low_regret_3"], row["low_accuracy"])
    pooled = found["pooled", "reward_mean/rm"]
    assert pooled["low_nested"] <= pooled["rho"] <= pooled["high_nested"] and pooled["family"] == "g"
