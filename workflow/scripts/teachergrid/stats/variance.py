"""Where the differences of performance come from: teachers, their families, bases, training seeds and items.

Units are teachers. Performance is crossed: all teachers on all bases, with the same items. The components are found by
equating mean squares with what is expected of them (moments), so they need no distribution; one that comes out below 0 is 0.
Scores and components are in the unit of the scores given, and its square.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np


class Noise(NamedTuple):
    """The noise of the units' means on one base."""

    items: float  # variance of a mean over all items, as far as it differs between units
    seed: float | None  # variance between training seeds of one unit; None where no unit has two
    seeds: float  # per unit (harmonic mean)
    n: int  # items

    @property
    def total(self) -> float:
        """The variance of a mean over items and seeds; without that of seeds where it is unknown."""
        return self.items + (self.seed or 0.0) / self.seeds

    def after(self, more_seeds: int = 0, more_items: int = 0) -> float:
        """Return what `total` would be with more seeds of each unit, or more items."""
        return self.items * self.n / (self.n + more_items) + (self.seed or 0.0) / (self.seeds + more_seeds)


class Components(NamedTuple):
    """Variances of true performance. None: it cannot be separated, as there is one base, or no family with two teachers."""

    teacher: float  # of a teacher over all bases; within its family where `family` is known
    family: float | None = None
    interaction: float | None = None  # base x teacher: what is so on one base alone
    families: int = 0  # how many families `family` is from

    @property
    def on_a_base(self) -> float:
        """The variance of the teachers' true performance on one base."""
        return self.teacher + (self.family or 0.0) + (self.interaction or 0.0)

    @property
    def icc(self) -> float | None:
        """The share of the variance between teachers, over bases, that is between families."""
        between = self.teacher + (self.family or 0.0)
        return None if self.family is None or between <= 0 else self.family / between


def noise(by_unit: Sequence[np.ndarray]) -> Noise | None:
    """Return the noise of the means of units on one base; None below 2 units or 2 items.

    by_unit: scores [seeds, items] of each unit, on the same items. What an item adds to all units alike is no noise of their
    order. So that of items is the mean square of unit x item, over the number of items; it holds what one training run gets
    right by chance, too.
    """
    if len(by_unit) < 2 or by_unit[0].shape[1] < 2:
        return None
    n = by_unit[0].shape[1]
    items = interaction_square(np.array([scores.mean(0) for scores in by_unit])) / n
    repeated = [scores for scores in by_unit if len(scores) > 1]
    seed = None
    if repeated:
        between = float(np.mean([scores.mean(1).var(ddof=1) for scores in repeated]))
        # the seeds' own luck with the items is part of `items`
        within = float(np.mean([scores.var(0, ddof=1).mean() / n for scores in repeated]))
        seed = max(0.0, between - within)
    seeds = len(by_unit) / sum(1 / len(scores) for scores in by_unit)
    return Noise(items, seed, seeds, n)


def interaction_square(table: np.ndarray) -> float:
    """Return the mean square of rows x columns of a table."""
    rows, columns = table.shape
    left = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    return float((left**2).sum()) / max(1, (rows - 1) * (columns - 1))


def components(
    means: np.ndarray, of_bases: Sequence[Noise], shared: float, families: Sequence[str | None]
) -> Components | None:
    """Return the components of true performance; None below 3 units.

    Args:
        means: performance [bases, units], of the units that all bases have.
        of_bases: the noise on each base.
        shared: the noise of items in a unit's mean over bases; where bases share their items it is more than the mean over
            independent ones.
        families: [units].
    """
    bases, n = means.shape
    if n < 3:
        return None
    centred = means - means.mean(1, keepdims=True)
    over_bases = centred.mean(0)
    seeds = float(np.mean([(own.seed or 0.0) / own.seeds for own in of_bases]))
    interaction = None
    if bases > 1:
        of_items = max(0.0, (sum(own.items for own in of_bases) - bases * shared) / (bases - 1))
        interaction = max(0.0, interaction_square(centred) - of_items - seeds)
    # what a mean over bases holds beside the teacher
    beside = shared + (seeds + (interaction or 0.0)) / bases
    total = max(0.0, float(over_bases.var(ddof=1)) - beside)
    names = [name if name is not None else i for i, name in enumerate(families)]
    count = len(set(names))
    if not 1 < count < n:
        return Components(total, None, interaction)
    between, within, size = _by_family(over_bases, names)
    family = max(0.0, (between - within) / size)
    # the two parts of the total: moments of each alone could exceed it
    inside = max(0.0, within - beside)
    scale = total / (family + inside) if family + inside > 0 else 0.0
    return Components(inside * scale, family * scale, interaction, count)


def _by_family(values: np.ndarray, names: Sequence[object]) -> tuple[float, float, float]:
    """Return the mean squares between and within families of values [n], and the size of a family that counts for them."""
    groups = [values[[name == own for own in names]] for name in dict.fromkeys(names)]
    n, count = len(values), len(groups)
    within = sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / (n - count)
    between = sum(len(group) * float((group.mean() - values.mean()) ** 2) for group in groups) / (count - 1)
    return between, within, (n - sum(len(group) ** 2 for group in groups) / n) / (count - 1)


