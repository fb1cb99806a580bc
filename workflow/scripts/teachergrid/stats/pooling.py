"""Tests of metrics over several bases that share their teachers, beyond `rank.pooled`: the ranking that is borrowed from the
other bases, and many metrics at once.

Arrays are [bases, teachers]; NaN is missing.
"""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import rank, resampling
from .resampling import PERMUTATIONS


class Ranking(NamedTuple):
    """How values rank n units; ties share a place. Each [..., n]."""

    order: np.ndarray  # the units from the lowest to the highest
    lower: np.ndarray  # how many are lower than this one
    upto: np.ndarray  # how many are not higher


def ranking(x: np.ndarray) -> Ranking:
    """Return how values x [..., n] rank along their last axis; NaN comes last."""
    order = np.argsort(x, axis=-1)
    values, places = np.take_along_axis(x, order, axis=-1), np.arange(x.shape[-1])
    differs, edge = values[..., 1:] != values[..., :-1], np.ones((*x.shape[:-1], 1), bool)
    begins, ends = np.concatenate([edge, differs], axis=-1), np.concatenate([differs, edge], axis=-1)
    first = np.maximum.accumulate(np.where(begins, places, 0), axis=-1)
    last = np.minimum.accumulate(np.where(ends, places, len(places))[..., ::-1], axis=-1)[..., ::-1]
    found = Ranking(order, np.empty_like(order), np.empty_like(order))
    np.put_along_axis(found.lower, order, first, axis=-1)
    np.put_along_axis(found.upto, order, last + 1, axis=-1)
    return found


def mid_ranks(x: np.ndarray) -> np.ndarray:
    """Return the ranks of x [..., n] along its last axis, from 0; ties share the mean of their ranks."""
    found = ranking(np.asarray(x))
    return (found.lower + found.upto - 1) / 2


def borrowed_rho(performance: np.ndarray, ranks: np.ndarray | None = None) -> np.ndarray:
    """Return the pooled rho of each base's performance with its mean on the other bases: [draws, bases, n] -> [draws].

    As `rank.pooled`: tanh of the mean atanh, clipped half a step below 1. performance has no gaps. ranks: its mid-ranks, where
    they are known.
    """
    bases, n = performance.shape[-2:]
    # equal means must stay equal: sums in another order may differ in their last bit
    borrowed = np.round((performance.sum(-2, keepdims=True) - performance) / (bases - 1), 9)
    x, y = (
        values - (n - 1) / 2 for values in (mid_ranks(borrowed), mid_ranks(performance) if ranks is None else ranks)
    )
    spread = np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    rhos = np.where(spread > 0, (x * y).sum(-1) / np.where(spread > 0, spread, 1), 0)
    complete = np.ones((bases, n), bool)
    return rank.mean_rho(list(np.moveaxis(rhos, -1, 0)), complete)


def borrowed_null(performance: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Return the pooled rho of the borrowed ranking if each base ranked the teachers independently of the others: [draws].

    Every base is shuffled by itself, and the ranking is borrowed anew. To shuffle all bases alike would keep what they agree
    in, and with it the rho that is tested.
    """
    return _null_of(performance.tobytes(), performance.shape, draws, seed)


@functools.lru_cache(maxsize=2)
def _null_of(performance: bytes, shape: tuple[int, int], draws: int, seed: int) -> np.ndarray:
    """Return what `borrowed_null` says, which `borrowed_p` and `max_t` both ask."""
    y, rng, rhos = np.frombuffer(performance).reshape(shape), np.random.default_rng([seed, 4]), []
    ranks = mid_ranks(y)
    for size in resampling.blocks(draws, y.size):
        orders = rng.permuted(np.tile(np.arange(shape[1]), (size, shape[0], 1)), axis=-1)
        rhos.append(borrowed_rho(*(np.take_along_axis(values[None], orders, axis=-1) for values in (y, ranks))))
    return np.concatenate(rhos)


def borrowed_p(performance: ArrayLike, seed: int = 0, permutations: int = PERMUTATIONS) -> float | None:
    """Return the two-sided p of the pooled rho of the borrowed ranking, over the teachers that all bases have.

    None with one base, or below 4 such teachers. With two bases both rhos are the same number, and this p is that of
    one base up to the random draws.
    """
    y = np.asarray(performance, float)
    y = y[:, ~np.isnan(y).any(0)]
    if len(y) < 2 or y.shape[1] < 4:
        return None
    null = borrowed_null(y, permutations, seed)
    return resampling.two_sided_p(null, float(borrowed_rho(y[None])[0]), exact=False)


def max_t(
    metrics: Mapping[str, np.ndarray], performance: ArrayLike, borrowed: frozenset[str] = frozenset(), seed: int = 0
) -> dict[str, float | None]:
    """Return the family-wise p of the pooled rho of each metric [bases, teachers]; None for a metric without one.

    As `rank.max_t`: the teachers are shuffled once for all metrics, alike in all bases.

    Args:
        borrowed: the metrics that are borrowed from the other bases. Their draws are those of `borrowed_null`, next to those
            of the others; as if they were independent of them, which makes p too large rather than too small.
    """
    y = np.asarray(performance, float)
    orders, exact = resampling.orders_of_seed(y.shape[1], seed)
    rhos, largest = {}, np.zeros(len(orders))
    for name, values in metrics.items():
        x = np.asarray(values, float)
        used = [b for b in range(len(y)) if not resampling.undefined(x[b], y[b])]
        if not used:
            continue
        rhos[name] = float(rank.reweighted(x[used], y[used])(np.ones((1, y.shape[1])))[0])
        if name in borrowed:
            complete = y[:, ~np.isnan(y).any(0)]
            null = borrowed_null(complete, len(orders), seed)
            exact = False
        else:
            have_both = ~(np.isnan(x[used]) | np.isnan(y[used]))
            null = rank.mean_rho([resampling.permuted_rhos(x[b], y[b], orders) for b in used], have_both)
        largest = np.maximum(largest, np.abs(null))
    return {name: resampling.two_sided_p(largest, rhos[name], exact) if name in rhos else None for name in metrics}
