"""Metrics against each other, in the tables of a grid."""

import numpy as np
import pytest
from known_grid import SIX, SIX_REWARD, World, correlation
from teachergrid.analysis.columns import Label
from teachergrid.decisions.contrasts import partial_rows, pick
from teachergrid.stats import contrasts, rank
from teachergrid.stats.pooling import mid_ranks

REWARD, SIZE = "reward_mean/rm", "size"


@pytest.fixture(scope="module")
def found():
    return World(SIX, reward=SIX_REWARD).summary()


def of(found, effect, base, subject, other):
    keys = effect, base, subject, other
    return next(r for r in found.effects if (r["effect"], r["base"], r.get("subject"), r.get("other")) == keys)


def test_the_primary_metric_is_compared_with_every_other(found):
    for base in ("b1", "b2", "pooled"):
        row = of(found, "metric_rho", base, REWARD, SIZE)
        rhos = [correlation(found, base, metric)["rho"] for metric in (REWARD, SIZE)]
        assert row["value"] == pytest.approx(rhos[0] - rhos[1]) and row["n"] == 6
    assert of(found, "metric_rho", "pooled", REWARD, "borrowed")["p"] <= 1


def test_a_difference_of_regret_is_that_of_the_choices(found):
    """On b1 reward chooses x, the best; size chooses z: 16 and 12 of 20 are right."""
    row = of(found, "metric_regret", "b1", REWARD, SIZE)
    assert row["value"] == pytest.approx(-20) and row["low"] <= -20 <= row["high"]
    over = of(found, "metric_regret", "pooled", REWARD, SIZE)
    regrets = [correlation(found, "pooled", metric)["regret_1"] for metric in (REWARD, SIZE)]
    assert over["value"] == pytest.approx(regrets[0] - regrets[1])


def test_length_and_size_are_held_fixed_by_their_logarithms():
    rng = np.random.default_rng(2)
    metrics = {
        "car": rng.normal(size=(1, 9)),
        "length": -np.exp(rng.normal(size=(1, 9))),
        "size": 2.0 ** np.arange(9)[None],
    }
    metrics["length"][0, 3] = 0  # a teacher that answers nothing has no logarithm
    labels = {name: Label({"own": True}, "exploratory") for name in metrics}
    ap = rng.normal(size=(1, 9))
    rows = [row for row in partial_rows(metrics, ap, labels, {*metrics}, 0) if row["subject"] == "car"]
    has_length = np.arange(9) != 3
    fixed = [np.log(np.abs(metrics[name][0, has_length])) for name in ("length", "size")]
    for row, others in zip(rows, (fixed[:1], fixed), strict=True):
        (wanted,) = contrasts.partials([metrics["car"][0, has_length]], ap[0, has_length], others)
        assert row["n"] == 8 and row["value"] == pytest.approx(wanted.rho)


def test_a_metric_that_names_the_noise_is_never_better_than_its_nested_estimate():
    """Twenty random metrics: the best pair seems to rank well, and does not on teachers that it has not seen."""
    rng, nested, seen = np.random.default_rng(0), [], []
    for _ in range(40):
        y = rng.normal(size=(1, 12))
        ranks = {str(i): mid_ranks(rng.normal(size=(1, 12))) / 11 for i in range(8)}
        picked = pick(ranks, y, [None] * 12, (2, 3))
        nested.append(picked.nested)
        seen.append(rank.spearman(np.mean([ranks[name] for name in picked.names], axis=0)[0], y[0]))
    assert np.mean(seen) > 0.5 and abs(np.mean(nested)) < 0.2


def test_two_halves_of_the_truth_are_better_together():
    rng = np.random.default_rng(1)
    one, two = rng.normal(size=(2, 1, 30))
    ranks = {"one": mid_ranks(one) / 29, "two": mid_ranks(two) / 29, "none": mid_ranks(rng.normal(size=(1, 30))) / 29}
    families = [f"f{i // 3}" for i in range(30)]
    both, single = (pick(ranks, one + two, families, sizes) for sizes in ((2,), (1,)))
    assert both.names == ("one", "two") and both.nested > single.nested + 0.1
