"""Metrics against performance: rank correlations, what a metric's choice costs, tests and intervals over teachers.

Units are teachers (tens). A missing value is NaN: it is left out and counted in `dropped`. What cannot be computed is
None, and `reason` says why. Intervals are 95 %. Every draw comes from `seed`. Higher values of a metric count as
better: pass the negative of a metric whose lower values are. The draws are made in `resampling`; `nested_bootstrap` adds the uncertainty of
performance itself.

Spearman's rho, the BCa bootstrap and the permutation tests are ours and not scipy's: they share draws over many metrics
and bases, use weights in place of ranking again, and give the same result under any version of scipy (see
`resampling`). The tests compare them with scipy.
"""

import functools
import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import resampling
from .resampling import PERMUTATIONS, Interval, Statistic

NO_INTERVAL = "no interval: rho is 1 or -1, or varies too little between resamples"


class Correlation(NamedTuple):
    """A metric against performance over teachers."""

    rho: float | None = None  # Spearman
    tau_b: float | None = None  # Kendall
    n: int = 0  # units that have both values
    p: float | None = None  # two-sided, permutation
    exact: bool | None = None  # whether p is over all orders
    bca: Interval | None = None  # of rho, over teachers
    bonett_wright: Interval | None = None  # of rho
    regret_1: float | None = None  # in the unit of performance
    regret_3: float | None = None
    pairwise_accuracy: float | None = None  # 0 .. 1
    dropped: int = 0
    reason: str | None = None


class Pooled(NamedTuple):
    """One metric over several bases."""

    rho: float | None = None
    n: int = 0  # teachers that have both values, on the base that has the fewest of them
    p: float | None = None
    exact: bool | None = None
    bca: Interval | None = None
    lowest: float | None = None  # of the bases' rhos
    highest: float | None = None
    rhos: Sequence[float | None] = ()  # of each base; None where undefined
    dropped: int = 0  # missing pairs over all bases
    reason: str | None = None


# --- statistics of two variables


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Return Spearman's rho of x and y [n]: the Pearson correlation of mid-ranks.

    NaN when a side is constant, a value is missing or n < 3.
    """
    pair = np.asarray([x, y], float)
    if np.isnan(pair).any():
        return math.nan
    weights = np.ones((1, pair.shape[1]))
    return float(resampling.weighted_rho(resampling.signs(pair[0]), resampling.signs(pair[1]), weights)[0])


def kendall_b(x: ArrayLike, y: ArrayLike) -> float:
    """Return Kendall's tau-b of x and y [n]: concordant minus discordant pairs over the geometric mean of untied pairs.

    tau_b = (C - D) / sqrt(pairs untied in x * pairs untied in y) (Kendall 1945); NaN when a side is constant. Not scipy's
    `kendalltau`, which gives 0.9999999999999999 for some perfect orders.
    """
    signs_x, signs_y = resampling.signs(x), resampling.signs(y)
    untied = math.sqrt((signs_x**2).sum() * (signs_y**2).sum())
    return float((signs_x * signs_y).sum() / untied) if untied else math.nan


def pairwise_accuracy(metric: ArrayLike, performance: ArrayLike) -> float:
    """Return the share of unit pairs ordered alike by metric and performance [n]; NaN where no performance differs.

    A tie in the metric counts half; a tie in performance is no pair.
    """
    signs_x, signs_y = resampling.signs(metric), resampling.signs(performance)
    pairs = np.count_nonzero(signs_y)
    return float((1 + (signs_x * signs_y).sum() / pairs) / 2) if pairs else math.nan


def regret(metric: ArrayLike, performance: ArrayLike, k: int = 1) -> float:
    """Return the performance of the best unit minus the best among the k units that the metric ranks highest.

    Ties at the cut: the expected value over a random choice among them. A unit without a metric value cannot be picked,
    but counts as the best if it is.

    Args:
        metric, performance: [n]; NaN is missing.
    Returns: the regret in the unit of performance; NaN where no unit has both values.
    Example: regret([3, 2, 1], [50, 60, 40]) is 10: the metric picks the first unit, the second is the best.
    """
    metric, performance = np.asarray(metric, float), np.asarray(performance, float)
    complete = ~(np.isnan(metric) | np.isnan(performance))
    x, y = metric[complete], performance[complete]
    if len(x) == 0:
        return math.nan
    cut = np.sort(x)[-min(k, len(x))]
    picked, tied = y[x > cut], np.sort(y[x == cut])
    picks = min(k, len(x)) - len(picked)
    # Of all choices of `picks` among the tied, C(i, picks - 1) have the i-th smallest as their best.
    chance = np.array([math.comb(i, picks - 1) for i in range(len(tied))]) / math.comb(len(tied), picks)
    return float(np.nanmax(performance) - chance @ np.maximum(tied, picked.max(initial=-math.inf)))


# --- one base


def permutation_p(x: ArrayLike, y: ArrayLike, seed: int = 0) -> tuple[float, bool]:
    """Return the two-sided p of Spearman's rho of x and y [n], and whether it is exact.

    Exact: over all n! orders, up to n = 8. Else (hits + 1) / (PERMUTATIONS + 1) over random orders. NaN where rho is.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    orders, exact = resampling.orders_of_seed(len(x), seed)
    rho = spearman(x, y)
    if math.isnan(rho):
        return math.nan, exact
    return resampling.two_sided_p(resampling.permuted_rhos(x, y, orders), rho, exact), exact


