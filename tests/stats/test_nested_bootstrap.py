"""Noise of items and seeds in correlations: by hand, against plain repetition, and by simulation."""

import math

import numpy as np
import pytest
from teachergrid.stats import nested_bootstrap, pooling, rank, resampling

NAN = math.nan


def test_without_noise_the_nested_interval_is_that_over_teachers():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 14)) @ np.diag(np.ones(14)) + rng.normal(size=14)
    still = np.tile(y, (2000, 1))
    (found,), usual = nested_bootstrap.nested_intervals([x], y, still), rank.correlation(x, y)
    assert found.rho == pytest.approx(usual.bca, abs=0.06)
    assert found.pairwise_accuracy[0] < usual.pairwise_accuracy < found.pairwise_accuracy[1]
    assert found.regret_1[0] == 0 <= usual.regret_1 <= found.regret_1[1]


def test_noise_of_items_and_seeds_widens():
    rng = np.random.default_rng(2)
    truth, metric = np.arange(12.0), np.array([1, 0, 2, 4, 3, 5, 7, 6, 9, 8, 11, 10.0])
    few, many = ([t + rng.normal(0, 12, (2, items)) for t in truth] for items in (8, 8000))
    width = []
    for cubes in (few, many):
        draws = nested_bootstrap.performance_draws(cubes, 600)
        assert draws.mean(0) == pytest.approx([own.mean() for own in cubes], abs=1)
        (found,) = nested_bootstrap.nested_intervals([metric], np.array([own.mean() for own in cubes]), draws)
        width.append(np.ptp(found.rho))
    assert width[0] > 2 * width[1]


def test_nested_interval_covers():
    """The rank correlation of a metric with performance as noisy as this, over many teachers."""
    rng, n, items = np.random.default_rng(3), 12, 40
    noisy = math.sqrt(0.25 * items)  # reliability 0.8

    def world(n):
        truth = rng.normal(size=n)
        return 0.8 * truth + 0.6 * rng.normal(size=n), truth

    x, truth = world(4000)
    wanted, hits = rank.spearman(x, truth + rng.normal(0, 0.5, 4000)), 0
    for seed in range(150):
        x, truth = world(n)
        cubes = list((truth[:, None] + rng.normal(0, noisy, (n, items)))[:, None])
        draws = nested_bootstrap.performance_draws(cubes, 300, seed)
        means, weights = np.array([own.mean() for own in cubes]), nested_bootstrap.teacher_weights(n, 300, seed)
        low, high = nested_bootstrap.nested_rho(x, means, [nested_bootstrap.DrawnRanks(draws, weights)])
        hits += low <= wanted <= high
    assert 0.88 <= hits / 150 <= 0.99


def test_nested_rho_over_bases_leaves_out_what_is_missing():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 9)), rng.normal(size=(2, 9))
    x[0, 3], y[1, 5] = NAN, NAN
    draws = y[:, None, :] + rng.normal(0, 0.1, (2, 300, 9))
    rho = rank.pooled(x, y).rho
    weights = nested_bootstrap.teacher_weights(9, 300)
    drawn = [nested_bootstrap.DrawnRanks(own, weights) for own in draws]
    low, high = nested_bootstrap.nested_rho(x, y, drawn)
    assert low < rho < high


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([1.0, 2], [3.0, 4]),
        ([1.0] * 6, [1.0, 2, 3, 4, 5, 6]),
        ([1.0, 2, 3, 4], [2.0] * 4),
        ([NAN] * 5, [1.0, 2, 3, 4, 5]),
    ],
    ids=["two teachers", "ties in the metric", "ties in performance", "no metric"],
)
def test_what_is_undefined_has_no_interval(x, y):
    draws = np.tile(y, (50, 1)) + np.random.default_rng(0).normal(size=(50, len(y)))
    assert nested_bootstrap.nested_intervals([x], y, draws) == [nested_bootstrap.NestedIntervals()]
    assert rank.leave_one_out(np.array(x), np.array(y), ["a"] * len(x)) == {}


def test_drawn_ranks_are_those_of_the_teachers_that_are_asked_for():
    rng = np.random.default_rng(8)
    draws, weights = rng.normal(size=(30, 6)).round(1), resampling.resample(30, 6, rng)
    drawn, some = nested_bootstrap.DrawnRanks(draws, weights), np.array([1, 0, 1, 1, 0, 1], bool)
    for complete in (np.ones(6, bool), some, some, np.ones(6, bool)):
        occurs, ranks = drawn.of(complete)
        assert (occurs == weights * complete).all()
        assert (ranks == nested_bootstrap.weighted_ranks(pooling.ranking(draws), weights * complete)).all()


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
    ranks = weights @ resampling.signs(x).T, nested_bootstrap.weighted_ranks(pooling.ranking(draws), weights)
    rhos = resampling.rho_of_ranks(*ranks, weights)
    (shares,) = nested_bootstrap.accuracies(x[None], draws, weights)
    for rho, accuracy, y, weight in zip(rhos, shares, draws, weights, strict=True):
        pair = repeated(x, weight), repeated(y, weight)
        assert rho == pytest.approx(rank.spearman(*pair), nan_ok=True)
        assert accuracy == pytest.approx(rank.pairwise_accuracy(*pair), nan_ok=True)


def test_regret_of_draws_is_that_of_the_teachers_that_occur(drawn):
    _, draws, weights = drawn
    x = np.array([3.0, 1, 4, 1.5, 5, 9, NAN])
    for k in (1, 3):
        lost = nested_bootstrap.drawn_regret(x, draws, weights, k, np.random.default_rng(0))
        for value, y, weight in zip(lost, draws, weights, strict=True):
            assert value == pytest.approx(rank.regret(x[weight > 0], y[weight > 0], k))


def test_ties_are_broken_at_random():
    x, y = np.array([2.0, 2, 2, 1]), np.tile([5.0, 3, 1, 9], (4000, 1))
    lost = nested_bootstrap.drawn_regret(x, y, np.ones_like(y), 1, np.random.default_rng(0))
    assert set(lost) == {4, 6, 8} and lost.mean() == pytest.approx(rank.regret(x, y[0]), abs=0.1)


def test_metrics_together_have_the_intervals_that_each_has_alone():
    """With ties and gaps in metrics and performance; and a unit without performance takes no part."""
    rng = np.random.default_rng(6)
    metrics = rng.normal(size=(5, 12)).round(1)
    metrics[1, 3], metrics[2] = NAN, 1.0
    y = rng.normal(size=12).round(1)
    draws = (y + rng.normal(0, 0.5, (200, 12))).round(1)
    alone = [nested_bootstrap.nested_intervals([metric], y, draws)[0] for metric in metrics]
    assert nested_bootstrap.nested_intervals(metrics, y, draws) == alone
    assert alone[2] == nested_bootstrap.NestedIntervals() != alone[1]
    y[4] = NAN
    others = np.arange(12) != 4
    shown = nested_bootstrap.nested_intervals(metrics, y, draws)
    assert shown == nested_bootstrap.nested_intervals(metrics[:, others], y[others], draws[:, others])
