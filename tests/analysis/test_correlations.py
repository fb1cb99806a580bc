"""Metrics of a grid whose answer is known, and their correlations with performance."""

import copy

import numpy as np
import pytest
from known_grid import METRICS, RIGHT, SIX, SIX_REWARD, World, ap, correlation, metric_table, scores_of
from scipy.stats import spearmanr
from tables import entry
from teachergrid.metrics.variants import Metric
from teachergrid.store import artifacts


@pytest.fixture(scope="module")
def whole():
    return World().summary()


def test_grid_metrics(whole):
    rows = {(r["base"], r["unit"], r["metric"]): r for r in whole.metrics}
    assert rows["b1", "x", "borrowed"]["value"] == pytest.approx(40)
    assert rows["b2", "z", "borrowed"]["value"] == pytest.approx(20)
    assert rows["b1", "z", "size"]["value"] == 4
    assert rows["b1", "z", "size"]["entry"] == "size"
    # a file may hold another block's metrics, and call a shared one by that block's name
    assert rows["b1", "z", "nll_mean/chat"]["entry"] == "loss"
    assert "ppl/chat" not in {metric for _, _, metric in rows}


def test_borrowed_needs_all_other_bases():
    world = World({**RIGHT, "b3": RIGHT["b1"]})
    for seed in (0, 1):
        del world.scores[f"b2__pool__x__sft__s{seed}", "test", "verify"]
    rows = {(r["base"], r["unit"], r["metric"]): r for r in world.summary().metrics}
    assert rows["b1", "x", "borrowed"]["value"] is None
    assert rows["b1", "x", "borrowed"]["reason"] == "no performance on b2"
    assert rows["b1", "y", "borrowed"]["value"] == pytest.approx(60)


def own_scores(world) -> dict:
    world.settings["metrics"] = {**METRICS, "own": entry("own_score")}
    rows = [row for row in world.summary().metrics if row["metric"] == "own_score"]
    assert {row["entry"] for row in rows} == {"own"}
    return {(row["base"], row["unit"]): (row["value"], row["reason"]) for row in rows}


def test_own_score_is_the_stated_one():
    world = World()
    for teacher, score in (("x", 71.5), ("y", 60)):
        world.settings["teachers"][teacher]["score"] = score
    found = own_scores(world)
    assert found["b1", "x"] == found["b2", "x"] == (71.5, None) and found["b1", "y"] == (60.0, None)
    assert found["b1", "z"] == (None, "teacher 'z' states no `score`, and others do")


def test_own_score_is_else_that_of_the_reference_that_is_its_model():
    world = World()
    world.settings["references"] += [
        {"name": "x-as-it-is", "base": "b1", "role": "instruct", "format": "chat", "model": "x"},
        {"name": "y-bare", "base": "b1", "role": "other", "format": "plain", "model": "y"},
    ]
    for name, right in (("x-as-it-is", 17), ("y-bare", 3)):
        world.scores[name, "test", "verify"] = scores_of(right)
    found = own_scores(world)
    assert found["b1", "x"] == found["b2", "x"] == (pytest.approx(85), None)
    # asked without its chat template a model does not show what it can
    assert found["b1", "y"] == (None, "teacher 'y' states no `score`, and no reference is its model")


def test_random_is_seeded_and_moves_with_no_other_teacher():
    def drawn(**settings) -> dict:
        world = World(**settings)
        world.settings["metrics"] = {**METRICS, "chance": entry("random")}
        rows = [row for row in world.summary().metrics if row["metric"] == "random"]
        return {(row["base"], row["unit"]): row["value"] for row in rows}

    once = drawn()
    assert once == drawn() != drawn(seed=6)
    assert len(set(once.values())) == 6 and all(0 <= value < 1 for value in once.values())
    fewer = drawn(right={base: {t: row[t] for t in "xy"} for base, row in RIGHT.items()})
    assert fewer.items() < once.items()


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


def test_the_primary_metric_stands_there_without_self_pairs_too(six):
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
    assert row.get("regret_1") is None and row["role"] == "primary"


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


def test_a_derived_corpus_competes_but_does_not_test_metrics():
    world = World()
    extra = {"instructions": None, "teacher": None, "corpus": "routed", "self_pair": False}
    for base in RIGHT:
        name = f"{base}__routed__sft__s0"
        world.settings["students"].append({**world.settings["students"][0], **extra, "student": name, "base": base})
        world.scores[name, "test", "verify"] = scores_of(18)
        world.students[name] = {"weights": {}}
        world.settings["pairs"].append([base, "routed"])
    world.settings["corpora"] = {"routed": {"instructions": "pool", "teachers": ["x", "y"]}}
    world.settings["teachers"]["y"]["output_terms"] = "not for sale"
    found = world.summary()
    answer = found.recommendation["bases"]["b1"]
    assert (answer["best"], answer["teacher"], answer["output_terms"]) == ("routed", None, "free; not for sale")
    assert ap(found, "b1", "routed")["panel"] == "pool, sft"
    assert correlation(found, "b1", "reward_mean/rm")["n"] == 3
    assert found.recommendation["missing"] == ["metrics of routed for b1", "metrics of routed for b2"]
    assert found.lineage[-1]["teacher"] == "x, y"
    # a corpus that takes responses of a gated teacher cannot be used either
    gate = {"check": "empty", "count": 3, "n": 10, "share": 0.3}
    world.health["pool__y"] = artifacts.table([gate], artifacts.HEALTH)
    assert ap(world.summary(), "b1", "routed")["reason"].startswith("gated: empty 30 % of pool__y")


def test_comparing_recipes_keeps_panels_apart():
    world = World(RIGHT, compare="recipe")
    for student in copy.deepcopy(world.settings["students"]):
        name = student["student"].replace("__sft__", "__lora__")
        world.settings["students"].append({**student, "student": name, "recipe": "lora"})
        world.scores[name, "test", "verify"] = scores_of(15)
        world.students[name] = {}
    found = world.summary()
    rows = [r for r in found.performance if r["base"] == "b1" and r["measure"] == "AP" and r.get("panel") == "pool, y"]
    assert {row["unit"]: row["behind_best"] for row in rows} == {"lora": 0, "sft": pytest.approx(15)}
    panels = found.recommendation["bases"]["b1"]["panels"]
    assert {panel: answer["best"] for panel, answer in panels.items()} == {
        "pool, x": "sft",
        "pool, y": "lora",
        "pool, z": "lora",
    }
