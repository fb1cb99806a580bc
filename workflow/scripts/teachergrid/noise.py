"""The noise of performance itself: what other items and other training seeds, and other teachers, might have given.

Units are teachers. Performance is drawn by `performance_draws`; weights say how often a teacher occurs in a draw. An
interval over all three is wider than one over teachers alone. It is on the safe side: measured performance already has
the noise of its items and seeds in it, and a draw adds it once more, which the bias correction of BCa takes off again.
The noise of the metric is left out: a mean over very many responses has little.
"""

import numpy as np

from . import resampling, stats
from .resampling import result

Nested = result("Nested", "rho pairwise_accuracy regret_1 regret_3")


def performance_draws(by_unit, rounds=2000, seed=0):
    """Performance [rounds, units] under other items, the same for all units, and other seeds: from each unit's scores
    [seeds, items]. Bases with equally many items draw the same ones."""
    return resampling.unit_means(by_unit, rounds, np.random.default_rng(seed))


def teacher_weights(n, rounds=2000, seed=0):
    """How often each of n teachers occurs [rounds, n]: other draws than those of items with the same seed."""
    return resampling.resample(rounds, n, np.random.default_rng([seed, 1]))


def nested_rho(metric, performance, draws, weights):
    """BCa interval of rho over teachers, items and seeds, or None.

    metric and performance [n], draws [rounds, n]; or for the rho over bases of stats.pooled metric and performance
    [bases, n], draws [bases, rounds, n]. weights [rounds, n]. NaN is missing.
    """
    x, y = np.asarray(metric, float), np.asarray(performance, float)
    found, start = [], 0
    for size in resampling.blocks(len(weights), weights.shape[1] ** 2):
        block = slice(start, start + size)
        found.append(stats.reweighted(x, draws[..., block, :])(weights[block]))
        start += size
    return resampling.accelerated(stats.reweighted(x, y), weights.shape[1], np.concatenate(found))


def nested(metric, performance, draws, seed=0):
    """95 % intervals over teachers, items and seeds, as Nested: rho (see `nested_rho`), and the percentiles of pairwise
    accuracy and regret. metric and performance [n], draws [rounds, n].

    None where a correlation is undefined. Ties in the metric are broken at random in each draw.
    """
    x, y = np.asarray(metric, float), np.asarray(performance, float)
    if resampling.undefined(x, y):
        return Nested()
    known = ~np.isnan(y)
    x, y, draws = x[known], y[known], draws[:, known]
    weights, rng = teacher_weights(len(x), len(draws), seed), np.random.default_rng([seed, 2])
    lost = [_middle(resampling.drawn_regret(x, draws, weights, k, rng)) for k in (1, 3)]
    return Nested(nested_rho(x, y, draws, weights), _middle(_accuracies(x, draws, weights)), *lost)


def _accuracies(x, draws, weights):
    signs_x, known, found, start = resampling.signs(x), ~np.isnan(x), [], 0
    for size in resampling.blocks(len(weights), len(x) ** 2):
        block = slice(start, start + size)
        found.append(resampling.weighted_accuracy(signs_x, resampling.signs(draws[block]), (weights * known)[block]))
        start += size
    return np.concatenate(found)


def _middle(draws):
    """The middle 95 % of the draws that are defined, None where most are not."""
    kept = draws[~np.isnan(draws)]
    return resampling.percentiles(kept) if len(kept) > len(draws) / 2 else None
