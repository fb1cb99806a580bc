"""Scores of models: means, paired differences, which is best and what is statistically tied with it, reliability.

Units are models or teachers (tens), items are instructions (hundreds to 100,000). A missing value is NaN: it is left out
and counted in `dropped`. What cannot be computed is None, and `reason` says why. Intervals are 95 %. Every draw comes
from `seed`; the draws themselves are made in `resampling`.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import resampling
from .rank import spearman
from .resampling import PERMUTATIONS, Interval
from .sample_size import POWER
from .shrinkage import shrunk


class Mean(NamedTuple):
    """A mean over items, in the unit of the items."""

    mean: float | None = None
    se: float | None = None  # standard error
    interval: Interval | None = None
    n: int = 0
    dropped: int = 0
    reason: str | None = None


class Paired(NamedTuple):
    """The mean difference of two models over the items that both have."""

    difference: float | None = None
    se: float | None = None
    interval: Interval | None = None
    p: float | None = None  # two-sided
    n: int = 0
    dropped: int = 0
    reason: str | None = None


class UnitResult(NamedTuple):
    """One unit's mean and its distance to the best unit; all None for a unit without items."""

    mean: float | None = None
    interval: Interval | None = None
    p_best: float | None = None  # probability that it is truly best, see `shrinkage.shrunk`
    difference: float | None = None  # its mean minus that of the best unit: 0 or less
    difference_interval: Interval | None = None
    p: float | None = None  # of the difference, Holm-adjusted
    not_distinguishable: bool | None = None  # from the best


class Best(NamedTuple):
    """The best unit and how all units compare with it."""

    best: int | None  # index
    units: list[UnitResult]
    n: int  # items
    dropped: int
    reason: str | None


def mean_interval(x: ArrayLike, rounds: int = 2000, seed: int = 0) -> Mean:
    """Return the mean of items [n], SE = sd(ddof 1) / sqrt(n), and a percentile bootstrap interval over items."""
    x = np.asarray(x, float)
    values = x[~np.isnan(x)]
    n, dropped = len(values), len(x) - len(values)
    if n == 0 or np.isinf(values).any():
        return Mean(n=n, dropped=dropped, reason="infinite values" if n else "no items")
    if n == 1:
        return Mean(float(values[0]), n=n, dropped=dropped, reason="fewer than 2 items")
    draws = resampling.bootstrap_means(values[None], rounds, np.random.default_rng(seed))
    se = float(values.std(ddof=1) / math.sqrt(n))
    return Mean(float(values.mean()), se, resampling.percentiles(draws), n, dropped)


def paired(a: ArrayLike, b: ArrayLike, rounds: int = 2000, permutations: int = PERMUTATIONS, seed: int = 0) -> Paired:
    """Return the mean difference a - b of two models on the same items [n], with its SE, bootstrap interval and p.

    Where all scores are 0 or 1, p is that of the exact McNemar test: binomial over the items that differ. Other scores
    (means over seeds, rewards): a permutation test with random signs of the differences.
    Raises ValueError where a and b have different shapes.
    """
    x, y = np.asarray(a, float), np.asarray(b, float)
    if x.shape != y.shape:
        raise ValueError(f"paired items differ in number: {x.shape} and {y.shape}")
    complete = ~(np.isnan(x) | np.isnan(y))
    x, y, n, dropped = x[complete], y[complete], int(complete.sum()), int((~complete).sum())
    if n == 0 or np.isinf([x, y]).any():
        return Paired(n=n, dropped=dropped, reason="infinite values" if n else "no items")
    mean = mean_interval(x - y, rounds, seed)
    (p,) = _paired_p(x[None], y, permutations, seed)
    return Paired(mean.mean, mean.se, mean.interval, p, n, dropped, mean.reason)


def _paired_p(x: np.ndarray, y: np.ndarray, permutations: int, seed: int) -> list[float]:
    """Return p of the mean of each row of x [units, n] minus y [n], as `paired`; items have the same random signs in all rows."""
    d = x - y
    exact = np.array([np.isin([row, y], (0, 1)).all() for row in x])
    random = () if exact.all() else resampling.sign_flip_sums(d[~exact], permutations, np.random.default_rng(seed)).T
    sums = iter(random)
    return [
        sign_p(int((row > 0).sum()), int((row < 0).sum()))
        if is_exact
        else resampling.two_sided_p(next(sums), row.sum(), False, resampling.TIE * np.abs(row).sum())
        for row, is_exact in zip(d, exact, strict=True)
    ]


