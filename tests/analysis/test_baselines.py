"""Metrics that know no response: borrowed, stated scores, size and chance."""

import pytest
from known_grid import METRICS, RIGHT, World, scores_of
from tables import entry


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
