"""Siblings, kinship and what can be detected, in the tables of a grid."""

import pytest
from known_grid import RIGHT, World


def rows(found, effect):
    return {(row["base"], row.get("larger")): row for row in found.effects if row["effect"] == effect}


def test_effects_of_a_grid():
    found = World().summary()
    steps = rows(found, "step")
    assert steps["b1", "y"]["value"] == pytest.approx(-15) and steps["b2", "z"]["value"] == pytest.approx(20)
    assert steps["b1", "y"]["smaller"] == "x" and steps["b1", "y"]["n"] == 20
    assert steps["b1", "z"]["low"] <= steps["b1", "z"]["value"] <= steps["b1", "z"]["high"]
    assert all(row["p"] <= row["p_holm"] for row in steps.values())
    rises = {base: row["value"] for (base, _), row in rows(found, "rises").items()}
    # means over bases: -15 and +20, -40 and +20
    assert rises == {"b1": 0, "b2": 1, "pooled": 0.5}
    assert rows(found, "self_pair")["pooled", None]["reason"].startswith("fewer than 4 teachers")
    least = rows(found, "detectable")["b1", None]
    assert least["value"] == found.recommendation["bases"]["b1"]["detectable"] > 0


def test_two_teachers_and_one_base_explain_themselves():
    found = World({"b1": {"x": [16, 14], "y": [12, 12]}}).summary()
    row = next(r for r in found.correlations if r["metric"] == "reward_mean/rm")
    assert row["reason"] == "fewer than 4 teachers" and row["low_nested"] is row["low_family"] is None
    assert rows(found, "rises")["b1", None]["value"] == 0
    assert rows(found, "self_pair")["pooled", None]["reason"] == "one base only"


def test_a_grid_of_recipes_has_no_siblings():
    found = World(RIGHT, compare="recipe").summary()
    assert {row["effect"] for row in found.effects} == {"detectable"}
    assert {row["reason"] for row in found.effects} == {"one unit only"}