def gains(
    by_unit: list[np.ndarray], other: np.ndarray, rounds: int = 2000, permutations: int = PERMUTATIONS, seed: int = 0
) -> list[Paired]:
    """Return for each unit the difference of its mean over seeds from a model that has no seeds, paired over items.

    Where any unit has two seeds or more, intervals and p also contain the noise of seeds (see `resampling.seed_noise`). Else
    the result is that of `paired`.

    Args:
        by_unit: scores [seeds, items] of each unit. other: [items]. Both without gaps.
    """
    means, n = np.array([scores.mean(0) for scores in by_unit]), len(other)
    if n < 2:
        return [paired(row, other, rounds, permutations, seed) for row in means]
    differences = means - other
    draws = resampling.bootstrap_means(differences, rounds, np.random.default_rng(seed))
    p, se = np.array(_paired_p(means, other, permutations, seed)), differences.std(1, ddof=1) / math.sqrt(n)
    if any(len(scores) > 1 for scores in by_unit):
        draws += resampling.seed_noise(by_unit, rounds, np.random.default_rng([seed, 3]))
        p, se = np.maximum(p, resampling.p_of_draws(draws, n)), draws.std(0)  # seeds only add noise
    columns = differences.mean(1).tolist(), se.tolist(), resampling.percentiles_of_units(draws), p.tolist()
    return [Paired(*values, n) for values in zip(*columns, strict=True)]


def sign_p(better: int, worse: int) -> float:
    """Return the two-sided exact p of a sign test: the binomial chance of a split this uneven. Ties do not count.

    On items that only one of two models has right, this is McNemar's test.
    """
    as_uneven = sum(math.comb(better + worse, k) for k in range(min(better, worse) + 1))
    return min(1.0, 2 * as_uneven / 2 ** (better + worse))


def holm(p: ArrayLike) -> np.ndarray:
    """Return Holm-adjusted p values (Holm 1979) of p [m]: max over j <= i of min(1, (m - j + 1) p_(j)).

    NaN stays NaN and does not count.
    Example: holm([0.01, 0.04, 0.03]) is [0.03, 0.06, 0.06].
    """
    p = np.asarray(p, float)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]
    adjusted = np.full(p.shape, np.nan)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return adjusted


def best_with_uncertainty(items: ArrayLike, rounds: int = 2000, seed: int = 0) -> Best:
    """Return which unit of items [units, seeds, items] is best, and which are statistically tied with it.

    Bootstrap over items, the same for all units, and over the training seeds of each unit (see `resampling.seed_noise`);
    with one seed its noise is not in the intervals, nor in p_best. A unit is not distinguishable from the best when the
    Holm-adjusted p of their difference exceeds 0.05; so the units that are not behind are a set that holds the true best
    in at least 95 % of studies. It is no 5 % test of a single unit, since the best was picked from the same data.
    `difference_interval` is unadjusted. An item that one unit lacks is left out for all.
    """
    # has_items [units, seeds], scores [has_items.sum(), items]
    scores, has_items, dropped, reason = resampling.shared_items(items)
    units, n = [UnitResult()] * len(has_items), scores.shape[1]
    if reason:
        return Best(None, units, n, dropped, reason)
    rng, present = np.random.default_rng(seed), np.flatnonzero(has_items.any(1))
    by_unit = [scores[np.nonzero(has_items)[0] == unit] for unit in present]
    means = np.array([unit_scores.mean() for unit_scores in by_unit])
    draws = resampling.unit_means(by_unit, rounds, rng)
    best = int(np.argmax(np.round(means, 12)))
    differences, p_best = draws - draws[:, [best]], resampling.first_shares(shrunk(means, draws, rng))
    p = holm(np.where(np.arange(len(present)) == best, np.nan, resampling.p_of_draws(differences, n)))
    intervals, to_best = map(resampling.percentiles_of_units, (draws, differences))
    for i, unit in enumerate(present):
        result = UnitResult(float(means[i]), intervals[i], float(p_best[i]))
        if i == best:
            units[unit] = result._replace(difference=0.0, not_distinguishable=True)
        else:
            units[unit] = result._replace(
                difference=float(means[i] - means[best]),
                difference_interval=to_best[i],
                p=float(p[i]),
                not_distinguishable=bool(p[i] > 0.05),
            )
    return Best(int(present[best]), units, n, dropped, reason)


