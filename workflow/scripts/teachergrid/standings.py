"""Scores of models: means, paired differences, which is best and what cannot be told from it, how reliable a ranking is.

Units are models or teachers (tens), items are instructions (hundreds to 100,000). A missing value is NaN: it is left out
and counted in `dropped`. What cannot be computed is None, and `reason` says why. Intervals are 95 %. Every draw comes
from `seed`. The draws are in `resampling`.
"""

import math
from statistics import NormalDist

import numpy as np

from . import resampling
from .resampling import result
from .stats import POWER, spearman

Mean = result("Mean", "mean se interval n dropped reason")
Paired = result("Paired", "difference se interval p n dropped reason")
Stability = result("Stability", "p_best p_rank n dropped reason")
Standing = result("Standing", "mean interval p_best difference difference_interval p not_distinguishable")
Best = result("Best", "best units n dropped reason")
Ceiling = result("Ceiling", "ceiling performance_reliability metric_reliability reason")


def mean_interval(x, rounds=2000, seed=0):
    """Mean of items [n], SE = sd(ddof 1) / sqrt(n), percentile bootstrap over items."""
    x = np.asarray(x, float)
    kept = x[~np.isnan(x)]
    n, dropped = len(kept), len(x) - len(kept)
    if n == 0 or np.isinf(kept).any():
        return Mean(n=n, dropped=dropped, reason="infinite values" if n else "no items")
    if n == 1:
        return Mean(float(kept[0]), n=n, dropped=dropped, reason="fewer than 2 items")
    draws = resampling.bootstrap_means(kept[None], rounds, np.random.default_rng(seed))
    return Mean(float(kept.mean()), float(kept.std(ddof=1) / math.sqrt(n)), resampling.percentiles(draws), n, dropped)


