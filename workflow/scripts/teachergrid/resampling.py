"""Machinery under `stats`: the data that can be used, random orders and signs, bootstrap weights, p and intervals.

A function that draws takes a numpy Generator `rng` and advances it. Arrays of draws, orders or weights have draws (or
rounds) first. Nothing is ranked again in a draw: Spearman's rho follows from the signs of differences between units,
weighted by how often each unit was drawn. NaN is missing. `stats` turns these pieces into results.
"""

import functools
import itertools
import math
from collections import namedtuple
from statistics import NormalDist

import numpy as np

EXACT_UNITS = 8  # 8! = 40,320 orders take milliseconds; 9! would take a second and 26 MB
BLOCK = 2**21  # cells of the largest array of a bootstrap
TIE = 1e-9  # two correlations or two mean differences closer than this are equal


def result(name, fields):
    """A namedtuple whose fields are None unless given."""
    return namedtuple(name, fields, defaults=[None] * len(fields.split()))


def undefined(x, y):
    """Why a correlation of x and y [n] cannot be computed, or None."""
    if np.isinf([x, y]).any():
        return f"infinite values in the {'metric' if np.isinf(x).any() else 'performance'}"
    known = ~(np.isnan(x) | np.isnan(y))
    if known.sum() < 4:
        return "fewer than 4 teachers"
    if np.ptp(x[known]) == 0:
        return "constant metric"
    return "constant performance" if np.ptp(y[known]) == 0 else None


def shared_items(items):
    """What a bootstrap that draws the same items for all can use of items [..., items].

    Returns scores [rows, items] without gaps, which rows [...] have any item, items dropped, and why not or None.
    """
    items = np.asarray(items, float)
    has = ~np.isnan(items).all(-1) & (items.shape[-1] > 0)
    scores = items[has]
    scores = scores[:, ~np.isnan(scores).any(0)]
    reason = "infinite values" if np.isinf(scores).any() else None
    reason = "fewer than 2 items that all units share" if scores.shape[1] < 2 else reason
    return scores, has, items.shape[-1] - scores.shape[1], reason if len(scores) else "no items"


def signs(x):
    """Sign of x_i - x_j [..., n, n], 0 for a missing value: row sums are mid-ranks (centred, doubled), products are tau."""
    x = np.asarray(x, float)
    return (x[..., :, None] > x[..., None, :]).astype(float) - (x[..., :, None] < x[..., None, :])


def weighted_rho(signs_x, signs_y, weights, order=None):
    """Spearman's rho [draws] where unit t occurs weights[draw, t] times, without ranking again; signs are [n, n], those
    of y also [draws, n, n].

    With `order` [draws, n], the y of unit t is that of unit order[draw, t].
    """
    weights_y = weights if order is None else np.take_along_axis(weights, np.argsort(order, axis=1), axis=1)
    x = weights @ signs_x.T
    y = weights_y @ signs_y.T if signs_y.ndim == 2 else (signs_y @ weights_y[:, :, None])[:, :, 0]
    y = y if order is None else np.take_along_axis(y, order, axis=1)
    xy, xx, yy = (weights * x * y).sum(1), (weights * x * x).sum(1), (weights * y * y).sum(1)
    defined = (xx > 0) & (yy > 0) & (weights.sum(1) >= 3)
    return np.where(defined, np.clip(xy / np.sqrt(np.where(defined, xx * yy, 1)), -1, 1), np.nan)


def weighted_accuracy(signs_x, signs_y, weights):
    """Share of pairs ordered alike [draws] where unit t occurs weights[draw, t] times; signs as in `weighted_rho`, but
    those of y have draws. NaN where no pair differs in y."""

    def pairs(signs):
        return ((signs @ weights[:, :, None])[:, :, 0] * weights).sum(1)

    alike, both = pairs(signs_x * signs_y), pairs(np.abs(signs_y))
    return np.where(both > 0, (1 + alike / np.where(both > 0, both, 1)) / 2, np.nan)


def drawn_regret(x, y, weights, k, rng):
    """Best y among the units that occur less the best among the k of them with the highest x [draws].

    x [n], y and weights [draws, n]. Ties in x are broken at random; a unit without x cannot be picked, one without y does
    not count.
    """
    there = (weights > 0) & ~np.isnan(y)
    order = np.lexsort((rng.random(y.shape), -np.broadcast_to(x, y.shape)))  # NaN is last
    can = np.take_along_axis(there & ~np.isnan(x), order, axis=1)
    worth = np.take_along_axis(np.where(there, y, -np.inf), order, axis=1)
    picked = np.where(can & (can.cumsum(1) <= k), worth, -np.inf).max(1)
    return np.where(np.isfinite(picked), worth.max(1) - np.where(np.isfinite(picked), picked, 0), np.nan)


def permuted_rhos(x, y, orders):
    """rho [draws] of x [n] with y [n] shuffled by orders [draws, n], over the units where both are then known."""
    known = ~np.isnan(x) & ~np.isnan(y)[orders]
    return weighted_rho(signs(x), signs(y), known.astype(float), orders)


def draw_orders(n, permutations, rng):
    """(orders [draws, n], exact): all n! orders of up to EXACT_UNITS units, else `permutations` random ones."""
    if n <= EXACT_UNITS:
        return _all_orders(n), True
    return rng.permuted(np.tile(np.arange(n), (permutations, 1)), axis=1), False


