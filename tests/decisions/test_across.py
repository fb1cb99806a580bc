"""Agreement of bases, and teachers that are as good as the best."""

import pytest
from known_grid import SIX, SIX_REWARD, World


def rows(found, effect):
    return [row for row in found.effects if row["effect"] == effect]


def test_bases_agree_on_each_score_and_on_ap():
    found = World(SIX, reward=SIX_REWARD).summary()
    assert {row["subject"] for row in rows(found, "concordance")} == {"AP", "test/verify"}
    # two bases: W = (1 + rho) / 2; rho of 4 6 8 16 10 12 with 5 4 9 8 11 15 is 0.6
    assert rows(found, "concordance")[0]["value"] == pytest.approx(0.8)
    assert rows(found, "interaction")[0]["n"] == 6
    by = {row["other"]: row["subject"] for row in rows(found, "one_for_all")}
    assert by == {"mean": "z", "z-score": "z", "rank": "z"}
    assert rows(World({"b1": SIX["b1"]}, reward=SIX_REWARD).summary(), "concordance") == []


def test_equal_students_are_shown_to_be_equal_and_the_smallest_is_named():
    """u and z have the same right answers, so their difference is 0 in every draw; u is smaller."""
    right = {"b1": {"u": [16], "v": [4], "w": [8], "z": [16]}}
    world = World(right, reward=SIX_REWARD)
    found = world.summary()
    best = found.recommendation["bases"]["b1"]["best"]
    assert best == "u" and found.recommendation["bases"]["b1"]["equivalent"] == ["z"]
    assert found.recommendation["bases"]["b1"]["smallest_equivalent"] == "u"
    world.settings["teachers"]["u"]["parameters"] = 100.0
    assert world.summary().recommendation["bases"]["b1"]["smallest_equivalent"] == "z"
    world.settings["teachers"]["u"]["parameters"] = None  # an endpoint does not tell
    assert world.summary().recommendation["bases"]["b1"]["smallest_equivalent"] is None


def test_tied_is_not_equal():
    """Twenty items do not tell 16 right answers from 15, nor do they show that the two are as good within 2 points."""
    right = {"b1": {"u": [16], "v": [15], "w": [4], "z": [14]}}
    found = World(right, reward=SIX_REWARD).summary().recommendation["bases"]["b1"]
    assert found["tied"] and found["equivalent"] == [] and found["smallest_equivalent"] is None
