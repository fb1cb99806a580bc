"""Performance of a grid whose answer is known: means, gains, gaps, and what is left out."""

import copy

import numpy as np
import pytest
from known_grid import (
    ITEMS,
    RIGHT,
    World,
    ap,
    correlation,
    doubts,
    score_rows,
    scores_of,
)
from scipy.stats import binomtest
from teachergrid.store import artifacts


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


@pytest.fixture(scope="module")
def whole():
    return World().summary()


def test_performance_by_hand(whole):
    x = ap(whole, "b1", "x")
    assert (x["value"], x["seeds"], x["by_seed"], x["n_items"]) == (pytest.approx(75), [0, 1], [80.0, 70.0], 20)
    assert (x["panel"], x["model"], x["self_pair"]) == ("pool, sft", "b1__pool__x__sft", True)
    assert x["gain"] == pytest.approx(35)
    # paired on 20 items: 6 gains of 1 and 2 of a half, no loss, so that the sign flips leave 2 / 2^8 at least
    assert 2 / 256 * 0.5 < x["p_gain"] < 2 / 256 * 1.5
    assert x["low"] < 75 < x["high"] and x["gain_low"] < 35 < x["gain_high"]
    y = ap(whole, "b1", "y")
    assert (y["value"], y["behind_best"]) == (pytest.approx(60), pytest.approx(15))
    assert y["behind_low"] < 15 < y["behind_high"]
    assert [ap(whole, "b2", unit)["value"] for unit in "xyz"] == pytest.approx([40, 60, 80])
    assert sum(ap(whole, "b1", unit)["p_best"] for unit in "xyz") == pytest.approx(1)
    assert (x["behind_best"], x["tied_with_best"], ap(whole, "b1", "z")["tied_with_best"]) == (0, True, False)


def test_the_interval_of_a_gain_holds_the_noise_of_seeds():
    """b1: x has 16 and 14 right, y 12 and 12. Paired over items alone, y's seeds would count as free of noise."""
    noisy = World({"b1": {"x": [18, 10], "y": [10, 18], "z": [14, 14]}}, untuned={"b1": {"chat": 4}}).summary()
    gains = {unit: ap(noisy, "b1", unit) for unit in "xz"}
    same = World({"b1": {"x": [14, 14], "y": [14, 14], "z": [14, 14]}}, untuned={"b1": {"chat": 4}}).summary()
    width = {unit: row["gain_high"] - row["gain_low"] for unit, row in gains.items()}
    items_only = ap(same, "b1", "z")["gain_high"] - ap(same, "b1", "z")["gain_low"]
    # the noise of seeds is taken to be equal for all units, so that z has it too
    assert gains["z"]["gain"] == pytest.approx(50) and width["z"] > items_only + 5 and width["x"] > items_only + 5


def test_gain_is_over_the_better_format_of_the_untuned_base(whole):
    assert ap(whole, "b2", "y")["gain"] == 0
    references = {
        row["model"]: row for row in whole.performance if row["kind"] == "reference" and row["measure"] == "AP"
    }
    assert references["b2.chat"]["gain"] == pytest.approx(-10) and references["b2.plain"].get("gain") is None
    answer = whole.recommendation["bases"]["b2"]
    assert (answer["untuned_reference"], answer["untuned_format"], answer["untuned_value"]) == ("b2.plain", "plain", 60)


def test_with_one_seed_p_is_mcnemars():
    one = {base: {teacher: seeds[:1] for teacher, seeds in row.items()} for base, row in RIGHT.items()}
    found = World(one).summary()
    assert ap(found, "b1", "x")["p_gain"] == pytest.approx(binomtest(0, 8).pvalue)
    # Holm over the three teachers of b1: x has the least p of 8, 4 and 4 items
    p = {unit: (row["p_gain"], row["p_gain_holm"]) for unit in "xyz" for row in [ap(found, "b1", unit)]}
    assert p == {
        "x": pytest.approx((2 / 2**8, 3 * 2 / 2**8)),
        "y": pytest.approx((2 / 2**4, 2 * 2 / 2**4)),
        "z": pytest.approx((2 / 2**4, 2 * 2 / 2**4)),
    }
    assert ap(found, "b1", "z")["p_behind"] < 0.05 and ap(found, "b1", "x")["p_behind"] is None
    assert "another SFT seed" in doubts(found)


