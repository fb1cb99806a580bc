"""Teachers by family: is the bigger sibling the better teacher, and does a base gain more from its own family?

Units are teachers. A family is a series of models by one vendor; siblings are its members of different sizes. Kin of a
base are teachers related to it. Performance and draws are in points of AP; what cannot be computed is None.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import rank, resampling
from .resampling import PERMUTATIONS, Interval


class Step(NamedTuple):
    """Performance of the larger sibling minus that of the next smaller one."""

    difference: float
    interval: Interval
    p: float  # two-sided


class Rises(NamedTuple):
    """In how many steps the bigger sibling is better."""

    rises: float  # a tie counts half
    steps: int
    p: float | None = None  # two-sided, exact


class Kinship(NamedTuple):
    """How much better bases learn from their kin than from other teachers."""

    mean: float | None = None  # how much better the cells of kin are than the same teachers on the other bases, in sd
    p: float | None = None  # two-sided
    cells: int = 0  # pairs of a base and a teacher that are kin
    reason: str | None = None


# --- siblings

SiblingStep = tuple[str, list[int], list[int]]  # family, units of one size, units of the next larger size


def siblings(families: Sequence[str | None], sizes: Sequence[float | None]) -> list[SiblingStep]:
    """Return the steps between successive sizes within each family; units of equal size form one group.

    families and sizes [n]; a unit where either is None takes part in no step.
    Example: siblings(["a", "a", "b"], [7, 1, 3]) is [("a", [1], [0])].
    """
    by_family: dict[str, dict[float, list[int]]] = {}
    for i, (family, size) in enumerate(zip(families, sizes, strict=True)):
        if family is not None and size is not None:
            by_family.setdefault(family, {}).setdefault(size, []).append(i)
    steps = []
    for family, by_size in by_family.items():
        groups = [units for _, units in sorted(by_size.items())]
        steps += [(family, smaller, larger) for smaller, larger in pairwise(groups)]
    return steps


def step(smaller: list[int], larger: list[int], performance: np.ndarray, draws: np.ndarray, n: int) -> Step:
    """Return the performance of the larger sibling minus that of the smaller; several units of one size by their mean.

    Args:
        smaller, larger: indices of units.
        performance: [units].
        draws: [rounds, units], see `nested_bootstrap.performance_draws`; p and interval come from paired draws, so they
            contain the noise of items and seeds.
        n: items behind performance.
    """
    differences = draws[:, larger].mean(1) - draws[:, smaller].mean(1)
    difference = float(np.mean(performance[larger]) - np.mean(performance[smaller]))
    p = float(resampling.p_of_draws(differences[:, None], n)[0])
    return Step(difference, resampling.percentiles(differences), p)


def rises(differences: dict[str, list[float]]) -> Rises:
    """Return in how many steps the bigger sibling is better, with an exact two-sided p; p is None without any step.

    Steps of a family share siblings and are not independent: after a good step a bad one is likelier. So the null is
    that all orders of the siblings of a family are equally likely. Eulerian numbers count their rises; in families of
    two this is the sign test. A tie is half a rise.

    Args:
        differences: {family: larger minus smaller sibling in each of its steps, from small to large}.
    """
    all_steps = [value for steps in differences.values() for value in steps]
    if not all_steps:
        return Rises(0, 0)
    count, chance = sum(1.0 if value > 0 else 0.5 * (value == 0) for value in all_steps), np.ones(1)
    for steps in differences.values():
        chance = np.convolve(chance, np.array(eulerian(len(steps) + 1)) / math.factorial(len(steps) + 1))
    expected = len(all_steps) / 2
    as_extreme = np.abs(np.arange(len(chance)) - expected) >= abs(count - expected) - resampling.TIE
    return Rises(count, len(all_steps), min(1.0, float(chance[as_extreme].sum())))


def eulerian(n: int) -> list[int]:
    """Return the number of orders of n things that have 0, 1 .. n - 1 rises (Eulerian numbers).

    A(n, k) = (k + 1) A(n - 1, k) + (n - k) A(n - 1, k - 1). Example: eulerian(3) is [1, 4, 1].
    """
    row = [1]
    for m in range(2, n + 1):
        row = [(k + 1) * ([*row, 0])[k] + (m - k) * ([0, *row])[k] for k in range(m)]
    return row


# --- kinship


def residuals(table: np.ndarray) -> np.ndarray:
    """Return how much better each unit teaches a base than it teaches all bases on average: [bases, units], in sd of the base.

    table: performance [bases, units]. It is standardised within each base (sd with ddof 0), and each unit's mean over
    bases, this one included, is subtracted. So with B bases it is (B - 1) / B of the difference from the other bases.
    """
    z = table - table.mean(1, keepdims=True)
    z = z / z.std(1, keepdims=True)
    return z - z.mean(0)


def main_effect(table: np.ndarray) -> float:
    """Return the share (0 to 1) of the variance of performance that the units' means over bases explain.

    table: performance [bases, units], standardised within each base as in `residuals`.
    """
    return float(1 - (residuals(table) ** 2).sum() / table.size)


def kinship(table: ArrayLike, kin: ArrayLike, permutations: int = PERMUTATIONS, seed: int = 0) -> Kinship:
    """Return whether bases gain more from their kin than from other teachers.

    The difference of a cell from the same unit on the other bases is its residual (see `residuals`) times B / (B - 1). Its
    mean over the cells of kin is compared with that after shuffling the units, the same way in every base. The residuals
    of a base sum to 0, so the mean is 0 where kinship has no effect.

    Args:
        table: performance [bases, units]; a unit that lacks a base (NaN) is left out.
        kin: [bases, units], whether the unit is kin of the base.
    """
    table, kin = np.asarray(table, float), np.asarray(kin, bool)
    complete = ~np.isnan(table).any(0)
    table, kin = table[:, complete], kin[:, complete]
    cells = int(kin.sum())
    if reason := _no_kinship(table, kin):
        return Kinship(cells=cells, reason=reason)
    residual = residuals(table) * len(table) / (len(table) - 1)
    orders, exact = resampling.draw_orders(table.shape[1], permutations, np.random.default_rng(seed))
    null = sum(row[orders] @ own_kin for row, own_kin in zip(residual, kin.astype(float), strict=True)) / cells
    mean = float(residual[kin].mean())
    return Kinship(mean, resampling.two_sided_p(null, mean, exact), cells)


def _no_kinship(table: np.ndarray, kin: np.ndarray) -> str | None:
    """Return why kinship cannot be computed from complete data [bases, units]; None if it can."""
    if len(table) < 2:
        return "one base only"
    if table.shape[1] < 4 or np.ptp(table, axis=1).min() == 0:
        return "fewer than 4 teachers that all bases have, or all equal on a base"
    if not kin.any():
        return "no teacher is kin of a base"
    return "all teachers are kin of all bases" if kin.all() else None


# --- units that are alike within families


class FamilyP(NamedTuple):
    """A test that takes families, and not units, as exchangeable."""

    p: float | None = None  # two-sided
    families: int = 0  # groups that have a unit with both values; a unit of no family is one of its own


def family_p(metric: ArrayLike, performance: ArrayLike, families: Sequence[str | None], seed: int = 0) -> FamilyP:
    """Return the p of a metric over families: Spearman's rho of their mean ranks, against the means shuffled.

    Members of a family perform alike, and metrics see them alike. A permutation of units then finds too many
    correlations: with six families of 19 teachers that share half of their variance, 10 % in place of 5 %. None below 4
    families, or where rho is undefined.

    Args:
        metric, performance: [n], or [bases, n] for the rho over bases of `rank.pooled`; NaN is missing.
        families: [n].
    """
    x, y = np.array(metric, float, ndmin=2), np.array(performance, float, ndmin=2)
    names = [family if family is not None else i for i, family in enumerate(families)]
    index = list(dict.fromkeys(names))
    members = np.array([[name == group for name in names] for group in index])
    means = [_group_means(a, b, members) for a, b in zip(x, y, strict=True)]
    complete = np.array([~np.isnan(a) for a, _ in means])
    count = int(complete.any(0).sum())
    used = [b for b, (a, c) in enumerate(means) if not resampling.undefined(a, c)]
    if not used:
        return FamilyP(None, count)
    orders, exact = resampling.orders_of_seed(len(index), seed)
    null = rank.mean_rho([resampling.permuted_rhos(*means[b], orders) for b in used], complete[used])
    straight = np.arange(len(index))[None]
    rho = rank.mean_rho([resampling.permuted_rhos(*means[b], straight) for b in used], complete[used])
    return FamilyP(resampling.two_sided_p(null, float(rho[0]), exact), count)


def family_interval(
    metric: ArrayLike, performance: ArrayLike, families: Sequence[str | None], rounds: int = 2000, seed: int = 0
) -> Interval | None:
    """Return the 95 % interval of rho where families are redrawn, each with all of its units (percentiles).

    It covers 89 to 94 % with six families; an interval over units covers 82 % where members share most of their variance.
    None below 4 families, or where rho is undefined in most draws. Arguments: as of `family_p`.
    """
    x, y = np.asarray(metric, float), np.asarray(performance, float)
    names = [family if family is not None else i for i, family in enumerate(families)]
    index = list(dict.fromkeys(names))
    has_both = (~np.isnan(x) & ~np.isnan(y)).reshape(-1, len(names)).any(0)
    if len({name for name, has in zip(names, has_both, strict=True) if has}) < 4:
        return None
    drawn = resampling.weights_of_seed(rounds, len(index), seed, 5)
    rhos = rank.reweighted(x, y)(drawn[:, [index.index(name) for name in names]])
    defined = rhos[~np.isnan(rhos)]
    return resampling.percentiles(defined) if len(defined) > rounds / 2 else None


def _group_means(x: np.ndarray, y: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean ranks of x and y [n] over the members [groups, n] that have both; NaN for a group without any."""
    complete = ~(np.isnan(x) | np.isnan(y))
    weights = (members & complete).astype(float)
    ranks = (resampling.signs(np.where(complete, values, np.nan)).sum(1) for values in (x, y))
    with np.errstate(invalid="ignore"):
        mean_x, mean_y = (np.round(weights @ values / weights.sum(1), 9) for values in ranks)
    return mean_x, mean_y
