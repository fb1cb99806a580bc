"""Teachers by family: is the bigger sibling the better teacher, and does a base gain more from its own family?"""

import math
from itertools import pairwise

import numpy as np

from . import resampling
from .resampling import result

Step = result("Step", "difference interval p")
Rises = result("Rises", "rises steps p")
Kinship = result("Kinship", "mean p cells reason")


def siblings(families, sizes):
    """[(family, units of one size, units of the next)]: successive sizes within a family, both lists of indices.

    families and sizes [n]; a unit where either is None takes part in no step. Several units of one size stand together.
    """
    by_family = {}
    for i, (family, size) in enumerate(zip(families, sizes, strict=True)):
        if family is not None and size is not None:
            by_family.setdefault(family, {}).setdefault(size, []).append(i)
    ordered = [(family, [units for _, units in sorted(by_size.items())]) for family, by_size in by_family.items()]
    return [(family, *pair) for family, groups in ordered for pair in pairwise(groups)]


def step(smaller, larger, performance, draws, n):
    """Performance of the larger sibling less that of the smaller, as Step; several units of one size count by their mean.

    performance [units], draws [rounds, units] (see noise.performance_draws) over n items. p is two-sided, of paired
    draws, so with the noise of items and seeds.
    """
    gaps = draws[:, larger].mean(1) - draws[:, smaller].mean(1)
    difference = float(np.mean(performance[larger]) - np.mean(performance[smaller]))
    return Step(difference, resampling.percentiles(gaps), float(resampling.two_sided_of_draws(gaps[:, None], n)[0]))


def rises(differences):
    """In how many steps the bigger sibling is better, as Rises with an exact two-sided p; {family: its steps in order}.

    Steps of a family share siblings and are not independent: after a good step a bad one is likelier. So the null is that
    all orders of the siblings of a family are equally likely, which the Eulerian numbers count; in families of two it is
    the sign test. A tie is half a rise. None where there is no step.
    """
    all_steps = [value for steps in differences.values() for value in steps]
    if not all_steps:
        return Rises(0, 0)
    count, chance = sum(1.0 if value > 0 else 0.5 * (value == 0) for value in all_steps), np.ones(1)
    for steps in differences.values():
        chance = np.convolve(chance, np.array(eulerian(len(steps) + 1)) / math.factorial(len(steps) + 1))
    middle = len(all_steps) / 2
    far = np.abs(np.arange(len(chance)) - middle) >= abs(count - middle) - resampling.TIE
    return Rises(count, len(all_steps), min(1.0, float(chance[far].sum())))


def eulerian(n):
    """Orders of n things with 0, 1 .. n - 1 rises: A(n, k) = (k + 1) A(n - 1, k) + (n - k) A(n - 1, k - 1)."""
    row = [1]
    for m in range(2, n + 1):
        row = [(k + 1) * (row + [0])[k] + (m - k) * ([0] + row)[k] for k in range(m)]
    return row


def residuals(table):
    """What is left of performance [bases, units], standardised within each base (sd with ddof 0), without each unit's
    mean over bases: how much better a unit teaches this base than it teaches the others, in sd of the base."""
    z = table - table.mean(1, keepdims=True)
    z = z / z.std(1, keepdims=True)
    return z - z.mean(0)


def main_effect(table):
    """Share of the standardised variance of performance [bases, units] that is the units' own, whatever the base."""
    return float(1 - (residuals(table) ** 2).sum() / table.size)


def kinship(table, kin, permutations=9999, seed=0):
    """Whether bases gain more from their kin, as Kinship: the mean residual of the cells of kin [bases, units] and a
    two-sided p from shuffling the units, the same way in every base.

    table: performance [bases, units]; a unit that lacks a base is left out. All other cells together make up for the mean,
    so that it is 0 where kinship says nothing.
    """
    table, kin = np.asarray(table, float), np.asarray(kin, bool)
    whole = ~np.isnan(table).any(0)
    table, kin = table[:, whole], kin[:, whole]
    cells = int(kin.sum())
    if len(table) < 2:
        return Kinship(cells=cells, reason="one base only")
    if table.shape[1] < 4 or np.ptp(table, axis=1).min() == 0:
        return Kinship(cells=cells, reason="fewer than 4 teachers that all bases have, or all equal on a base")
    if kin.all() or not cells:
        return Kinship(
            cells=cells, reason="no teacher is kin of a base" if not cells else "all teachers are kin of all bases"
        )
    left = residuals(table)
    orders, exact = resampling.draw_orders(table.shape[1], permutations, np.random.default_rng(seed))
    null = sum(row[orders] @ own for row, own in zip(left, kin.astype(float), strict=True)) / cells
    mean = float(left[kin].mean())
    return Kinship(mean, resampling.two_sided_p(null, mean, exact), cells)
