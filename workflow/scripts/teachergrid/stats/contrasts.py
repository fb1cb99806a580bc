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
ALL, WITHOUT_ONE = "all", "without one"  # units; of the jackknife


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
        self.weights |= {ALL: np.ones((1, len(names))), WITHOUT_ONE: 1 - np.eye(len(names))}
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
        own = [_masked(self.metrics[name][used], mask) for name in names]
        y = _masked(y[used], mask)
        drawn = {over: self._rhos(over, own[0], y) - self._rhos(over, own[1], y) for over in self.weights}
        first_ranks, second_ranks, y_ranks = (_ranks(values) for values in (*own, y))
        value = float(drawn[ALL][0])
        result = Contrast(
            difference=value,
            interval=resampling.bca(value, drawn[UNITS], drawn[WITHOUT_ONE]),
            p=_swap_p(first_ranks, second_ranks, y_ranks, np.arange(mask.shape[1]), self.seed),
            n=int(mask.sum(1).min()),
        )
        if FAMILIES not in drawn:
            return result
        defined = drawn[FAMILIES][~np.isnan(drawn[FAMILIES])]
        return result._replace(
            of_families=resampling.percentiles(defined) if len(defined) > len(drawn[FAMILIES]) / 2 else None,
            p_family=_swap_p(first_ranks, second_ranks, y_ranks, self.groups, self.seed),
        )

    def _rhos(self, over: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the rhos of a metric over draws, made once for equal arrays x and y [bases, n]."""
        key = over, x.tobytes(), y.tobytes()
        if key not in self._draws:
            self._draws[key] = rank.reweighted(x, y)(self.weights[over])
        return self._draws[key]


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


class _Residuals(NamedTuple):
    """What is left of ranks that have been regressed on what is held fixed, on the bases where all have values."""

    n: int  # units, on the base that has the fewest
    x: np.ndarray  # of the metric: [bases, n], each of length 1, or 0
    y: np.ndarray  # of performance
    spans: np.ndarray  # [bases, n, columns], orthonormal or 0, of what is held fixed and the constant

    @property
    def shared(self) -> tuple[bytes, bytes]:
        """Return what is equal for metrics whose performance and what is held fixed are."""
        return self.y.tobytes(), self.spans.tobytes()


def partials(
    metrics: Sequence[ArrayLike], performance: ArrayLike, fixed: Sequence[ArrayLike], seed: int = 0
) -> list[Partial]:
    """Return the partial Spearman correlation of each metric with performance, with other metrics held fixed.

    The ranks of both are regressed on the ranks and the values of `fixed`, and what is left over is correlated. Ranks alone would not
    hold fixed what comes in clusters, as lengths do where some teachers think aloud: two teachers side by side may be far
    apart. p: the residuals of performance are shuffled (Freedman and Lane 1983), the same way in all bases. The interval is that
    of Bonett and Wright with two units fewer for each metric held fixed; over bases there is none.

    Args:
        metrics: each [n], or [bases, n] for the mean over bases of atanh(rho), as in `rank.pooled`. performance, and each of fixed: alike,
            these on a scale where equal steps may count alike (logarithms of lengths).
    """
    others = [np.array(values, float, ndmin=2) for values in (performance, *fixed)]
    found: list[Partial | _Residuals] = [_residuals(np.array(one, float, ndmin=2), *others) for one in metrics]
    together: dict[tuple, list[int]] = {}
    for i, one in enumerate(found):
        if isinstance(one, _Residuals):
            together.setdefault(one.shared, []).append(i)
    for places in together.values():
        group = [one for one in (found[i] for i in places) if isinstance(one, _Residuals)]
        x, (_, _, y, spans) = np.stack([one.x for one in group], axis=1), group[0]
        orders, exact = resampling.orders_of_seed(y.shape[1], seed)
        rhos, null = (_mean_products(x, y, spans, order) for order in (np.arange(y.shape[1])[None], orders))
        for i, one, rho, drawn in zip(places, group, rhos[0].tolist(), null.T, strict=True):
            interval = rank.bonett_wright(rho, one.n - 2 * len(fixed)) if len(y) == 1 else None
            found[i] = Partial(rho, interval, resampling.two_sided_p(drawn, rho, exact), one.n)
    return [one for one in found if isinstance(one, Partial)]


def _residuals(*sides: np.ndarray) -> Partial | _Residuals:
    """Return the residuals, or why there are none. sides: metric, performance and what is held fixed, each [bases, n]."""
    complete, fixed = ~np.isnan(np.array(sides)).any(axis=0), len(sides) - 2
    least = 4 + 2 * fixed
    used = [b for b, row in enumerate(complete) if row.sum() >= least and all(_varies(v[b], row) for v in sides)]
    n = int(complete[used].sum(1).min()) if used else int(complete.sum(1).max(initial=0))
    if not used:
        return Partial(n=n, reason=f"fewer than {least} teachers have all of these, or all are equal")
    x, y = np.zeros((2, len(used), complete.shape[1]))
    spans = np.zeros((len(used), complete.shape[1], 1 + 2 * fixed))
    for i, base in enumerate(used):
        row = complete[base]
        values = np.array([side[base][row] for side in sides])
        ranks = resampling.signs(values).sum(-1)
        span = _span(np.concatenate([ranks[2:], values[2:]]))
        spans[i, row, : span.shape[1]] = span
        for target, own in ((x, ranks[0]), (y, ranks[1])):
            left = own - span @ (span.T @ own)
            target[i, row] = left / norm if (norm := math.sqrt(float(left @ left))) > 1e-6 * len(own) else 0.0
    if not (np.abs(x).sum(1) * np.abs(y).sum(1)).all():
        return Partial(n=n, reason="those that are held fixed explain all of it")
    return _Residuals(n, x, y, spans)


def _span(rows: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis [n, columns] of the constant and of rows [k, n], of which some may follow from others."""
    centred = rows - rows.mean(1, keepdims=True)
    known = np.vstack([np.ones(rows.shape[1]), centred])
    left, sizes, _ = np.linalg.svd((known / np.linalg.norm(known, axis=1, keepdims=True)).T, full_matrices=False)
    return left[:, sizes > 1e-6]


def _mean_products(x: np.ndarray, y: np.ndarray, spans: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Return tanh of the mean atanh of correlations of x [bases, metrics, n] and shuffled y [bases, n], all of length 1: [draws, metrics].

    Shuffled residuals are no longer free of what is held fixed (spans [bases, n, columns]): that part is taken out again, without which p
    would be too small.
    """
    total = np.zeros((len(orders), x.shape[1]))
    for a, b, span in zip(x, y, spans, strict=True):
        shuffled = b[orders]
        left = np.sqrt(np.maximum(resampling.TIE, 1 - ((shuffled @ span) ** 2).sum(1, keepdims=True)))
        total += np.arctanh(np.clip(shuffled @ a.T / left, -0.999, 0.999))
    return np.tanh(total / len(x))
