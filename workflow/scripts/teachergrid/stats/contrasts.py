"""One metric against another: how much better does it rank the teachers, and what is left of it once others are held fixed.

Two metrics are compared over the same teachers, the same bases and the same draws, since both their correlations rest on the
same performance. Units are teachers. Arrays are [n], or [bases, n] for a value over bases as in `rank.pooled`; NaN is missing, and
higher values of a metric promise a better student. Intervals are 95 %.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import rank, resampling
from .resampling import Interval

EXACT_SWAPS = 12  # 2^12 ways to swap two metrics take a millisecond
SWAPS = 1999  # random ones, of more units
NEARLY_1 = 0.98  # atanh has no limit, and one perfect base must not decide alone
UNITS, FAMILIES = "units", "families"  # what a draw is over


class Contrast(NamedTuple):
    """The rho of one metric minus that of another, over the units that have both."""

    difference: float | None = None
    interval: Interval | None = None  # over units
    p: float | None = None  # two-sided
    n: int = 0  # units, on the base that has the fewest
    of_families: Interval | None = None  # with families redrawn; None where every unit is a family of its own
    p_family: float | None = None  # with whole families swapped
    reason: str | None = None


class Contrasts:
    """All metrics of a table, any two of which can be compared over the same draws, which are made once."""

    def __init__(
        self,
        metrics: Mapping[str, np.ndarray],
        performance: ArrayLike,
        families: Sequence[str | None],
        rounds: int = 2000,
        seed: int = 0,
    ) -> None:
        """Take metrics {name: [n] or [bases, n]}, performance alike, and the family of each unit (None: one of its own)."""
        self.metrics = {name: np.array(values, float, ndmin=2) for name, values in metrics.items()}
        self.performance, self.seed = np.array(performance, float, ndmin=2), seed
        names = [family if family is not None else i for i, family in enumerate(families)]
        order = list(dict.fromkeys(names))
        self.groups = np.array([order.index(name) for name in names], int)
        self.weights = {UNITS: resampling.resample(rounds, len(names), np.random.default_rng([seed, 6]))}
        if 4 <= len(order) < len(names):
            drawn = resampling.resample(rounds, len(order), np.random.default_rng([seed, 7]))
            self.weights[FAMILIES] = drawn[:, self.groups]
        self._draws: dict[tuple, np.ndarray] = {}

    def difference(self, first: str, second: str) -> Contrast:
        """Return the rho of the first metric minus that of the second.

        The interval is a BCa bootstrap over units. p is that of swapping the ranks of the two metrics at random units: it is
        exact where both are equally good and equally noisy.
        """
        names, y = (first, second), self.performance
        complete = ~np.isnan(y)
        for name in names:
            complete = complete & ~np.isnan(self.metrics[name])
        sides = [y, *(self.metrics[name] for name in names)]
        used = [b for b, row in enumerate(complete) if all(_varies(values[b], row) for values in sides)]
        if not used:
            return Contrast(
                n=int(complete.sum(1).max(initial=0)), reason="fewer than 4 teachers have both, or all are equal"
            )
        mask = complete[used]
        own, n = [_masked(self.metrics[name][used], mask) for name in names], mask.shape[1]
        y = _masked(y[used], mask)
        statistics = [rank.reweighted(x, y) for x in own]

        def difference(weights: np.ndarray) -> np.ndarray:
            return statistics[0](weights) - statistics[1](weights)

        drawn = {}
        for over, weights in self.weights.items():
            keys = [(name, over, tuple(used), mask.tobytes()) for name in names]
            for key, statistic in zip(keys, statistics, strict=True):
                if key not in self._draws:
                    self._draws[key] = statistic(weights)
            drawn[over] = self._draws[keys[0]] - self._draws[keys[1]]
        first_ranks, second_ranks, y_ranks = (_ranks(values) for values in (*own, y))
        result = Contrast(
            difference=float(difference(np.ones((1, n)))[0]),
            interval=resampling.bca_of_draws(difference, n, drawn[UNITS]),
            p=_swap_p(first_ranks, second_ranks, y_ranks, np.arange(n), self.seed),
            n=int(mask.sum(1).min()),
        )
        if FAMILIES not in drawn:
            return result
        defined = drawn[FAMILIES][~np.isnan(drawn[FAMILIES])]
        return result._replace(
            of_families=resampling.percentiles(defined) if len(defined) > len(drawn[FAMILIES]) / 2 else None,
            p_family=_swap_p(first_ranks, second_ranks, y_ranks, self.groups, self.seed),
        )


def _varies(values: np.ndarray, complete: np.ndarray) -> bool:
    """Return whether a side of one base [n] has 4 values or more that are not all equal."""
    chosen = values[complete]
    return len(chosen) >= 4 and bool(np.isfinite(chosen).all()) and bool(np.ptp(chosen) > 0)


def _masked(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.where(mask, values, np.nan)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return centred mid-ranks [bases, n]; 0 where missing."""
    return resampling.signs(values).sum(-1)


