"""What a pilot chooses and how sure that is."""

import numpy as np
import pytest
from teachergrid.analysis import pilot

REWARD = {"formula": "reward_mean", "beta": [1]}
LOSS = {"formula": "nll_mean", "beta": [1]}


def sums(**teachers) -> dict:
    """{teacher: rewards of instructions 0, 1 ...; None where there is no response} as pilot.sums_by_teacher returns them."""
    found = {}
    for teacher, values in teachers.items():
        own = [(i, v) for i, v in enumerate(values) if v is not None]
        found[teacher] = np.array([str(i) for i, _ in own]), {"r": np.array([[v, 1] for _, v in own], float)}
    return found


def test_ranking_by_hand():
    """a is above b on every instruction, so in every draw; c has b's values in another order, and is above or below by luck."""
    b = [0, 1, 2, 3] * 25
    found = pilot.ranking({"r": REWARD}, sums(b=b, c=b[::-1], a=[v + 1 for v in b]), 2, {}, seed=0)
    a, *others = found["teachers"]
    assert (a["teacher"], a["rank"], a["rank_low"], a["rank_high"], a["p_best"], a["p_kept"]) == ("a", 1, 1, 1, 1, 1)
    assert a["metrics"]["r"]["value"] == 2.5 and a["metrics"]["r"]["n"] == 100
    # the mean's standard error is sd / sqrt(n) = 1.118 / 10
    assert a["metrics"]["r"]["low"] == pytest.approx(2.5 - 1.96 * 0.1118, abs=0.02)
    assert [row["rank"] for row in others] == [2.5, 2.5]
    assert [row["p_kept"] for row in others] == pytest.approx([0.5, 0.5], abs=0.04)
    assert found["kept"] == ["a", "b"] and found["p_best_kept"] == 1


def test_lower_is_better_where_the_formula_says_so():
    found = pilot.ranking({"r": LOSS}, sums(a=[1, 1], b=[2, 2]), 1, {}, seed=0)
    assert found["kept"] == ["a"] and found["teachers"][0]["metrics"]["r"]["value"] == 1


def test_who_cannot_be_ranked_is_last_with_its_reason():
    found = pilot.ranking(
        {"r": REWARD | {"formula": "car_mean"}} | {"s": REWARD},
        {
            # mean reward, mean loss, count: CAR of a negative reward is undefined
            name: (np.array(["0", "1"]), {"r": np.array([[r, 1, 1]] * 2, float), "s": np.array([[r, 1]] * 2, float)})
            for name, r in (("low", 1), ("negative", -1), ("high", 2), ("broken", 3))
        },
        keep=3,
        gate_reasons={"broken": "gated: empty 50 %"},
        seed=0,
    )
    assert found["kept"] == ["high", "low"]
    assert {row["teacher"]: row["reason"] for row in found["teachers"][2:]} == {
        "broken": "gated: empty 50 %",
        "negative": "r has no value",
    }
    assert all(row["rank"] is None and row["p_kept"] is None for row in found["teachers"][2:])


def test_several_metrics_count_by_mean_rank():
    both = {
        name: (np.array(["0"]), {"r": np.array([[r, 1.0]]), "s": np.array([[s, 1.0]])})
        for name, (r, s) in {"a": (3, 1), "b": (2, 2), "c": (1, 2)}.items()
    }
    found = pilot.ranking({"r": REWARD, "s": REWARD}, both, 1, {}, seed=0)
    # ranks by r 1, 2, 3 and by s 3, 1.5, 1.5: means 2, 1.75, 2.25
    assert [row["teacher"] for row in found["teachers"]] == ["b", "a", "c"]


def performance(base: str, **ap) -> list[dict]:
    return [
        {
            "kind": "student",
            "measure": "AP",
            "base": base,
            "panel": "p",
            "teacher": teacher,
            "value": value,
            "reason": None,
        }
        for teacher, value in ap.items()
    ]


def test_regret():
    found = {"bases": {base: {"kept": ["b"]} for base in "qwz"}}
    known = performance("q", a=40.0, b=37.5, c=1.0) + performance("w", a=1.0, b=2.0, c=0.0)
    known.append(known[0] | {"teacher": "d", "value": None, "reason": "gated: empty"})
    first, second = pilot.regret(found, [*known, *performance("z", a=1.0, b=None, c=1.0)])
    assert (first["base"], first["best"], first["best_kept"], first["regret"]) == ("q", "a", "b", 2.5)
    assert (second["base"], second["best"], second["regret"]) == ("w", "b", 0)


def test_mid_ranks_equal_scipy():
    from scipy.stats import rankdata

    values = np.random.default_rng(0).integers(0, 6, (50, 9)).astype(float)
    assert pilot.mid_ranks(values).tolist() == rankdata(-values, axis=1).tolist()
    assert pilot.mid_ranks(np.array([[1.0, np.nan, 3.0]])).tolist() == [[2, 3, 1]]