def test_measures_of_tasks_and_categories():
    world = World()
    for model, suite, judge in world.scores:
        number = int(20 * np.mean(world.scores[model, suite, judge]["score"].to_numpy()))
        rows = score_rows(number, "sums", ITEMS[:10], "easy") + score_rows(number - 10, "lists", ITEMS[10:])
        world.scores[model, suite, judge] = artifacts.table(rows, artifacts.SCORES)
    found = world.summary()
    x = {row["measure"]: row["value"] for row in found.performance if row["model"] == "b1__pool__x__sft"}
    assert x == pytest.approx(
        {"AP": 75, "test/verify": 75, "test/verify/sums": 100, "test/verify/sums/easy": 100, "test/verify/lists": 50}
    )


def with_judge(world, won: int):
    """Add a second primary score: `won` of 5 items of another suite, for every model."""
    world.settings["grid"]["performance"] = ["test/verify", "chats/rm"]
    world.settings["suites"]["chats"] = ["rm"]
    for model, _, _ in list(world.scores):
        world.scores[model, "chats", "rm"] = scores_of(won, task="chat", items=ITEMS[:5])


def test_ap_weighs_primary_scores_equally_whatever_their_length():
    world = World()
    with_judge(world, 5)
    found = world.summary()
    x = ap(found, "b1", "x")
    assert (x["value"], x["gain"], x["n_items"]) == (pytest.approx(87.5), pytest.approx(17.5), 25)
    # items of a suite that is constant add no noise: half of the interval of the other suite, in points
    alone = next(r for r in found.performance if r["model"] == x["model"] and r["measure"] == "test/verify")
    assert x["high"] - x["low"] == pytest.approx((alone["high"] - alone["low"]) / 2, rel=0.25)


def test_a_missing_primary_score_is_null_with_its_reason():
    world = World()
    with_judge(world, 5)
    for seed in (0, 1):
        del world.scores[f"b1__pool__x__sft__s{seed}", "chats", "rm"]
    found = world.summary()
    x = ap(found, "b1", "x")
    assert (x.get("value"), x["reason"]) == (None, "no scores in chats/rm")
    assert found.recommendation["bases"]["b1"]["best"] == "y"
    assert "scores of b1__pool__x__sft__s1 in chats/rm" in found.recommendation["missing"]
    assert correlation(found, "b1", "reward_mean/rm")["n"] == 2


def test_a_missing_seed_leaves_the_other():
    world = World()
    del world.scores["b1__pool__x__sft__s1", "test", "verify"], world.students["b1__pool__x__sft__s1"]
    found = world.summary()
    assert (ap(found, "b1", "x")["value"], ap(found, "b1", "x")["seeds"]) == (pytest.approx(80), [0])
    assert found.recommendation["missing"] == ["student b1__pool__x__sft__s1"]
    assert "1 results are missing" in doubts(found)


def test_an_item_without_a_score_is_missing_for_that_model_alone():
    """1 % of unreadable judgments in 20 models would otherwise leave 80 % of the items to all of them."""
    world = World()
    rows = score_rows(16)
    rows[0]["score"] = None
    world.scores["b1__pool__x__sft__s0", "test", "verify"] = artifacts.table(rows, artifacts.SCORES)
    found = world.summary()
    assert {ap(found, "b1", unit)["n_items"] for unit in "xyz"} == {20}
    assert ap(found, "b1", "y")["value"] == pytest.approx(60)
    assert ap(found, "b1", "x")["by_seed"] == pytest.approx([100 * 15 / 19, 70])
    assert ap(found, "b2", "y")["n_items"] == 20