def correlation(metric: ArrayLike, performance: ArrayLike, seed: int = 0, rounds: int = 2000) -> Correlation:
    """Return a metric against performance over teachers, both [n].

    The interval `bca` is a bootstrap over teachers (Efron 1987). With n <= k nothing is left to choose, and regret_k is
    None.
    """
    metric, performance = np.asarray(metric, float), np.asarray(performance, float)
    complete = ~(np.isnan(metric) | np.isnan(performance))
    x, y, n = metric[complete], performance[complete], int(complete.sum())
    result = Correlation(n=n, dropped=len(complete) - n, reason=resampling.undefined(metric, performance))
    if not np.isinf([metric, performance]).any():
        regret_1, regret_3 = (regret(metric, performance, k) if n > k else None for k in (1, 3))
        result = result._replace(regret_1=regret_1, regret_3=regret_3)
    if result.reason:
        return result
    rho = spearman(x, y)
    p, exact = permutation_p(x, y, seed)
    result = result._replace(rho=rho, tau_b=kendall_b(x, y), p=p, exact=exact)
    statistic = reweighted(x, y)
    bca = resampling.bca_of_draws(statistic, n, statistic(resampling.weights_of_seed(rounds, n, seed)))
    wright = bonett_wright(rho, n)
    reason = None if bca and wright else NO_INTERVAL
    return result._replace(bca=bca, bonett_wright=wright, pairwise_accuracy=pairwise_accuracy(x, y), reason=reason)


def bonett_wright(rho: float, n: int) -> Interval | None:
    """Return the interval of Spearman's rho over n units by Bonett and Wright 2000; None where |rho| is 1 or n < 4.

    tanh(atanh(rho) +- 1.96 sqrt((1 + rho^2/2) / (n - 3)))
    """
    return _fisher_interval(rho, (1 + rho**2 / 2) / (n - 3)) if n > 3 else None


def fieller(rho: float, n: int) -> Interval | None:
    """Return the interval of Spearman's rho by Fieller, Hartley and Pearson 1957; None where |rho| is 1 or n < 4.

    tanh(atanh(rho) +- 1.96 sqrt(1.06 / (n - 3))). It is narrower than Bonett and Wright's, and too narrow where |rho| is
    high. Papers print it as Fisher's interval.
    """
    return _fisher_interval(rho, 1.06 / (n - 3)) if n > 3 else None


def _fisher_interval(rho: float, variance: float) -> Interval | None:
    """Return the normal interval around atanh(rho), which has the given variance, on the scale of rho."""
    if abs(rho) >= 1 - resampling.TIE:
        return None
    half = NormalDist().inv_cdf(0.975) * math.sqrt(variance)
    return math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half)


def max_t(metrics: dict[str, np.ndarray], performance: ArrayLike, seed: int = 0) -> dict[str, float | None]:
    """Return the family-wise p of each metric [n]; None for a metric without a rho.

    Performance [n] is shuffled once for all metrics, and each |rho| is compared with the largest |rho*| of the shuffle
    (Westfall and Young 1993, single-step max-T).
    """
    y = np.asarray(performance, float)
    orders, exact = resampling.orders_of_seed(len(y), seed)
    rhos, largest = {}, np.zeros(len(orders))
    for name, values in metrics.items():
        x = np.asarray(values, float)
        complete = ~(np.isnan(x) | np.isnan(y))
        if not resampling.undefined(x, y):
            rhos[name] = spearman(x[complete], y[complete])
            largest = np.maximum(largest, np.abs(resampling.permuted_rhos(x, y, orders)))
    return {name: resampling.two_sided_p(largest, rhos[name], exact) if name in rhos else None for name in metrics}


# --- several bases


def reweighted(metric: ArrayLike, performance: ArrayLike) -> Statistic:
    """Return Spearman's rho as a function of weights [draws, teachers] -> [draws]: how often each teacher occurs.

    Args:
        metric: [teachers], or [bases, teachers] for the rho over bases of `pooled`.
        performance: like metric.
    A teacher without a value has no weight.
    """
    x, y = np.asarray(metric, float), np.asarray(performance, float)
    complete = ~np.isnan(x) & ~np.isnan(y)
    if x.ndim == 1:
        signs_x, signs_y = resampling.signs(x), resampling.signs(y)
        return lambda weights: resampling.weighted_rho(signs_x, signs_y, weights * complete)
    bases = [(resampling.signs(a), resampling.signs(b), row) for a, b, row in zip(x, y, complete, strict=True)]
    return lambda weights: mean_rho([resampling.weighted_rho(a, b, weights * row) for a, b, row in bases], complete)


