"""Do bases agree on their teachers, and are two teachers as good as each other?

Tables are [bases, units] of performance; draws are of the same under other items and seeds. A test that finds no difference
shows no equality; `equivalent` tests for that. What cannot be computed is None.
"""

from typing import NamedTuple

import numpy as np

from . import resampling
from .pooling import mid_ranks
from .resampling import PERMUTATIONS, TIE, Interval


class Agreement(NamedTuple):
    """How alike bases rank the same units."""

    w: float | None = None  # Kendall: 0 no agreement, 1 the same order everywhere
    p: float | None = None  # of no agreement
    bases: int = 0
    n: int = 0  # units that all bases have
    reason: str | None = None


class Interaction(NamedTuple):
    """Whether some units are better on one base than on others, beyond what noise makes."""

    share: float | None = None  # of the variance of true performance within bases, 0 .. 1
    p: float | None = None
    reason: str | None = None


class OneForAll(NamedTuple):
    """The unit that is best over all bases, and what it costs to take it everywhere."""

    unit: int  # index
    by_z: int  # the best by the mean of z-scores
    by_rank: int  # the best by the mean rank
    regret: float  # mean over bases of the distance from each base's truly best, from draws of true means
    interval: Interval
    own_regret: float  # the same for taking on each base the one that looks best there


def kendall_w(table: np.ndarray, seed: int = 0, permutations: int = PERMUTATIONS) -> Agreement:
    """Return Kendall's coefficient of concordance of bases over units, with ties corrected.

    W = variance of the units' rank sums over the largest possible one (Kendall and Smith 1939). p: every base is shuffled by
    itself, one-sided.
    """
    y = table[:, ~np.isnan(table).any(0)]
    bases, n = y.shape
    if bases < 2 or n < 3:
        return Agreement(
            bases=bases, n=n, reason="one base only" if bases < 2 else "fewer than 3 units that all bases have"
        )
    ranks = mid_ranks(np.round(y, 9)) - (n - 1) / 2
    largest = bases * float((ranks**2).sum())
    if largest <= 0 or not (np.ptp(ranks, axis=1) > 0).all():
        return Agreement(bases=bases, n=n, reason="all units are equal on a base")
    w = float((ranks.sum(0) ** 2).sum()) / largest
    rng = np.random.default_rng([seed, 9])
    null = np.concatenate(
        [
            (rng.permuted(np.tile(ranks, (size, 1, 1)), axis=-1).sum(1) ** 2).sum(1) / largest
            for size in resampling.blocks(permutations, ranks.size)
        ]
    )
    return Agreement(w, float(((null >= w - TIE).sum() + 1) / (len(null) + 1)), bases, n)


def interaction(table: np.ndarray, draws: np.ndarray) -> Interaction:
    """Return how much of the differences between units depends on the base, with a test against noise of items and seeds.

    The sum of squares of base x unit is compared with the one of draws around their own mean, in which no unit is better on any
    base. p is two-sided in the units and one-sided in the squares.

    Args:
        table: [bases, units]. draws: [bases, rounds, units]; items drawn alike in all bases, where they share them.
    """
    complete = ~np.isnan(table).any(0)
    y = table[:, complete]
    if len(y) < 2 or y.shape[1] < 3:
        return Interaction(reason="one base only" if len(y) < 2 else "fewer than 3 units that all bases have")
    noise = draws[:, :, complete] - draws[:, :, complete].mean(1, keepdims=True)
    null, seen = _squares(noise.swapaxes(0, 1)), float(_squares(y[None])[0])
    centred = y - y.mean(1, keepdims=True)
    centred_noise = noise - noise.mean(2, keepdims=True)
    true = max(0.0, float((centred**2).sum()) - float((centred_noise**2).sum((0, 2)).mean()))
    share = min(1.0, max(0.0, seen - float(null.mean())) / true) if true > 0 else None
    return Interaction(share, float(((null >= seen - TIE).sum() + 1) / (len(null) + 1)))


def _squares(tables: np.ndarray) -> np.ndarray:
    """Return the sum of squares of rows x columns of tables [..., bases, units]."""
    left = tables - tables.mean(-1, keepdims=True)
    left = left - left.mean(-2, keepdims=True)
    return (left**2).sum((-2, -1))


def one_for_all(table: np.ndarray, truths: np.ndarray) -> OneForAll | None:
    """Return the unit with the best mean over bases, and what taking it everywhere costs; None below 2 bases or units.

    Args:
        table: [bases, units] without gaps. truths: draws of the true means, up to a constant for each base
            [bases, rounds, units], see `variance.shrunk`.
    """
    if min(table.shape) < 2:
        return None
    over = np.round(table.mean(0), 9)
    unit, by_rank = int(over.argmax()), int(mid_ranks(np.round(table, 9)).mean(0).argmax())
    spread = table.std(1, keepdims=True)
    by_z = int(np.round(((table - table.mean(1, keepdims=True)) / np.where(spread > 0, spread, 1)).mean(0), 9).argmax())
    best = truths.max(2)
    regrets = (best - truths[:, :, unit]).mean(0)
    own = np.stack([rows[:, row.argmax()] for rows, row in zip(truths, table, strict=True)])
    return OneForAll(
        unit, by_z, by_rank, float(regrets.mean()), resampling.percentiles(regrets), float((best - own).mean())
    )


# --- equality


class Equivalence(NamedTuple):
    """Two one-sided tests (Schuirmann 1987): is the difference of two units smaller than what matters?"""

    difference: float
    interval: Interval  # 90 %: equivalent at the 5 % level if it lies within the limits
    p: float  # the larger one of the two tests
    equivalent: bool


def equivalent(difference: float, draws: np.ndarray, limit: float) -> Equivalence:
    """Return whether a difference is shown to lie within -limit .. limit.

    Args:
        difference: as measured. draws: of it [rounds], under other items and seeds. limit: smallest difference of interest, above 0.
    """
    low, high = (float(end) for end in np.quantile(draws, [0.05, 0.95]))
    above, below = ((draws >= limit).sum() + 1, (draws <= -limit).sum() + 1)
    p = float(max(above, below) / (len(draws) + 1))
    return Equivalence(difference, (low, high), p, -limit < low and high < limit)
