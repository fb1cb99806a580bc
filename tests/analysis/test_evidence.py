"""What may be called primary: scores by judges that have no reason to favour a teacher, or the primary metric."""

import pytest
from known_grid import CHOICE, SIX, SIX_REWARD, World, ap, correlation, scores_of
from tables import entry
from teachergrid.analysis import evidence

KIN = {"wins": {"family": "f", "names": ["x", "y"]}}


def judged(performance, **grid) -> World:
    """Six teachers with right answers as in SIX; by the judge `wins`, which decides by the reward rm, all models win 5 of 20."""
    world = World(SIX, reward=SIX_REWARD, performance=performance, **grid)
    world.scores |= {(model, suite, "wins"): scores_of(5) for model, suite, _ in [*world.scores]}
    world.settings["suites"] = {"test": ["verify", "wins"]}
    world.settings["judges"] = {"wins": {"reward": "rm"}}
    return world


def test_a_judge_and_a_metric_of_one_reward_are_circular():
    judges = {"wins": {"reward": "rm"}, "others": {"reward": "other"}, "rules": {"reward": None}}
    metrics = {
        "car": entry("car_mean", reward="rm"),
        "loss": entry("nll_mean"),
        "mean": entry("reward_mean", reward="rm"),
    }
    shared = evidence.circular(judges, metrics)
    assert {name: sorted(metrics) for name, metrics in shared.items()} == {"wins": ["car", "mean"]}


BOTH = ["test/verify", "test/wins"]


def test_ap_leaves_out_a_judge_whose_reward_the_primary_metric_uses():
    """So the metric has a verdict, by the scores that are left; the win rate stands beside AP."""
    found = judged(BOTH, weights={"test/verify": 1, "test/wins": 3}).summary()
    assert ap(found, "b1", "x")["value"] == pytest.approx(80) and found.recommendation["performance"] == ["test/verify"]
    assert found.recommendation["left_out"] == {
        "test/wins": "decides by the reward rm, which the primary metric reward uses"
    }
    assert correlation(found, "b1", "reward_mean/rm")["role"] == "primary" and found.recommendation["evidence"] == []
    assert found.recommendation["bases"]["b1"]["primary_metric"]["choice"] == "x"
    assert {row["measure"] for row in found.performance} >= {"test/wins"}


def test_a_judge_of_a_teachers_family_is_left_out_too():
    world = judged(BOTH, primary="loss")
    world.settings["kin"] = KIN
    found = world.summary()
    assert ap(found, "b1", "x")["value"] == pytest.approx(80)
    assert found.recommendation["left_out"] == {"test/wins": "is of the family f, as x, y"}
    # another metric than the primary one is circular only where the judge counts
    world.settings["kin"] = {}
    assert ap(world.summary(), "b1", "x")["value"] == pytest.approx((80 + 25) / 2)


def test_a_judge_whose_reward_chose_the_rows_of_a_corpus_is_left_out_too():
    """It finds good what it has picked itself."""
    world = judged(BOTH, primary="loss")
    whole = {"instructions": "pool", "teachers": ["x"], **CHOICE}
    world.settings["corpora"] = {name: {**whole, "rewards": ["rm"]} for name in ("best", "worst")}
    found = world.summary()
    assert ap(found, "b1", "x")["value"] == pytest.approx(80)
    why = "decides by the reward rm, by which the rows of best, worst were chosen"
    assert found.recommendation["left_out"] == {"test/wins": why}
    world.settings["corpora"] = {"best": {**whole, "rewards": ["other"]}}
    assert world.summary().recommendation["left_out"] == {}


def test_a_grid_may_want_such_a_judge_and_the_page_is_told():
    world = judged(BOTH, primary="loss", primary_judges=["wins"])
    world.settings["kin"] = KIN
    found = world.summary()
    assert ap(found, "b1", "x")["value"] == pytest.approx((80 + 25) / 2) and found.recommendation["left_out"] == {}
    assert found.recommendation["evidence"] == [
        "Part of performance is by a judge that is not independent: wins, which is of the family f, as x, y. "
        "`primary_judges` wants it so."
    ]


def test_where_nothing_else_is_left_performance_says_what_it_rests_on():
    world = judged(["test/wins"])
    world.settings["kin"] = {"wins": {"family": None, "names": ["x"]}}
    found = world.summary()
    assert ap(found, "b1", "x")["value"] == pytest.approx(25) and found.recommendation["left_out"] == {}
    assert found.recommendation["evidence"] == [
        "Performance rests on a judge that is not independent: wins, which is the model behind x and decides by the reward rm, which "
        "the primary metric reward uses. No independent score confirms it."
    ]


def test_a_long_list_of_kin_is_cut():
    assert evidence.in_words("f", "gfedcba") == "is of the family f, as a, b, c, d and 3 more"
