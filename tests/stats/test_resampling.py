"""Resampled statistics equal those of repeated units, whatever the blocks."""

import math

import numpy as np
import pytest
from teachergrid.stats import comparison, rank, resampling

NAN = math.nan


def test_blocks_do_not_change_the_draws(monkeypatch):
    x = np.random.default_rng(0).normal(size=64)
    whole = comparison.mean_interval(x)
    monkeypatch.setattr(resampling, "BLOCK", 64 * 100)
    assert comparison.mean_interval(x).interval == pytest.approx(whole.interval)


def test_rank_shares():
    draws = np.tile([1.0, 0.0, 0.0], (40, 1))
    assert resampling.rank_shares(draws).tolist() == [[1, 0, 0], [0, 0.5, 0.5], [0, 0.5, 0.5]]
    rng = np.random.default_rng(12)
    shares = resampling.rank_shares(resampling.bootstrap_means(rng.random((6, 50)), 2000, rng))
    assert shares.sum(0) == pytest.approx(np.ones(6))
    assert shares.sum(1) == pytest.approx(np.ones(6))


def test_rank_shares_count_float_ties():
    rng = np.random.default_rng(13)
    items = rng.random(200)
    draws = resampling.bootstrap_means(np.stack([items, items[:], items * 3 / 3]), 2000, rng)
    assert resampling.rank_shares(draws) == pytest.approx(np.full((3, 3), 1 / 3))


def test_shared_items_with_gaps():
    items = np.array([[1, 1, NAN, 1], [NAN] * 4, [0, 0, 0, 0]])
    scores, has_items, dropped, reason = resampling.shared_items(items)
    assert scores.tolist() == [[1, 1, 1], [0, 0, 0]] and has_items.tolist() == [True, False, True]
    assert (dropped, reason) == (1, None)


def repeated(values, weights):
    return np.repeat(values, weights.astype(int))


@pytest.fixture(scope="module")
def drawn():
    """A metric, draws of performance and of teachers: 7 units, 40 rounds."""
    rng = np.random.default_rng(4)
    x = rng.integers(0, 5, 7).astype(float)
    return x, rng.normal(size=(40, 7)).round(1), resampling.resample(40, 7, rng)


def test_weighted_statistics_of_draws_equal_those_of_repeated_units(drawn):
    x, draws, weights = drawn
    rhos = rank.reweighted(x, draws)(weights)
    accuracies = resampling.weighted_accuracy(resampling.signs(x), resampling.signs(draws), weights)
    for rho, accuracy, y, weight in zip(rhos, accuracies, draws, weights, strict=True):
        pair = repeated(x, weight), repeated(y, weight)
        assert rho == pytest.approx(rank.spearman(*pair), nan_ok=True)
        assert accuracy == pytest.approx(rank.pairwise_accuracy(*pair), nan_ok=True)


def test_regret_of_draws_is_that_of_the_teachers_that_occur(drawn):
    _, draws, weights = drawn
    x = np.array([3.0, 1, 4, 1.5, 5, 9, NAN])
    for k in (1, 3):
        lost = resampling.drawn_regret(x, draws, weights, k, np.random.default_rng(0))
        for value, y, weight in zip(lost, draws, weights, strict=True):
            assert value == pytest.approx(rank.regret(x[weight > 0], y[weight > 0], k))


def test_ties_are_broken_at_random():
    x, y = np.array([2.0, 2, 2, 1]), np.tile([5.0, 3, 1, 9], (4000, 1))
    lost = resampling.drawn_regret(x, y, np.ones_like(y), 1, np.random.default_rng(0))
    assert set(lost) == {4, 6, 8} and lost.mean() == pytest.approx(rank.regret(x, y[0]), abs=0.1)