def effective_n(families: Sequence[str | None], metric_icc: float, performance_icc: float) -> float:
    """Return how many independent units tell as much about a correlation as these, of which those of a family are alike.

    n / (1 + (m - 1) r s), with m the mean size of a unit's own family, and r and s the shares of variance between families
    (Kish 1965 for r s = ICC; both sides must be alike for the correlation to be less certain).
    """
    names = [name if name is not None else i for i, name in enumerate(families)]
    size = sum(names.count(name) for name in names) / len(names)
    return len(names) / (1 + (size - 1) * max(0.0, metric_icc) * max(0.0, performance_icc))


def family_icc(values: np.ndarray, families: Sequence[str | None]) -> float | None:
    """Return the share of the variance of values [n] that is between families, from 0; None where no family has two units."""
    has = ~np.isnan(values)
    names = [name if name is not None else i for i, name in enumerate(families)]
    names = [name for name, present in zip(names, has, strict=True) if present]
    if not 1 < len(set(names)) < len(names):
        return None
    between, within, size = _by_family(values[has], names)
    total = between + (size - 1) * within
    return max(0.0, (between - within) / total) if total > 0 else None


# --- what more would buy


def reliability_after(reliability: float, now: float, then: float) -> float:
    """Return the reliability of a ranking once its noise is another one: r / (r + (1 - r) then / now) (Spearman 1910)."""
    if reliability <= 0 or now <= 0:
        return max(0.0, reliability)
    return reliability / (reliability + (1 - reliability) * then / now)


@cache
def expected_maximum(units: int) -> float:
    """Return the expected maximum of so many standard normal values."""
    x = np.linspace(-10, 10, 20_001)
    below = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in x.tolist()]) ** units
    return float(10 - np.trapezoid(below, x))  # of a variable on [-10, 10]


def expected_regret(spread: float, noise: float, units: int) -> float:
    """Return how far the unit that looks best is behind the truly best one, on average over such studies.

    Args:
        spread: variance of the units' true means. noise: variance of a measured mean.
    """
    return math.sqrt(spread) * expected_maximum(units) - expected_best(spread, noise, units)


def expected_best(spread: float, noise: float, units: int) -> float:
    """Return how far above the mean of all the unit that looks best truly is, on average. Arguments: as of `expected_regret`.

    Of what a unit seems to be above the mean, the share spread / (spread + noise) is true.
    """
    return spread / math.sqrt(spread + noise) * expected_maximum(units) if spread > 0 else 0.0


def regret_of_the_first(
    spread: float, noise: float, agrees: float, units: int, trained: int, draws: int | None = None
) -> float:
    """Return how far the best seen of the units that a metric puts first is behind the truly best of all, on average.

    Args:
        spread, noise: as of `expected_regret`. agrees: correlation of the metric with the units' true means.
        trained: how many of the first are trained, and so seen.
    """
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(draws or max(2000, min(20_000, 400_000 // units)), units))
    metric = agrees * truth + math.sqrt(max(0.0, 1 - agrees**2)) * rng.normal(size=truth.shape)
    truth *= math.sqrt(spread)
    seen = truth + rng.normal(size=truth.shape) * math.sqrt(noise)
    among = metric >= -np.partition(-metric, trained - 1, axis=1)[:, [trained - 1]]
    chosen = np.take_along_axis(truth, np.where(among, seen, -np.inf).argmax(1)[:, None], axis=1)[:, 0]
    return float((truth.max(1) - chosen).mean())


def seed_gains(means: np.ndarray, spread: float, items: float, seed: float, seeds: np.ndarray) -> np.ndarray:
    """Return by how much one more training seed of a unit lowers the expected regret of taking the best seen: [units].

    The knowledge gradient (Frazier, Powell and Dayanik 2008): true means are normal around their average with variance `spread`. One
    more seed moves the estimate of one unit, and helps as far as it may change which is the best. What is learned of items is not
    counted, since another seed answers the same ones.

    Args:
        means: as measured [units]. items: variance of a mean from its items. seed: variance between training seeds.
        seeds: that each unit has [units], 1 or more.
    """
    noise, after = items + seed / seeds, items + seed / (seeds + 1)
    if len(means) < 2 or spread <= 0:
        return np.zeros(len(means))
    believed = means.mean() + spread / (spread + noise) * (means - means.mean())
    learned = np.sqrt(np.maximum(0, spread * noise / (spread + noise) - spread * after / (spread + after)))
    others = np.array([np.delete(believed, i).max() for i in range(len(believed))])
    z = -np.abs(believed - others) / np.where(learned > 0, learned, np.inf)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    below = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in z])
    return np.where(learned > 0, learned * (density + z * below), 0.0)
