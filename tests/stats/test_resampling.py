"""Resampled statistics equal those of repeated units, whatever the blocks."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr
from scipy.stats import t as student
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


@pytest.mark.parametrize(("units", "seeds", "covers"), [(2, 2, 0.878), (2, 3, 0.917), (8, 2, 0.934), (8, 3, 0.942)])
def test_intervals_cover_though_few_seeds_tell_how_large_their_noise_is(units, seeds, covers):
    """A lead over another unit, where seeds make all noise. With 1.96 times what was seen it would be .811, .878, .914 and .932."""
    rng, hits, freedom = np.random.default_rng(6), [], units * (seeds - 1)
    for _ in range(2000):
        of_seeds = rng.normal(size=(units, seeds, 1))
        draws = resampling.seed_noise(list(of_seeds + np.zeros(500)), 400, rng)
        low, high = resampling.percentiles(draws[:, 0] - draws[:, 1])
        hits.append(low <= of_seeds[0].mean() - of_seeds[1].mean() <= high)
    limit = student.ppf(0.975, freedom + 1) * math.sqrt(freedom / (freedom + 1))
    assert covers == pytest.approx(1 - 2 * student.cdf(-limit, freedom), abs=0.001)
    assert np.mean(hits) == pytest.approx(covers, abs=0.015)


def test_two_seeds_of_one_unit_do_not_make_all_intervals_useless():
    rng = np.random.default_rng(7)
    by_unit = [np.array([[0.5] * 500, [0.6] * 500]), *np.full((5, 1, 500), 0.5)]
    low, high = resampling.percentiles(resampling.seed_noise(by_unit, 20000, rng)[:, 3])
    # one degree of freedom is taken for two: 4.3 times the sd of 0.1 / sqrt(2), over sqrt(2); with one, 12.7 times it
    assert [-low, high] == pytest.approx([4.30 * 0.1 / math.sqrt(2) / math.sqrt(2)] * 2, rel=0.1)


def test_weighted_sums_are_exact():
    """Of thousands of units, each as often as a draw could take it."""
    rng = np.random.default_rng(3)
    signs, weights = resampling.signs(rng.integers(0, 900, 2000)), rng.integers(0, 4000, (5, 2000)).astype(float)
    assert (resampling.weighted_sums(signs, weights) == weights @ signs.T).all()
