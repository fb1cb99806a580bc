"""Noise of items and seeds in correlations, families left out, and what a study can detect: by hand, against plain
repetition, and by simulation."""

import math

import numpy as np
import pytest
from teachergrid.stats import comparison, nested_bootstrap, rank, resampling, sample_size

NAN = math.nan


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


def test_without_noise_the_nested_interval_is_that_over_teachers():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 14)) @ np.diag(np.ones(14)) + rng.normal(size=14)
    still = np.tile(y, (2000, 1))
    found, usual = nested_bootstrap.nested_intervals(x, y, still), rank.correlation(x, y)
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
        width.append(
            np.ptp(nested_bootstrap.nested_intervals(metric, np.array([own.mean() for own in cubes]), draws).rho)
        )
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
        low, high = nested_bootstrap.nested_rho(
            x, np.array([own.mean() for own in cubes]), draws, nested_bootstrap.teacher_weights(n, 300, seed)
        )
        hits += low <= wanted <= high
    assert 0.88 <= hits / 150 <= 0.99


def test_nested_rho_over_bases_leaves_out_what_is_missing():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 9)), rng.normal(size=(2, 9))
    x[0, 3], y[1, 5] = NAN, NAN
    draws = y[:, None, :] + rng.normal(0, 0.1, (2, 300, 9))
    rho = rank.pooled(x, y).rho
    low, high = nested_bootstrap.nested_rho(x, y, draws, nested_bootstrap.teacher_weights(9, 300))
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
    assert nested_bootstrap.nested_intervals(x, y, draws) == nested_bootstrap.NestedIntervals()
    assert rank.leave_one_out(np.array(x), np.array(y), ["a"] * len(x)) == {}


def test_leaving_a_family_out_by_hand():
    x, y = np.array([1.0, 2, 3, 4, 5, 6]), np.array([2.0, 1, 4, 3, 6, 5])
    found = rank.leave_one_out(x, y, ["a", "a", "b", "b", "c", None])
    without = {"a": [2, 3, 4, 5], "b": [0, 1, 4, 5], "c": [0, 1, 2, 3, 5]}
    assert found == {name: pytest.approx(rank.spearman(x[rows], y[rows])) for name, rows in without.items()}
    both = rank.leave_one_out(np.array([x, x]), np.array([y, x]), ["a", "a", "b", "b", "c", None])
    rows = without["c"]
    assert both["c"] == pytest.approx(rank.pooled([x[rows]] * 2, [y[rows], x[rows]]).rho)


def test_published_intervals():
    assert rank.bonett_wright(0.9695, 20) == pytest.approx((0.907, 0.990), abs=1e-3)
    assert rank.fieller(0.8888, 19) == pytest.approx((0.72, 0.96), abs=5e-3)
    assert (rank.bonett_wright(1.0, 20), rank.fieller(0.5, 3)) == (None, None)


@pytest.mark.parametrize("n", [8, 19, 40])
def test_a_detectable_rho_is_found_in_four_of_five_studies(n):
    rho, rng = sample_size.detectable_rho(n), np.random.default_rng(n)
    pearson = 2 * math.sin(math.pi * rho / 6)
    x, e = rng.normal(size=(2, 3000, n))
    y = pearson * x + math.sqrt(1 - pearson**2) * e
    d = (x.argsort(1).argsort(1) - y.argsort(1).argsort(1)).astype(float)
    rhos = 1 - 6 * (d**2).sum(1) / (n * (n * n - 1))
    assert (rhos >= sample_size.minimum_detectable_rho(n) - 1e-9).mean() == pytest.approx(0.8, abs=0.06)
    assert sample_size.detectable_rho(4) is None


def test_a_detectable_difference_is_found_in_four_of_five_studies():
    rng, n = np.random.default_rng(6), 400
    cubes = [rng.normal(0, 1, (1, n)) for _ in range(4)]
    least = comparison.detectable_difference(nested_bootstrap.performance_draws(cubes, 2000))
    assert least == pytest.approx(2.80 * math.sqrt(2 / n), rel=0.08)
    gaps = least + rng.normal(0, math.sqrt(2 / n), 4000)
    assert (gaps > 1.96 * math.sqrt(2 / n)).mean() == pytest.approx(0.8, abs=0.08)
    assert comparison.detectable_difference(np.ones((5, 1))) is None
