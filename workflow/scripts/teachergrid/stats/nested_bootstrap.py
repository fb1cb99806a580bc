"""Nested bootstrap: intervals of a metric's quality over other teachers, other items and other training seeds at once.

Units are teachers. `performance_draws` draws performance under other items and seeds; `teacher_weights` draws how often
each teacher occurs. An interval over all three is wider than one over teachers alone. It is conservative: measured
performance already contains the noise of its items and seeds, and each draw adds it once more. The bias correction of
BCa removes most of that (simulation: tests/stats/test_nested_bootstrap.py). The noise of the metric is left out: a mean over very
many responses has little.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import pooling, rank, resampling
from .pooling import Ranking
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
    return resampling.weights_of_seed(rounds, n, seed, 1)


class DrawnRanks:
    """How performance ranks the teachers of a base in each round, where they occur as often as weights say; made once for all metrics."""

    def __init__(self, draws: np.ndarray, weights: np.ndarray) -> None:
        """Take performance and weights, both [rounds, n]; see `performance_draws` and `teacher_weights`."""
        self.found, self.weights = pooling.ranking(draws), weights
        self._made: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

    def of(self, complete: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how often teachers occur, and `weighted_ranks` of them, both [rounds, n]. complete [n]: the others never occur."""
        key = complete.tobytes()
        if key not in self._made:
            occurs = self.weights * complete
            # the last ones alone are kept: they are large, and most metrics have a value of every teacher
            self._made = {key: (occurs, weighted_ranks(self.found, occurs))}
        return self._made[key]


def weighted_ranks(found: Ranking, weights: np.ndarray) -> np.ndarray:
    """Return mid-ranks, centred and doubled, where units occur as often as weights [rounds, n] say: [rounds, n].

    As the weighted row sums of `resampling.signs`: how many are lower, minus how many are higher.
    """
    counts = np.zeros((len(weights), weights.shape[1] + 1))
    np.cumsum(np.take_along_axis(weights, found.order, axis=1), axis=1, out=counts[:, 1:])
    lower, upto = (np.take_along_axis(counts, places, axis=1) for places in (found.lower, found.upto))
    return lower + upto - counts[:, -1:]


def nested_rho(metric: ArrayLike, performance: ArrayLike, drawn: Sequence[DrawnRanks]) -> Interval | None:
    """Return the BCa interval of Spearman's rho over teachers, items and seeds; None where it is undefined.

    Args:
        metric, performance: [n]; or [bases, n] for the rho over bases of `rank.pooled`. NaN is missing.
        drawn: of each base; all with the same weights.
    """
    x, y = np.asarray(metric, float), np.asarray(performance, float)
    rows = np.atleast_2d(x)
    complete = ~np.isnan(rows) & ~np.isnan(np.atleast_2d(y))
    rhos = []
    for of_base, has_both, ranks in zip(rows, complete, drawn, strict=True):
        occurs, ranks_y = ranks.of(has_both)
        ranks_x = resampling.weighted_sums(resampling.signs(of_base), occurs)
        rhos.append(resampling.rho_of_ranks(ranks_x, ranks_y, occurs))
    of_all = rhos[0] if x.ndim == 1 else rank.mean_rho(rhos, complete)
    return resampling.bca_of_draws(rank.reweighted(x, y), drawn[0].weights.shape[1], of_all)


def nested_intervals(
    metrics: Sequence[ArrayLike], performance: ArrayLike, draws: np.ndarray, seed: int = 0
) -> list[NestedIntervals]:
    """Return for each metric the intervals of rho, pairwise accuracy and regret; all None where its rho is undefined.

    Ties in a metric are broken at random in each draw.

    Args:
        metrics: each [n]. performance: [n]. NaN is missing.
        draws: performance [rounds, n], see `performance_draws`.
    """
    y = np.asarray(performance, float)
    used = ~np.isnan(y)
    x = np.array(metrics, float).reshape(-1, len(y))
    defined = [not resampling.undefined(values, y) for values in x]
    if not any(defined):
        return [NestedIntervals() for _ in x]
    x, y, draws = x[:, used], y[used], draws[:, used]
    weights = teacher_weights(len(y), len(draws), seed)
    drawn = DrawnRanks(draws, weights)
    shares = iter(accuracies(x[defined], draws, weights))
    intervals = []
    for values, is_defined in zip(x, defined, strict=True):
        if not is_defined:
            intervals.append(NestedIntervals())
            continue
        rng = np.random.default_rng([seed, 2])
        regret_1, regret_3 = (_percentiles(drawn_regret(values, draws, weights, k, rng)) for k in (1, 3))
        rho = nested_rho(values, y, [drawn])
        intervals.append(NestedIntervals(rho, _percentiles(next(shares)), regret_1, regret_3))
    return intervals


def accuracies(x: np.ndarray, draws: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the share of pairs that metrics and performance order alike, in each round.

    A tie in a metric counts half; a tie in performance is no pair.

    Args:
        x: [metrics, n]. draws: performance [rounds, n]. weights: [rounds, n], how often each unit occurs.
    Returns: [metrics, rounds]; NaN where no pair differs in performance.
    """
    y, times = np.ascontiguousarray(draws.T), np.ascontiguousarray(weights.T)
    has_metric = (~np.isnan(x)).astype(float)
    alike, total = np.zeros((2, len(x), len(draws)))
    for i in range(len(y) - 1):  # one unit with all that follow
        pairs = np.sign(y[i + 1 :] - y[i]) * times[i + 1 :] * times[i]
        alike += np.nan_to_num(np.sign(x[:, i + 1 :] - x[:, i : i + 1])) @ pairs
        total += (has_metric[:, i + 1 :] * has_metric[:, i : i + 1]) @ np.abs(pairs)
    return np.where(total > 0, (1 + alike / np.where(total > 0, total, 1)) / 2, np.nan)


def drawn_regret(x: np.ndarray, y: np.ndarray, weights: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return the best y among the units that occur, minus the best y among the k of them with the highest x.

    Ties in x are broken at random. A unit without x cannot be picked; one without y does not count.

    Args:
        x: [n]. y: [draws, n], in any unit. weights: [draws, n], how often each unit occurs.
    Returns: [draws], in the unit of y; NaN where no unit can be picked.
    """
    occurs, rounds = (weights > 0) & ~np.isnan(y), np.arange(len(y))
    value = np.where(occurs, y, -np.inf)
    # less than 1 is taken from ranks that are whole numbers
    left = np.where(occurs & ~np.isnan(x), np.unique(x, return_inverse=True)[1] - rng.random(y.shape), -np.inf)
    picked = np.full(len(y), -np.inf)
    for _ in range(k):
        first = left.argmax(1)
        picked = np.maximum(picked, np.where(left[rounds, first] > -np.inf, value[rounds, first], -np.inf))
        left[rounds, first] = -np.inf
    return np.where(np.isfinite(picked), value.max(1) - np.where(np.isfinite(picked), picked, 0), np.nan)


def _percentiles(draws: np.ndarray) -> Interval | None:
    """Return the middle 95 % of the draws that are defined; None where most are not."""
    defined = draws[~np.isnan(draws)]
    return resampling.percentiles(defined) if len(defined) > len(draws) / 2 else None
