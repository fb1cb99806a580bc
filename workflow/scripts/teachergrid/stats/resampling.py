"""The draws behind all statistics: random orders and signs, bootstrap weights, and the p values and intervals that follow from them.

Why BCa and permutation tests are ours and not `scipy.stats.bootstrap` and `permutation_test`:

- Joint draws: many metrics, bases and teachers are compared in the same draw (max-T, pooled rho, nested bootstrap).
  scipy draws anew in each call.
- Weights in place of re-ranking: a draw is how often each unit occurs, and Spearman's rho follows from the signs of the
  differences between units. Thousands of draws are a few matrix products.
- Fixed results: a result depends on the seed alone, not on how a version of scipy draws.

The tests compare both with scipy.

Arrays of draws, orders or weights have draws (or rounds) first. NaN is missing. A function that draws takes a numpy
Generator `rng` and advances it. Intervals are 95 %. `rank`, `comparison`, `families` and `nested_bootstrap` turn these
pieces into results.
"""

import functools
import itertools
import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

Interval = tuple[float, float]  # low, high
Statistic = Callable[[np.ndarray], np.ndarray]  # weights [draws, n] -> values [draws]
EXACT_UNITS = 8  # 8! = 40,320 orders take milliseconds; 9! would take a second and 26 MB
PERMUTATIONS = 9999  # random ones, of more units
BLOCK = 2**21  # cells of the largest array of a bootstrap
TIE = 1e-9  # two correlations or two mean differences closer than this are equal


# --- usable data


def undefined(x: np.ndarray, y: np.ndarray) -> str | None:
    """Return why a correlation of a metric x and performance y, both [n], cannot be computed; None if it can."""
    if np.isinf([x, y]).any():
        return f"infinite values in the {'metric' if np.isinf(x).any() else 'performance'}"
    complete = ~(np.isnan(x) | np.isnan(y))
    if complete.sum() < 4:
        return "fewer than 4 teachers"
    if np.ptp(x[complete]) == 0:
        return "constant metric"
    return "constant performance" if np.ptp(y[complete]) == 0 else None


def shared_items(items: ArrayLike) -> tuple[np.ndarray, np.ndarray, int, str | None]:
    """Return what a bootstrap that draws the same items for all rows can use.

    Args:
        items: [..., items]; leading axes are units, or units and seeds.
    Returns: the scores [rows, items] without gaps, which rows [...] have any item, the number of items left out because
        a row lacks them, and why the scores cannot be used (None if they can).
    """
    items = np.asarray(items, float)
    has_items = ~np.isnan(items).all(-1) & (items.shape[-1] > 0)
    scores = items[has_items]
    scores = scores[:, ~np.isnan(scores).any(0)]
    dropped = items.shape[-1] - scores.shape[1]
    if not len(scores):
        return scores, has_items, dropped, "no items"
    if scores.shape[1] < 2:
        return scores, has_items, dropped, "fewer than 2 items that all units share"
    return scores, has_items, dropped, "infinite values" if np.isinf(scores).any() else None


# --- statistics as functions of weights


def signs(x: ArrayLike) -> np.ndarray:
    """Return the sign of x_i - x_j, 0 where one is missing: [..., n] -> [..., n, n].

    Row sums are the mid-ranks (centred and doubled); products with the signs of another variable give Kendall's tau.
    Example: signs([5, 7, 7]) is [[0, -1, -1], [1, 0, 0], [1, 0, 0]], with row sums -2, 1, 1.
    """
    x = np.asarray(x, float)
    return (x[..., :, None] > x[..., None, :]).astype(float) - (x[..., :, None] < x[..., None, :])


