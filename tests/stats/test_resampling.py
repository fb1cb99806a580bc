"""Resampled statistics equal those of repeated units, whatever the blocks."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr
from teachergrid.stats import comparison, resampling

NAN = math.nan


def test_blocks_do_not_change_the_draws(monkeypatch):
    x = np.random.default_rng(0).normal(size=64)
    whole = comparison.mean_interval(x)
    monkeypatch.setattr(resampling, "BLOCK", 64 * 100)
    assert comparison.mean_interval(x).interval == pytest.approx(whole.interval)


def test_rank_shares():
    draws = np.tile([1.0, 0.0, 0.0], (40, 1))
    assert resampling.rank_shares(draws).tolist() == [[1, 0, 0], [0, 0.5, 0.5], [0, 0.5, 0.5]]
    assert resampling.first_shares(-draws).tolist() == [0, 0.5, 0.5]
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


def test_shuffled_rhos_are_those_of_the_units_that_have_both():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 12)).round()
    orders = resampling.draw_orders(12, 30, rng)[0]
    for lacks in (x, y, x):  # nothing yet, then gaps
        for rho, order in zip(resampling.permuted_rhos(x, y, orders), orders, strict=True):
            both = ~(np.isnan(x) | np.isnan(y[order]))
            assert rho == pytest.approx(spearmanr(x[both], y[order][both]).statistic)
        lacks[rng.integers(12)] = NAN
    assert np.isnan(resampling.permuted_rhos(np.ones(12), y, orders)).all()
    assert np.isnan(resampling.permuted_rhos(np.ones(12), np.arange(12.0), orders)).all()


def test_draws_of_a_seed_are_those_that_are_made_anew():
    orders, exact = resampling.orders_of_seed(9, 3)
    again = resampling.draw_orders(9, resampling.PERMUTATIONS, np.random.default_rng(3))
    assert (orders == again[0]).all() and exact == again[1] and not orders.flags.writeable
    for seed, given in (((3,), 3), ((3, 1), [3, 1])):
        weights = resampling.weights_of_seed(20, 9, *seed)
        assert (weights == resampling.resample(20, 9, np.random.default_rng(given))).all()