def test_a_model_that_lacks_many_scores_is_missing_itself():
    world = World()
    rows = score_rows(16)
    for row in rows[:5]:
        row["score"] = None
    world.scores["b1__pool__y__sft__s0", "test", "verify"] = artifacts.table(rows, artifacts.SCORES)
    found = world.summary()
    assert ap(found, "b1", "x")["n_items"] == 20
    assert ap(found, "b1", "y")["seeds"] == [1]


def test_a_model_below_the_gate_is_null_between_bounds():
    world = World()
    for seed in (0, 1):
        rows = score_rows(16)
        for row in rows[:5]:
            row["score"] = None
        world.scores[f"b1__pool__y__sft__s{seed}", "test", "verify"] = artifacts.table(rows, artifacts.SCORES)
    y = ap(world.summary(), "b1", "y")
    # 11 of the 15 items that have a score are right, and 5 more may be
    assert (y.get("value"), y["least"], y["most"]) == (None, 55, 80)
    assert "15 of 20 items have a score in test/verify, so its value lies between 55.0 and 80.0" in y["reason"]


def test_a_task_and_a_measure_of_it_may_be_primary_with_weights():
    world = World()
    for model, suite, judge in world.scores:
        number = int(20 * np.mean(world.scores[model, suite, judge]["score"].to_numpy()))
        rows = score_rows(number, "sums", ITEMS[:10]) + score_rows(number - 10, "lists", ITEMS[10:])
        for row in rows[:10]:
            row["measures"] = [{"measure": "loose", "value": 1.5 - row["score"]}]
        world.scores[model, suite, judge] = artifacts.table(rows, artifacts.SCORES)
    grid = world.settings["grid"]
    grid["performance"] = ["test/verify/lists", "test/verify/sums:loose"]
    grid["weights"] = {"test/verify/lists": 3}
    found = world.summary()
    x = {row["measure"]: row["value"] for row in found.performance if row["model"] == "b1__pool__x__sft"}
    # 16 and 14 of 20 are right: all 10 sums, 6 and 4 lists. A value of a measure may leave 0 to 1
    assert (x["test/verify/lists"], x["test/verify/sums:loose"]) == (pytest.approx(50), pytest.approx(50))
    assert x["AP"] == pytest.approx((3 * 50 + 50) / 4)
    y = {row["measure"]: row["value"] for row in found.performance if row["model"] == "b1__pool__y__sft"}
    assert y["AP"] == pytest.approx((3 * y["test/verify/lists"] + y["test/verify/sums:loose"]) / 4)
    assert y["AP"] != pytest.approx((y["test/verify/lists"] + y["test/verify/sums:loose"]) / 2)


def test_a_primary_task_that_a_model_lacks_is_named():
    world = World()
    world.settings["grid"]["performance"] = ["test/verify", "test/verify/other:loose"]
    x = ap(world.summary(), "b1", "x")
    assert (x.get("value"), x["reason"]) == (None, "no scores in test/verify/other:loose")


def test_a_gated_teacher_is_listed_and_in_no_statistic():
    world = World()
    gate = {"check": "empty", "count": 3, "n": 10, "share": 0.3}
    world.health["pool__x"] = artifacts.table([gate], artifacts.HEALTH)
    for seed in (0, 1):
        del world.students[f"b1__pool__x__sft__s{seed}"]
    found = world.summary()
    reason = ap(found, "b1", "x")["reason"]
    assert reason == "gated: empty 30 % of pool__x > 10 %"
    assert ap(found, "b1", "x").get("value") is None and ap(found, "b1", "y")["behind_best"] == 0
    assert found.recommendation["bases"]["b1"]["best"] == "y"
    assert found.recommendation["gated"] == {"pool__x": reason}
    assert found.recommendation["missing"] == []
    assert {row["n"] for row in found.correlations} == {2, 0}