def weighted_rho(signs_x: np.ndarray, signs_y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return Spearman's rho of signs [n, n] (see `signs`) where units occur as often as weights [draws, n] say (0: never), without ranking again."""
    return rho_of_ranks(weighted_sums(signs_x, weights), weighted_sums(signs_y, weights), weights)


def weighted_sums(signs_of: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return mid-ranks, centred and doubled, from signs [n, n], where units occur as often as weights [draws, n] say: [draws, n]."""
    # whole numbers below 2^24 are exact with half of the digits, at twice the speed
    return (weights.astype(np.float32) @ signs_of.astype(np.float32).T).astype(float)


def rho_of_ranks(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the correlation of ranks x and y, both [draws, n] and centred, of units that occur as often as weights [draws, n] say.

    Returns: [draws]; NaN where a side is constant or fewer than 3 units occur.
    """
    weighted = weights * x
    xy, xx, yy = (np.einsum("ij,ij->i", a, b) for a, b in ((weighted, y), (weighted, x), (weights * y, y)))
    defined = (xx > 0) & (yy > 0) & (weights.sum(1) >= 3)
    return np.where(defined, np.clip(xy / np.sqrt(np.where(defined, xx * yy, 1)), -1, 1), np.nan)


# --- permutation tests


def permuted_rhos(x: np.ndarray, y: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Return rho of x [n] with y [n] shuffled by orders [draws, n], over the units that then have both: [draws]."""
    signs_x, signs_y = signs(x), signs(y)
    if not np.isnan([x, y]).any():  # no shuffle moves a rank
        a, b = signs_x.sum(1), signs_y.sum(1)
        size = math.sqrt(float(a @ a) * float(b @ b))
        return np.clip(b[orders] @ a / size, -1, 1) if size and len(a) > 2 else np.full(len(orders), np.nan)
    weights = (~np.isnan(x) & ~np.isnan(y)[orders]).astype(float)
    weights_y = np.empty_like(weights)
    np.put_along_axis(weights_y, orders, weights, axis=1)
    ranks_y = np.take_along_axis(weighted_sums(signs_y, weights_y), orders, axis=1)
    return rho_of_ranks(weighted_sums(signs_x, weights), ranks_y, weights)


def draw_orders(n: int, permutations: int, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """Return orders [draws, n] and whether they are exact: all n! up to EXACT_UNITS units, else `permutations` random ones."""
    if n <= EXACT_UNITS:
        return _all_orders(n), True
    return rng.permuted(np.tile(np.arange(n), (permutations, 1)), axis=1), False


@functools.lru_cache(maxsize=4)
def orders_of_seed(n: int, seed: int) -> tuple[np.ndarray, bool]:
    """Return what `draw_orders` makes of a seed; made once for all metrics over as many units. Read only."""
    orders, exact = draw_orders(n, PERMUTATIONS, np.random.default_rng(seed))
    orders.setflags(write=False)
    return orders, exact


@functools.cache
def _all_orders(n: int) -> np.ndarray:
    """Return all orders of n units: [n!, n]."""
    return np.array(list(itertools.permutations(range(n))), dtype=np.intp)


def sign_flip_sums(d: np.ndarray, permutations: int, rng: np.random.Generator) -> np.ndarray:
    """Return sums of the differences d [units, n], each item with a random sign, the same for all units: [permutations, units]."""
    sizes = blocks(permutations, d.shape[1])
    return np.concatenate([(2.0 * rng.integers(0, 2, (m, d.shape[1]), np.int8) - 1) @ d.T for m in sizes])


def two_sided_p(null: np.ndarray, observed: float, exact: bool, tolerance: float = TIE) -> float:
    """Return the share of |null| [draws] at or above |observed|.

    Args:
        exact: null holds all orders. Otherwise it is a random sample and p = (hits + 1) / (draws + 1), which is never 0
            (Phipson and Smyth 2010).
        tolerance: values closer than this are equal.
    An undefined draw counts as a hit.
    """
    hits = int((~(np.abs(null) < abs(observed) - tolerance)).sum())
    return hits / len(null) if exact else (hits + 1) / (len(null) + 1)


# --- bootstrap


def p_of_draws(differences: np.ndarray, n: int) -> np.ndarray:
    """Return two-sided p values of differences from bootstrap draws of them: [rounds, k] -> [k].

    p is twice the smaller share of draws on one side of 0. Where no draw crosses 0 the draws cannot tell how small it is, and
    the tail of Student's t of their mean over their sd does: else no p could survive a correction for many units. It is
    never below what a sign-flip test on n items can reach.
    """
    from scipy.special import stdtr  # slow to import

    side = np.minimum((differences <= TIE).sum(0), (differences >= -TIE).sum(0))
    p = 2 * (side + 1) / (len(differences) + 1)
    sd = differences.std(0)
    # the sd of a bootstrap is too small by sqrt((n - 1) / n)
    t = np.abs(differences.mean(0)) / np.where(sd > 0, sd, np.inf) * math.sqrt(1 - 1 / max(2, n))
    tail = np.where(sd > 0, 2 * stdtr(max(1, n - 1), -t), 0)
    return np.clip(np.where(side == 0, np.minimum(p, tail), p), 0.5 ** (n - 1), 1)


def bca_of_draws(statistic: Statistic, n: int, draws: np.ndarray) -> Interval | None:
    """Return `bca` of draws [rounds] of a statistic over n units."""
    return bca(float(statistic(np.ones((1, n)))[0]), draws, statistic(1 - np.eye(n)))


def bca(value: float, draws: np.ndarray, jackknife: np.ndarray) -> Interval | None:
    """Return the bias-corrected and accelerated (BCa) interval (Efron 1987) of a value from draws [rounds] of it.

    The acceleration comes from the jackknife [n], as in Efron and Tibshirani 1993, eq. 14.15. Draws where the statistic is
    undefined are left out. None where at least half of them are, or where nothing varies.
    """
    rounds = len(draws)
    draws, jackknife = draws[~np.isnan(draws)], jackknife[~np.isnan(jackknife)]
    below = ((draws < value - TIE).mean() + (draws <= value + TIE).mean()) / 2 if len(draws) > rounds / 2 else 0
    influence = jackknife.mean() - jackknife if len(jackknife) else np.zeros(1)
    if not 0 < below < 1 or not (influence**2).sum() > 0:
        return None
    normal = NormalDist()
    z0, acceleration = normal.inv_cdf(below), (influence**3).sum() / (6 * (influence**2).sum() ** 1.5)
    shifted = [z0 + normal.inv_cdf(q) for q in (0.025, 0.975)]
    low, high = (normal.cdf(z0 + z / (1 - acceleration * z)) for z in shifted)
    return _quantiles(draws, low, high)


def percentiles(draws: np.ndarray) -> Interval:
    """Return the middle 95 % of draws [rounds]."""
    return _quantiles(draws, 0.025, 0.975)


def percentiles_of_units(draws: np.ndarray) -> list[Interval]:
    """Return the middle 95 % of the draws of each unit: [rounds, units] -> [units]."""
    low, high = np.quantile(draws, [0.025, 0.975], axis=0).tolist()
    return list(zip(low, high, strict=True))


def _quantiles(draws: np.ndarray, low: float, high: float) -> Interval:
    """Return two quantiles of draws [rounds] as plain floats."""
    ends = np.quantile(draws, [low, high])
    return float(ends[0]), float(ends[1])


def blocks(rounds: int, n: int) -> list[int]:
    """Return rounds per block so that a block has at most BLOCK cells: memory does not grow with the number of items."""
    size = max(1, BLOCK // n)
    return [min(size, rounds - start) for start in range(0, rounds, size)]


def resample(rounds: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each of n things is drawn, with replacement, in each round: [rounds, n]."""
    picks = rng.integers(n, size=(rounds, n)) + n * np.arange(rounds)[:, None]
    return np.bincount(picks.ravel(), minlength=rounds * n).reshape(rounds, n).astype(float)


@functools.lru_cache(maxsize=4)
def weights_of_seed(rounds: int, n: int, *seed: int) -> np.ndarray:
    """Return what `resample` makes of a seed; made once for all metrics over as many units. Read only."""
    weights = resample(rounds, n, np.random.default_rng(seed))
    weights.setflags(write=False)
    return weights


def bootstrap_means(scores: np.ndarray, rounds: int, rng: np.random.Generator) -> np.ndarray:
    """Return means of scores [rows, items] over resampled items, the same items for all rows: [rounds, rows]."""
    n = scores.shape[1]
    return np.concatenate([resample(m, n, rng) @ scores.T / n for m in blocks(rounds, n)])


def unit_means(by_unit: list[np.ndarray], rounds: int, rng: np.random.Generator) -> np.ndarray:
    """Return the means of units under other items and other training seeds: [rounds, units].

    by_unit: the scores [seeds, items] of each unit.

    A round draws other items, the same for all units, and other training seeds (see `seed_noise`).
    """
    item_means = np.array([scores.mean(0) for scores in by_unit])
    return bootstrap_means(item_means, rounds, rng) + seed_noise(by_unit, rounds, rng)


def seed_noise(by_unit: list[np.ndarray], rounds: int, rng: np.random.Generator) -> np.ndarray:
    """Return what other training seeds would add to each unit's mean: [rounds, units].

    by_unit: the scores [seeds, items] of each unit.

    Two or three seeds say little about one unit, so training noise is assumed to be normal, with the same variance for all units.
    Few seeds say roughly how large that is, so each round takes one from its posterior: the pooled variance of seed means times f
    over a draw of chi-square with f + 1 degrees of freedom, f the sum of S - 1 over units of S seeds. Intervals are then
    about as wide as Student's t makes them. (With f in place of f + 1 they would be exactly so, but two seeds of a single unit would
    make all intervals useless.) Part of the variance is the noise of items, which the bootstrap over items already contains;
    that part is subtracted. Zeros where no unit has two seeds.
    """
    freedom = np.array([len(scores) - 1 for scores in by_unit])
    repeated = [scores for scores in by_unit if len(scores) > 1]
    if not repeated:
        return np.zeros((rounds, len(by_unit)))
    weights, total = freedom[freedom > 0], int(freedom.sum())
    between = np.average([scores.mean(1).var(ddof=1) for scores in repeated], weights=weights)
    from_items = np.average([scores.var(0, ddof=1).mean() / scores.shape[1] for scores in repeated], weights=weights)
    variances = np.maximum(0, between * total / rng.chisquare(total + 1, rounds) - from_items)
    return np.sqrt(variances)[:, None] * rng.normal(size=(rounds, len(by_unit))) / np.sqrt(freedom + 1)


def first_shares(means: np.ndarray) -> np.ndarray:
    """Return the share of rounds in which each unit has the first rank: the first column of `rank_shares`."""
    means = np.round(means, 12)
    first = means == means.max(1, keepdims=True)
    return (first / first.sum(1, keepdims=True)).mean(0)


def rank_shares(means: np.ndarray) -> np.ndarray:
    """Return the share of rounds in which each unit has each rank: means [rounds, units] -> [units, ranks].

    The highest mean has the first rank; g units that tie take 1/g of each of their g ranks.
    """
    means = np.round(means, 12)[:, :, None]  # the same items in another order may sum to another last bit
    ahead = (means < means.swapaxes(1, 2)).sum(2)
    tied = (means == means.swapaxes(1, 2)).sum(2)
    ranks = range(means.shape[1])
    return np.stack([(((ahead <= rank) & (rank < ahead + tied)) / tied).mean(0) for rank in ranks], axis=1)