def paired(a, b, rounds=2000, permutations=9999, seed=0):
    """Two models on the same items [n]: d = a - b with SE and bootstrap interval, and a two-sided p.

    0/1 items: exact McNemar, 2 sum_{k <= min(b, c)} C(b + c, k) / 2^(b + c) with b and c the discordant items. Other
    scores (means over seeds, rewards): random signs of d, (hits + 1) / (permutations + 1).
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape:
        raise ValueError(f"paired items differ in number: {a.shape} and {b.shape}")
    known = ~(np.isnan(a) | np.isnan(b))
    a, b, n, dropped = a[known], b[known], int(known.sum()), int((~known).sum())
    if n == 0 or np.isinf([a, b]).any():
        return Paired(n=n, dropped=dropped, reason="infinite values" if n else "no items")
    d = a - b
    if np.isin([a, b], (0, 1)).all():
        discordant, fewer = int((d != 0).sum()), int(min((d > 0).sum(), (d < 0).sum()))
        p = min(1.0, 2 * sum(math.comb(discordant, k) for k in range(fewer + 1)) / 2**discordant)
    else:
        rng = np.random.default_rng(seed)
        sums = resampling.sign_flip_sums(d, permutations, rng)
        p = resampling.two_sided_p(sums, d.sum(), exact=False, tolerance=resampling.TIE * np.abs(d).sum())
    mean = mean_interval(d, rounds, seed)
    return Paired(mean.mean, mean.se, mean.interval, p, n, dropped, mean.reason)


def holm(p):
    """Holm-adjusted p values [m]: max over j <= i of min(1, (m - j + 1) p_(j)). NaN stays NaN and does not count."""
    p = np.asarray(p, float)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]
    adjusted = np.full(p.shape, np.nan)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return adjusted


def rank_stability(items, rounds=2000, seed=0):
    """P(best) [units] and P(rank) [units, ranks] from items [units, items]: bootstrap over items, the same for all.

    Units that tie share their ranks equally. An item that one unit lacks is left out for all; a unit without any item
    has NaN.
    """
    scores, has, dropped, reason = resampling.shared_items(items)
    p_rank = np.full((len(has), len(has)), np.nan)
    if not reason:
        p_rank[has] = 0
        draws = resampling.bootstrap_means(scores, rounds, np.random.default_rng(seed))
        p_rank[has, : len(scores)] = resampling.rank_shares(draws)
    return Stability(p_rank[:, :1].ravel(), p_rank, scores.shape[1], dropped, reason)


def best_with_uncertainty(items, rounds=2000, seed=0):
    """Which unit is best of [units, seeds, items], and which cannot be told from it: Best with one Standing per unit.

    Bootstrap over items, the same for all units, and over the training seeds of each unit (see `seed_noise`); with one
    seed its noise is not in the intervals. A unit is not distinguishable when the Holm-adjusted p of its difference to
    the best (twice the smaller share of rounds on one side of 0) exceeds 0.05; `difference_interval` is unadjusted.
    """
    scores, has, dropped, reason = resampling.shared_items(items)  # has [units, seeds], scores [has.sum(), items]
    units, n = [Standing()] * len(has), scores.shape[1]
    if reason:
        return Best(None, units, n, dropped, reason)
    rng, present = np.random.default_rng(seed), np.flatnonzero(has.any(1))
    by_unit = [scores[np.nonzero(has)[0] == unit] for unit in present]
    means = np.array([own.mean() for own in by_unit])
    draws = resampling.unit_means(by_unit, rounds, rng)
    best = int(np.argmax(np.round(means, 12)))
    gaps, p_best = draws - draws[:, [best]], resampling.rank_shares(draws)[:, 0]
    p = holm(np.where(np.arange(len(present)) == best, np.nan, resampling.two_sided_of_draws(gaps, n)))
    for i, unit in enumerate(present):
        gap = (float(means[i] - means[best]), resampling.percentiles(gaps[:, i]), float(p[i]), bool(p[i] > 0.05))
        own = float(means[i]), resampling.percentiles(draws[:, i]), float(p_best[i])
        units[unit] = Standing(*own, *(gap if i != best else (0.0, None, None, True)))
    return Best(int(present[best]), units, n, dropped, reason)


def detectable_difference(draws):
    """Smallest true difference between two units that four of five studies like this one would find at p <= 0.05:
    (1.96 + 0.84) times the median standard error of a difference, from draws [rounds, units]; None below 2 units."""
    first, second = np.triu_indices(draws.shape[1], 1)
    if not len(first):
        return None
    normal, se = NormalDist(), np.median((draws[:, first] - draws[:, second]).std(0))
    return float((normal.inv_cdf(0.975) + normal.inv_cdf(POWER)) * se)


def reliability(items, rounds=200, seed=0):
    """Reliability of the ranking of units by the mean of items [units, items], or None: r_xx = 2 r / (1 + r)
    (Spearman-Brown) with r the mean Spearman correlation between random halves of the items, 0 if it is negative."""
    scores, _, _, reason = resampling.shared_items(items)
    if reason or len(scores) < 4:
        return None
    rng, half = np.random.default_rng(seed), scores.shape[1] // 2
    orders = (rng.permutation(scores.shape[1]) for _ in range(rounds))
    r = [spearman(scores[:, order[:half]].mean(1), scores[:, order[half : 2 * half]].mean(1)) for order in orders]
    r = np.mean([value for value in r if not math.isnan(value)] or [math.nan])
    return None if math.isnan(r) else float(max(0, 2 * r / (1 + r)))


def ceiling(performance, metric=None, rounds=200, seed=0):
    """Highest rho that noise lets a perfect metric reach, sqrt(r_xx r_yy) (Spearman 1904), from items [units, items] of
    performance and of the metric; a metric without items counts as measured without noise."""
    r_yy = reliability(performance, rounds, seed)
    r_xx = 1.0 if metric is None else reliability(metric, rounds, seed)
    if r_xx is None or r_yy is None:
        return Ceiling(None, r_yy, r_xx, "reliability undefined: fewer than 4 units or 2 items, or all equal")
    return Ceiling(math.sqrt(r_xx * r_yy), r_yy, r_xx)