def detectable_difference(draws: np.ndarray) -> float | None:
    """Return the smallest true difference from the best unit that four of five studies of this size would find.

    By the rule of `best_with_uncertainty`: of k units, k - 1 are compared with the best, so the first p must reach
    0.05 / (k - 1). With z the normal quantile of that (two-sided), and 0.84 that of POWER, it is z + 0.84 times the median
    standard error of a difference.

    Args:
        draws: means [rounds, units], see `nested_bootstrap.performance_draws`.
    Returns: the difference in the unit of the draws; None below 2 units.
    """
    units = draws.shape[1]
    if units < 2:
        return None
    covariance = np.cov(draws, rowvar=False, ddof=0)
    variance = np.diag(covariance)
    squares = (variance[:, None] + variance - 2 * covariance)[np.triu_indices(units, 1)]
    normal, se = NormalDist(), np.median(np.sqrt(np.maximum(squares, 0)))
    return float((normal.inv_cdf(1 - 0.025 / (units - 1)) + normal.inv_cdf(POWER)) * se)


def reliability(performance: np.ndarray | Sequence[np.ndarray], rounds: int = 200, seed: int = 0) -> float | None:
    """Return the split-half reliability of the ranking of units by their means over items and training seeds.

    r_xx = m r / (1 + (m - 1) r) (Spearman 1910, Brown 1910), with r the mean Spearman correlation between two random halves
    of the items; 0 if r is negative. Where every unit has two seeds or more, the halves also have other seeds, so that their
    noise counts, and m is the number of seeds over those in a half (3 of 3 seeds: a little too low, as half of the items
    then count as a third). Else m is 2, and the noise of seeds counts as a difference between units. None below 4 units or 2
    items, or where the correlations are undefined.

    Args:
        performance: of each unit the scores [seeds, items], or [items] of one seed.
    """
    given = [np.atleast_2d(np.asarray(unit, float)) for unit in performance]
    cube = np.full((len(given), max(map(len, given), default=0), given[0].shape[1] if given else 0), np.nan)
    for unit, scores in zip(cube, given, strict=True):
        unit[: len(scores)] = scores
    rows, has_items, _, reason = resampling.shared_items(cube)
    has_items = has_items[has_items.any(1)]
    if reason or len(has_items) < 4:
        return None
    seeds = has_items.sum(1)
    in_part = max(1, int(seeds.min()) // 2)
    split_seeds = int(seeds.min()) > 1
    times = float(seeds.mean()) / in_part if split_seeds else 2.0
    by_item = np.ascontiguousarray(
        rows.T
    )  # the scores of an item lie side by side: choosing items is several times as fast
    half, rng, rhos = len(by_item) // 2, np.random.default_rng(seed), []
    for _ in range(rounds):
        order = rng.permutation(len(by_item))
        parts = [by_item[chosen].mean(0) for chosen in (order[:half], order[half : 2 * half])]
        # the seeds of each unit in random order; those that it lacks are last
        picks = np.argsort(np.where(has_items, rng.random(has_items.shape), 2), axis=1)
        first, second = (_by_seed(part, has_items, picks) for part in parts)
        if split_seeds:
            first, second = first[:, :in_part], second[:, in_part : 2 * in_part]
        rhos.append(spearman(np.nanmean(first, axis=1), np.nanmean(second, axis=1)))
    defined = [rho for rho in rhos if not math.isnan(rho)]
    if not defined:
        return None
    r = float(np.mean(defined))
    return max(0.0, times * r / (1 + (times - 1) * r))


def _by_seed(means: np.ndarray, has_items: np.ndarray, picks: np.ndarray) -> np.ndarray:
    """Return the means [rows] of the seeds that units have as [units, seeds] in the order of picks; NaN where one lacks it."""
    table = np.full(has_items.shape, np.nan)
    table[has_items] = means
    return np.take_along_axis(table, picks, axis=1)


def ceiling(performance: np.ndarray | Sequence[np.ndarray], seed: int = 0) -> float | None:
    """Return the rho that a perfect metric can expect, given the noise: the square root of reliability (Spearman 1904).

    A single observed rho may lie above it. The metric counts as measured without noise. None where the reliability is
    undefined.

    Args:
        performance: of each unit the scores [seeds, items], or [items] of one seed. With one seed, its noise is left out,
            and the figure is too high.
    """
    found = reliability(performance, seed=seed)
    return None if found is None else math.sqrt(found)
