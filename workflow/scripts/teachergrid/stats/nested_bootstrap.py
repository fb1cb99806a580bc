"""Nested bootstrap: intervals of a metric's quality over other teachers, other items and other training seeds at once.

Units are teachers. `performance_draws` draws performance under other items and seeds; `teacher_weights` draws how often
each teacher occurs. An interval over all three is wider than one over teachers alone. It is conservative: measured
performance already contains the noise of its items and seeds, and each draw adds it once more. The bias correction of
BCa removes most of that (simulation: tests/stats/test_nested_bootstrap.py). The noise of the metric is left out: a mean over very
many responses has little.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import rank, resampling
from .resampling import Interval


class NestedIntervals(NamedTuple):
    """95 % intervals over teachers, items and seeds; None where a value is undefined in most draws."""

    rho: Interval | None = None  # BCa
    pairwise_accuracy: Interval | None = None  # percentiles
    regret_1: Interval | None = None  # percentiles, in the unit of performance
    regret_3: Interval | None = None


def performance_draws(by_unit: list[np.ndarray], rounds: int = 2000, seed: int = 0) -> np.ndarray:
    """Return performance under other items, the same for all units, and other training seeds: [rounds, units].

    Args:
        by_unit: scores [seeds, items] of each unit. Calls with equally many items and one seed draw the same items.
    """
    return resampling.unit_means(by_unit, rounds, np.random.default_rng(seed))


def teacher_weights(n: int, rounds: int = 2000, seed: int = 0) -> np.ndarray:
    """Return how often each of n teachers occurs: [rounds, n]. The draws differ from those of items with the same seed."""
    return resampling.resample(rounds, n, np.random.default_rng([seed, 1]))


def nested_rho(metric: ArrayLike, performance: ArrayLike, draws: np.ndarray, weights: np.ndarray) -> Interval | None:
    """Return the BCa interval of Spearman's rho over teachers, items and seeds; None where it is undefined.

    Args:
        metric, performance: [n]; or [bases, n] for the rho over bases of `rank.pooled`. NaN is missing.
        draws: performance [rounds, n], or [bases, rounds, n]; see `performance_draws`.
        weights: [rounds, n], see `teacher_weights`.
    """
    x, y = np.asarray(metric, float), np.asarray(performance, float)
    rhos = [
        rank.reweighted(x, draws[..., block, :])(weights[block])
        for block in _round_blocks(len(weights), weights.shape[1])
    ]
    return resampling.bca_of_draws(rank.reweighted(x, y), weights.shape[1], np.concatenate(rhos))


def nested_intervals(metric: ArrayLike, performance: ArrayLike, draws: np.ndarray, seed: int = 0) -> NestedIntervals:
    """Return the intervals of rho, pairwise accuracy and regret; all None where the correlation is undefined.

    Ties in the metric are broken at random in each draw.

    Args:
        metric, performance: [n]; NaN is missing.
        draws: performance [rounds, n], see `performance_draws`.
    """
    x, y = np.asarray(metric, float), np.asarray(performance, float)
    if resampling.undefined(x, y):
        return NestedIntervals()
    has_performance = ~np.isnan(y)
    x, y, draws = x[has_performance], y[has_performance], draws[:, has_performance]
    weights, rng = teacher_weights(len(x), len(draws), seed), np.random.default_rng([seed, 2])
    regret_1, regret_3 = (_percentiles(resampling.drawn_regret(x, draws, weights, k, rng)) for k in (1, 3))
    rho, accuracy = nested_rho(x, y, draws, weights), _percentiles(_accuracies(x, draws, weights))
    return NestedIntervals(rho, accuracy, regret_1, regret_3)


def _accuracies(x: np.ndarray, draws: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the pairwise accuracy of x [n] in each draw: [rounds]."""
    signs_x, has_metric = resampling.signs(x), ~np.isnan(x)
    accuracies = [
        resampling.weighted_accuracy(signs_x, resampling.signs(draws[block]), weights[block] * has_metric)
        for block in _round_blocks(len(weights), len(x))
    ]
    return np.concatenate(accuracies)


def _round_blocks(rounds: int, n: int) -> Iterator[slice]:
    """Yield slices of rounds whose pairs of units [rounds, n, n] fit into one block of memory."""
    start = 0
    for size in resampling.blocks(rounds, n**2):
        yield slice(start, start + size)
        start += size


def _percentiles(draws: np.ndarray) -> Interval | None:
    """Return the middle 95 % of the draws that are defined; None where most are not."""
    defined = draws[~np.isnan(draws)]
    return resampling.percentiles(defined) if len(defined) > len(draws) / 2 else None
