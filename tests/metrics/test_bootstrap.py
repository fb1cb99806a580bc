"""Intervals of metrics, and where there are none."""

import math

import numpy as np
import pytest
from four_rows import ALL, CHAT, NOT_ASKED, REWARD, TEXT, four, measured
from tables import entry
from teachergrid.metrics.bootstrap import weighted_medians
from teachergrid.metrics.measure import measure


def test_car_interval_is_left_out_where_draws_are_undefined():
    mixed = four(reward={("i1", 0): 3.0, ("i2", 0): -1.0, ("i3", 0): -1.0, ("i4", 0): 0.0})
    row = measured({"car": entry("car_mean", reward="rm")}, mixed)["car_mean/rm/chat/beta=1"]
    assert row["value"] == pytest.approx(0.125)
    assert "low" not in row and row["reason"].startswith("no interval: undefined in")


@pytest.mark.parametrize("skew", [False, True])
def test_medians_of_draws_are_those_of_the_drawn_values(skew):
    """With a few values in the middle, and with one instruction's many samples on one side of it."""
    rng = np.random.default_rng(3)
    member = (
        np.sort(rng.integers(40, size=3000)) if not skew else np.r_[np.zeros(1500, int), rng.integers(1, 40, size=1500)]
    )
    values = np.round(rng.normal(size=3000), 2) if not skew else np.arange(3000.0)
    counts = rng.integers(0, 4, size=(30, 40)).astype(float)
    counts[0] = 0
    order = np.argsort(values, kind="stable")
    found = weighted_medians(values[order], member[order], counts)
    expected = [np.median(np.repeat(values, row[member].astype(int))) for row in counts[1:]]
    assert np.isnan(found[0]) and found[1:].tolist() == expected


def test_intervals():
    n = 200
    keys = [(f"i{i:03}", 0) for i in range(n)]
    reward = dict(zip(keys, np.random.default_rng(1).normal(5, 2, n).tolist(), strict=True))
    many = four(dict.fromkeys(keys, "a b"), reward, dict.fromkeys(keys, CHAT["i1", 0]), dict.fromkeys(keys, "no"))
    rows = measured({"r": entry("reward_mean", reward="rm"), "car": entry("car_mean", reward="rm")}, many, rounds=2000)
    row, values = rows["reward_mean/rm"], np.array(list(reward.values()))
    half = 1.96 * values.std() / math.sqrt(n)
    assert (row["low"], row["high"]) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.05)
    # the loss is 1 everywhere, so that the same draws give CAR exactly half of the reward
    car = rows["car_mean/rm/chat/beta=1"]
    assert (car["low"], car["high"]) == pytest.approx((row["low"] / 2, row["high"] / 2), rel=1e-12)
    assert measure(ALL, many, seed=1, rounds=50) != measure(ALL, many, seed=2, rounds=50)


def test_one_instruction_has_no_interval():
    one = [{("i1", 0): table["i1", 0]} for table in (TEXT, REWARD, CHAT, NOT_ASKED)]
    row = measured({"r": entry("reward_mean", reward="rm")}, four(*one))["reward_mean/rm"]
    assert (row["value"], row.get("low"), row["reason"]) == (1.0, None, "no interval: one instruction")
