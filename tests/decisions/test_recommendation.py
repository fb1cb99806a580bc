"""What a grid recommends, and what it says it cannot say."""

import pytest
from known_grid import CHOICE, RIGHT, SIX_REWARD, World, ap, correlation, doubts, scores_of
from teachergrid.store import artifacts


def test_a_derived_corpus_competes_but_does_not_test_metrics():
    world = World()
    extra = {"instructions": None, "teacher": None, "corpus": "routed", "self_pair": False}
    for base in RIGHT:
        name = f"{base}__routed__sft__s0"
        world.settings["students"].append({**world.settings["students"][0], **extra, "student": name, "base": base})
        world.scores[name, "test", "verify"] = scores_of(18)
        world.students[name] = {"weights": {}}
        world.settings["pairs"].append([base, "routed"])
    world.settings["corpora"] = {"routed": {"instructions": "pool", "teachers": ["x", "y"], **CHOICE}}
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


@pytest.fixture(scope="module")
def whole():
    return World().summary()


def test_recommendation(whole):
    answer = whole.recommendation["bases"]["b1"]
    assert (answer["best"], answer["value"], answer["gain"]) == ("x", pytest.approx(75), pytest.approx(35))
    assert (answer["licence"], answer["output_terms"], answer["self_pair"]) == ("apache-2.0", "free", True)
    assert answer["references"] == {"b1.chat": 40, "b1.plain": pytest.approx(30)}
    assert "b1, b2: 3 teachers: no correlation can reach p <= 0.05." in doubts(whole)
    assert "b1: x descends from this very base" in doubts(whole)
    assert "b2: students of x are worse than the untuned base (b2.plain)." in doubts(whole)
    assert whole.recommendation["missing"] == [] and whole.recommendation["gated"] == {}


def test_one_teacher():
    found = World({base: {"x": row["x"]} for base, row in RIGHT.items()}).summary()
    answer = found.recommendation["bases"]["b1"]
    assert (answer["best"], answer["p_best"], answer["tied"]) == ("x", 1, [])
    assert "b1, b2: nothing is compared: there is one teacher only." in doubts(found)
    assert correlation(found, "b1", "reward_mean/rm")["regret_1"] is None


def test_one_base():
    found = World({"b1": RIGHT["b1"]}).summary()
    assert {row["base"] for row in found.correlations} == {"b1"}
    rows = [row for row in found.metrics if row["metric"] == "borrowed"]
    assert {(row["value"], row["reason"]) for row in rows} == {(None, "one base only")}
    assert "other bases: this grid has one" in doubts(found)


def test_all_equal():
    equal = {base: {teacher: [10, 10] for teacher in "uvwxyz"} for base in RIGHT}
    found = World(equal, reward=SIX_REWARD).summary()
    answer = found.recommendation["bases"]["b1"]
    assert (answer["best"], sorted(answer["tied"])) == ("u", list("vwxyz"))
    assert "b1, b2: all students perform equally" in doubts(found)
    assert correlation(found, "b1", "reward_mean/rm")["reason"] == "constant performance"


def test_no_reference():
    found = World(untuned={}).summary()
    assert ap(found, "b1", "x").get("gain") is None
    assert "whether tuning helps at all: there is no score of the untuned base." in doubts(found)