@functools.cache
def _all_orders(n):
    """All orders of n units [n!, n]."""
    return np.array(list(itertools.permutations(range(n))), dtype=np.intp)


def sign_flip_sums(d, permutations, rng):
    """Sums [permutations] of the differences d [n], each with a random sign."""
    sizes = blocks(permutations, len(d))
    return np.concatenate([(2.0 * rng.integers(0, 2, (m, len(d)), np.int8) - 1) @ d for m in sizes])


def two_sided_p(null, observed, exact, tolerance=TIE):
    """Share of |null| [draws] at or above |observed|. An undefined draw counts as a hit, and among random draws (not
    `exact`) the observation is one more."""
    hits = int((~(np.abs(null) < abs(observed) - tolerance)).sum())
    return hits / len(null) if exact else (hits + 1) / (len(null) + 1)


def two_sided_of_draws(gaps, n):
    """p of differences from draws of them [rounds, k]: twice the smaller share on one side of 0, and never below what a
    sign-flip test on n items can reach."""
    side = np.minimum((gaps <= TIE).sum(0), (gaps >= -TIE).sum(0))
    return np.clip(2 * (side + 1) / (len(gaps) + 1), 0.5 ** (n - 1), 1)


def bca(statistic, n, rounds, rng):
    """BCa interval (low, high) over n units of statistic(weights [draws, n]) -> [draws], or None."""
    return accelerated(statistic, n, statistic(resample(rounds, n, rng)))


def accelerated(statistic, n, draws):
    """BCa interval of `bca` from draws [rounds] of the statistic; those where it is undefined are left out. None where
    most are, or where nothing varies."""
    rounds, value, jackknife = len(draws), statistic(np.ones((1, n)))[0], statistic(1 - np.eye(n))
    draws, jackknife = draws[~np.isnan(draws)], jackknife[~np.isnan(jackknife)]
    below = ((draws < value - TIE).mean() + (draws <= value + TIE).mean()) / 2 if len(draws) > rounds / 2 else 0
    pull = jackknife.mean() - jackknife if len(jackknife) else np.zeros(1)
    if not 0 < below < 1 or not (pull**2).sum() > 0:
        return None
    normal = NormalDist()
    z0, acceleration = normal.inv_cdf(below), (pull**3).sum() / (6 * (pull**2).sum() ** 1.5)
    shifted = (z0 + normal.inv_cdf(q) for q in (0.025, 0.975))
    return _quantiles(draws, [normal.cdf(z0 + z / (1 - acceleration * z)) for z in shifted])


def percentiles(draws):
    """The middle 95 % (low, high) of draws [rounds]."""
    return _quantiles(draws, (0.025, 0.975))


def _quantiles(draws, levels):
    """Quantiles of draws [rounds] as plain floats."""
    return tuple(float(end) for end in np.quantile(draws, levels))


def blocks(rounds, n):
    """Rounds per block so that a block has at most BLOCK cells: memory does not grow with the number of items."""
    size = max(1, BLOCK // n)
    return [min(size, rounds - start) for start in range(0, rounds, size)]


def resample(rounds, n, rng):
    """How often each of n things is drawn, with replacement, in each round: [rounds, n]."""
    picks = rng.integers(n, size=(rounds, n)) + n * np.arange(rounds)[:, None]
    return np.bincount(picks.ravel(), minlength=rounds * n).reshape(rounds, n).astype(float)


def bootstrap_means(scores, rounds, rng):
    """Means [rounds, rows] of scores [rows, items] over resampled items, the same items for all rows."""
    n = scores.shape[1]
    return np.concatenate([resample(m, n, rng) @ scores.T / n for m in blocks(rounds, n)])


def unit_means(by_unit, rounds, rng):
    """Means [rounds, units] of units with scores [seeds, items] each: other items, the same for all, and other seeds."""
    return bootstrap_means(np.array([own.mean(0) for own in by_unit]), rounds, rng) + seed_noise(by_unit, rounds, rng)


def seed_noise(by_unit, rounds, rng):
    """What other training seeds would add to each unit's mean [rounds, units], from its scores [seeds, items].

    Two or three seeds say little about one unit, so training noise is taken as equal for all: deviations of seed means
    from their unit's mean, times sqrt(S / (S - 1)), are drawn from all units together. The part of their variance that
    is only items falling out differently is taken off, as the bootstrap over items has it.
    """
    repeated = [own for own in by_unit if len(own) > 1]
    between = sum(own.mean(1).var(ddof=1) for own in repeated)
    if between == 0:
        return np.zeros((rounds, len(by_unit)))
    from_items = sum(own.var(0, ddof=1).mean() / own.shape[1] for own in repeated)
    pool = np.concatenate([(own.mean(1) - own.mean()) * math.sqrt(len(own) / (len(own) - 1)) for own in repeated])
    pool *= math.sqrt(max(0, 1 - from_items / between))
    return np.stack([rng.choice(pool, (rounds, len(own))).mean(1) for own in by_unit], axis=1)


def rank_shares(means):
    """Share of rounds [units, ranks] from means [rounds, units]; g units that tie take 1/g of each of their g ranks."""
    means = np.round(means, 12)[:, :, None]  # the same items in another order may sum to another last bit
    ahead = (means < means.swapaxes(1, 2)).sum(2)
    tied = (means == means.swapaxes(1, 2)).sum(2)
    ranks = range(means.shape[1])
    return np.stack([(((ahead <= rank) & (rank < ahead + tied)) / tied).mean(0) for rank in ranks], axis=1)