@functools.lru_cache(maxsize=4)
def _signs(n: int, seed: int) -> tuple[np.ndarray, bool]:
    """Return which of n things keep their metrics (1) and which swap them (-1), [draws, n], and whether these are all ways."""
    if n <= EXACT_SWAPS:
        return 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1), True
    return 1.0 - 2.0 * np.random.default_rng([seed, 8]).integers(0, 2, (SWAPS, n)), False


def _swap_p(first: np.ndarray, second: np.ndarray, performance: np.ndarray, groups: np.ndarray, seed: int) -> float:
    """Return the two-sided p of the difference of two metrics, against swapping their ranks in random groups of units.

    Args:
        first, second, performance: centred ranks [bases, n]; 0 where missing. groups: [n], units that swap together.
    """
    drawn, exact = _signs(int(groups.max()) + 1, seed)
    signs = np.concatenate([np.ones((1, drawn.shape[1])), drawn])[:, groups]
    total = np.zeros(len(signs))
    for x, z, y in zip(first, second, performance, strict=True):
        n, size = np.count_nonzero(y), math.sqrt(float(y @ y))
        # with s the signs, the metrics are m + s d and m - s d
        m, d = (x + z) / 2, (x - z) / 2
        along, across = float(m @ y), signs @ (d * y)
        squares, turned, mean = float(m @ m + d @ d), 2 * (signs @ (m * d)), signs @ d / n
        for way in (1, -1):
            length = np.sqrt(np.maximum(squares + way * turned - n * mean**2, resampling.TIE))
            total += way * np.arctanh(np.clip((along + way * across) / (length * size), -NEARLY_1, NEARLY_1))
    return resampling.two_sided_p(total[1:], float(total[0]), exact)


# --- others held fixed


class Partial(NamedTuple):
    """A rank correlation with performance at equal values of other metrics."""

    rho: float | None = None
    interval: Interval | None = None
    p: float | None = None  # two-sided
    n: int = 0
    reason: str | None = None


def partial(metric: ArrayLike, performance: ArrayLike, fixed: Sequence[ArrayLike], seed: int = 0) -> Partial:
    """Return the partial Spearman correlation of a metric with performance, with other metrics held fixed.

    The ranks of both are regressed on the ranks of `fixed`, and what is left over is correlated. p: the residuals of
    performance are shuffled (Freedman and Lane 1983), the same way in all bases. The interval is that of Bonett and Wright with one
    unit fewer for each metric held fixed; over bases there is none.

    Args:
        metric, performance, and each of fixed: [n], or [bases, n] for the mean over bases of atanh(rho), as in `rank.pooled`.
    """
    sides = [np.array(values, float, ndmin=2) for values in (metric, performance, *fixed)]
    complete = ~np.isnan(np.array(sides)).any(axis=0)
    least = 4 + len(fixed)
    used = [b for b, row in enumerate(complete) if row.sum() >= least and all(_varies(v[b], row) for v in sides)]
    n = int(complete[used].sum(1).min()) if used else int(complete.sum(1).max(initial=0))
    nothing = Partial(n=n, reason=f"fewer than {least} teachers have all of these, or all are equal")
    if not used:
        return nothing
    x, y = np.zeros((2, len(used), complete.shape[1]))
    spans = np.zeros((len(used), complete.shape[1], 1 + len(fixed)))  # orthonormal columns that span what is held fixed
    for i, base in enumerate(used):
        row = complete[base]
        ranks = [resampling.signs(values[base][row]).sum(1) for values in sides]
        known = np.column_stack([np.ones(int(row.sum())), *ranks[2:]])
        spans[i, row] = np.linalg.qr(known)[0]
        for target, own in ((x, ranks[0]), (y, ranks[1])):
            left = own - known @ np.linalg.lstsq(known, own, rcond=None)[0]
            target[i, row] = left / norm if (norm := math.sqrt(float(left @ left))) > 1e-6 * len(own) else 0.0
    if not (np.abs(x).sum(1) * np.abs(y).sum(1)).all():
        return nothing._replace(reason="those that are held fixed explain all of it")
    orders, exact = resampling.orders_of_seed(x.shape[1], seed)
    straight = np.arange(x.shape[1])[None]
    rho, null = (_mean_product(x, y, spans, order) for order in (straight, orders))
    value = float(rho[0])
    interval = rank.bonett_wright(value, n - len(fixed)) if len(used) == 1 else None
    return Partial(value, interval, resampling.two_sided_p(null, value, exact), n)


def _mean_product(x: np.ndarray, y: np.ndarray, spans: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Return tanh of the mean atanh of the correlations of x and shuffled y, both [bases, n] of length 1: [draws].

    Shuffled residuals are no longer free of what is held fixed (spans [bases, n, columns]): that part is taken out again, without which p
    would be too small.
    """
    products = []
    for a, b, span in zip(x, y, spans, strict=True):
        shuffled = b[orders]
        left = np.sqrt(np.maximum(resampling.TIE, 1 - ((shuffled @ span) ** 2).sum(1)))
        products.append(np.clip(shuffled @ a / left, -0.999, 0.999))
    return np.tanh(np.arctanh(products).mean(0))