def mean_rho(rhos: Sequence[np.ndarray] | np.ndarray, complete: np.ndarray) -> np.ndarray:
    """Return tanh of the mean atanh of rhos, clipped as `pooled` states: bases of [draws], complete [bases, n] -> [draws]."""
    n = complete.sum(1, keepdims=True)
    limit = 1 - 6 / (n * (n**2 - 1))
    return np.tanh(np.arctanh(np.clip(rhos, -limit, limit)).mean(0))


def leave_one_out(metric: ArrayLike, performance: ArrayLike, families: Sequence[str | None]) -> dict[str, float]:
    """Return {family: rho without its units}.

    Args:
        metric, performance: [n] or [bases, n], see `reweighted`.
        families: [n]; None is no family.
    Left out: families without which fewer than 4 units have both values, or one side is constant.
    """
    x, y = np.array(metric, float, ndmin=2), np.array(performance, float, ndmin=2)
    complete = ~(np.isnan(x) | np.isnan(y))
    names = sorted({family for family in families if family is not None})
    others = {name: np.array([family != name for family in families]) for name in names}
    others = {name: rest for name, rest in others.items() if (rest & complete).sum(1).min() >= 4}
    if not others:
        return {}
    kept = np.array(list(others.values()), float)
    rhos = np.array([reweighted(a, b)(kept) for a, b in zip(x, y, strict=True)])  # [bases, families]
    pairs = zip(rhos.T, others.values(), strict=True)
    means = rhos[0] if np.ndim(metric) == 1 else [mean_rho(rho[:, None], complete & rest)[0] for rho, rest in pairs]
    return {name: float(rho) for name, rho in zip(others, means, strict=True) if not math.isnan(rho)}


@functools.lru_cache(maxsize=2)
def _pooled_draws(n: int, rounds: int, seed: int) -> tuple[np.ndarray, bool, np.ndarray]:
    """Return orders of n teachers, whether they are exact, and weights [rounds, n], for all metrics. Read only."""
    rng = np.random.default_rng(seed)
    orders, exact = resampling.draw_orders(n, PERMUTATIONS, rng)
    weights = resampling.resample(rounds, n, rng)
    for drawn in (orders, weights):
        drawn.setflags(write=False)
    return orders, exact, weights


def pooled(
    metric: ArrayLike,
    performance: ArrayLike,
    seed: int = 0,
    rounds: int = 2000,
    names: Sequence[str] | None = None,
) -> Pooled:
    """Return one metric over several bases: rho = tanh(mean over bases of atanh(rho_b)), from arrays [bases, teachers].

    Bases are fixed and share their teachers: permutation and bootstrap take the same teachers in every base, so n is
    teachers. The p is not that of a ranking borrowed from the other bases, which shuffling alike does not break: see
    `pooling.borrowed_p`. |rho_b| is clipped at 1 - 6 / (n_b (n_b^2 - 1)), half a step of Spearman's rho below 1, lest one perfect
    base decides alone. A base whose rho is undefined is left out; `reason` names it, by `names` or counting from 1.
    """
    x, y = np.array(metric, float, ndmin=2), np.array(performance, float, ndmin=2)
    complete = ~(np.isnan(x) | np.isnan(y))
    problems = [resampling.undefined(*base) for base in zip(x, y, strict=True)]
    rhos = [None if problems[b] else spearman(x[b, row], y[b, row]) for b, row in enumerate(complete)]
    names = names or [f"base {b + 1}" for b in range(len(x))]
    reasons = [f"{name}: {text}" for name, text in zip(names, problems, strict=True) if text]
    dropped, used = int((~complete).sum()), [b for b, text in enumerate(problems) if not text]
    if not used:
        return Pooled(n=0, rhos=rhos, dropped=dropped, reason="; ".join(reasons))
    cells = np.ix_(np.array(used), np.flatnonzero(complete[used].any(0)))
    x, y, complete = x[cells], y[cells], complete[cells]
    n, statistic = complete.shape[1], reweighted(x, y)
    rho = float(statistic(np.ones((1, n)))[0])
    orders, exact, weights = _pooled_draws(n, rounds, seed)
    null = mean_rho([resampling.permuted_rhos(a, b, orders) for a, b in zip(x, y, strict=True)], complete)
    p, bca = resampling.two_sided_p(null, rho, exact), resampling.bca_of_draws(statistic, n, statistic(weights))
    counts = complete.sum(1).tolist()
    uneven = [f"n: {', '.join(map(str, counts))} teachers on the bases"] if len(set(counts)) > 1 else []
    reason = "; ".join(reasons + uneven + [NO_INTERVAL] * (bca is None)) or None
    used_rhos = [value for value in rhos if value is not None]
    return Pooled(rho, min(counts), p, exact, bca, min(used_rhos), max(used_rhos), rhos, dropped, reason)
