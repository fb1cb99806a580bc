"""Tests over several bases: the borrowed ranking, and many metrics at once."""

import numpy as np
import pytest
from scipy.stats import rankdata
from teachergrid.stats import pooling, rank

NAN = float("nan")


def borrowed(y):
    return (y.sum(0) - y) / (len(y) - 1)


def test_mid_ranks_are_those_of_scipy():
    x = np.random.default_rng(0).integers(0, 5, (20, 9)).astype(float)
    assert (pooling.mid_ranks(x) == rankdata(x, axis=-1) - 1).all()


def test_the_rho_of_the_borrowed_ranking_is_that_of_pooled():
    for bases, n in ((2, 8), (5, 12)):
        y = np.random.default_rng(bases).integers(0, 9, (bases, n)).astype(float)
        assert pooling.borrowed_rho(y[None])[0] == pytest.approx(rank.pooled(borrowed(y), y, rounds=20).rho)


@pytest.mark.parametrize(("bases", "n"), [(2, 8), (5, 19)])
def test_a_borrowed_ranking_finds_nothing_where_bases_rank_independently(bases, n):
    """To shuffle all bases alike keeps what they agree in by chance: false positives are then 0.09 (2 x 8) and 0.15 (5 x 19)."""
    rng = np.random.default_rng(11)
    found = [pooling.borrowed_p(rng.normal(size=(bases, n)), i, permutations=199) <= 0.05 for i in range(250)]
    assert 0.01 <= np.mean(found) <= 0.085


def test_a_borrowed_ranking_needs_bases_and_teachers():
    y = np.random.default_rng(0).normal(size=(3, 6))
    y[1, :3] = NAN
    assert pooling.borrowed_p(y) is None and pooling.borrowed_p(y[:1]) is None
    agreed = np.tile(np.arange(10.0), (3, 1))
    agreed[2, 0] = NAN
    assert pooling.borrowed_p(agreed) == pytest.approx(1 / 10_000, abs=2e-4)


def test_many_metrics_over_several_bases():
    """Of 17 unrelated metrics the smallest raw p is often small; the family-wise one is below 0.05 in one of 20 grids."""
    rng, raw, corrected = np.random.default_rng(2), [], []
    for i in range(60):
        y = rng.normal(size=(2, 5))
        metrics = {str(k): rng.normal(size=(2, 5)) for k in range(17)}
        p = pooling.max_t(metrics, y, seed=i)
        raw.append(min(rank.pooled(x, y, rounds=2).p for x in list(metrics.values())[:6]) <= 0.05)
        corrected.append(min(p.values()) <= 0.05)
    assert np.mean(corrected) <= 0.12 < np.mean(raw)


def test_the_family_wise_p_of_one_metric_is_its_own():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 3, 7))
    assert pooling.max_t({"x": x, "none": np.full((3, 7), NAN)}, y) == {
        "x": pytest.approx(rank.pooled(x, y, rounds=20).p),
        "none": None,
    }
    shared = pooling.max_t({"borrowed": borrowed(y)}, y, frozenset({"borrowed"}))["borrowed"]
    assert shared == pytest.approx(pooling.borrowed_p(y), abs=0.02)
