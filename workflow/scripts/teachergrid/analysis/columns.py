"""What a table of correlations is made from, and the columns of its rows."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from ..stats import families, nested_bootstrap, rank, resampling, variance
from ..stats.resampling import Interval

WITHOUT_SELF_PAIRS = " (without self-pairs)"


class Table(NamedTuple):
    """Metrics and performance of the units of one panel on one base."""

    names: list[str]  # [units]
    ap: np.ndarray  # [units], 0 to 100
    values: dict[str, np.ndarray]  # {metric: [units]}, NaN where undefined
    self_pair: np.ndarray  # [units], bool
    families: list[str | None]  # [units]
    draws: np.ndarray  # [rounds, units]: performance under other items and seeds
    items: list[np.ndarray]  # [units] of [seeds, items]: the scores behind performance, 0 to 1
    ceiling: float | None  # rho that a perfect metric can expect, see comparison.ceiling


class Label(NamedTuple):
    """The columns that describe a metric in each of its rows."""

    columns: dict[str, object]  # artifacts.METRIC_COLUMNS
    role: str  # primary, baseline, exploratory or circular

    @property
    def sign(self) -> int:
        """1 where a high value promises a better student, else -1."""
        return 1 if self.columns["direction"] == "highest" else -1

    def row(self, name: str) -> dict[str, object]:
        """Return the columns, with `name` as the name of the metric."""
        return {**self.columns, "metric": name, "role": self.role}


def nested_columns(intervals: nested_bootstrap.NestedIntervals, sign: int) -> dict:
    """Return the columns of the nested bootstrap; only rho has the sign of the metric's values."""
    ends = {"nested": signed(intervals.rho, sign), "accuracy": signed(intervals.pairwise_accuracy, 1)}
    ends |= {"regret_1": signed(intervals.regret_1, 1), "regret_3": signed(intervals.regret_3, 1)}
    return {
        f"{end}_{name}": value for name, pair in ends.items() for end, value in zip(("low", "high"), pair, strict=True)
    }


def family_range(rho: float | None, without: Mapping[str, float]) -> tuple[float, float, str] | None:
    """Return (lowest rho, highest rho, family that changes rho most) when one family is left out."""
    if rho is None or not without:
        return None
    return min(without.values()), max(without.values()), max(without, key=lambda name: abs(without[name] - rho))


def family_columns(without: tuple[float, float, str] | None, sign: int) -> dict:
    """Return the columns of rho without one family. without: of `family_range`."""
    low, high = signed(without and without[:2], sign)
    return {"low_family": low, "high_family": high, "family": without and without[2]}


def family_p_columns(x: np.ndarray, y: np.ndarray, groups: list[str | None], rounds: int, seed: int, sign: int) -> dict:
    """Return the columns of the test and the interval over families; empty where no family has two units, or all units are of one family.

    x, y, groups: metric, performance and families of families.family_p.
    """
    number = len({name for name in groups if name}) + groups.count(None)
    if number in (1, len(groups)):
        return {}
    found = families.family_p(x, y, groups, seed)
    low, high = (
        signed(families.family_interval(x, y, groups, rounds, seed), sign) if found.p is not None else (None, None)
    )
    effective = _effective_n(np.array(x, ndmin=2), np.array(y, ndmin=2), groups)
    ends = {"low_of_families": low, "high_of_families": high}
    return {"p_family": found.p, "families": found.families, "n_effective": effective, **ends}


def _effective_n(x: np.ndarray, y: np.ndarray, groups: list[str | None]) -> float | None:
    """Return how many independent units tell as much as these, from how alike members of a family are; the mean over bases."""
    found = []
    for metric, performance in zip(x, y, strict=True):
        has = ~(np.isnan(metric) | np.isnan(performance))
        own = [group for group, both in zip(groups, has, strict=True) if both]
        if has.sum() < 2:
            continue
        alike = [variance.family_icc(resampling.signs(side[has]).sum(1), own) or 0.0 for side in (metric, performance)]
        found.append(variance.effective_n(own, *alike))
    return float(np.mean(found)) if found else None


def row_names(
    metrics: Iterable[str], labels: Mapping[str, Label], self_pair: np.ndarray
) -> list[tuple[str, str, np.ndarray]]:
    """Return [(name of the row, metric, mask of the units that it leaves out)]."""
    names = [(metric, metric, np.zeros_like(self_pair)) for metric in metrics]
    primary = [metric for metric in metrics if labels[metric].role == "primary" and self_pair.any()]
    return names + [(metric + WITHOUT_SELF_PAIRS, metric, self_pair) for metric in primary]


def correlation_columns(correlation: rank.Correlation, sign: int) -> dict:
    """Return the columns of a correlation; rho, tau-b and intervals have the sign of the metric's own values."""
    low, high = signed(correlation.bca, sign)
    low_bonett_wright, high_bonett_wright = signed(correlation.bonett_wright, sign)
    unsigned = ("n", "p", "pairwise_accuracy", "regret_1", "regret_3", "reason")
    # + 0.0: no -0.0
    rho, tau_b = (None if value is None else sign * value + 0.0 for value in (correlation.rho, correlation.tau_b))
    wright = {"low_bonett_wright": low_bonett_wright, "high_bonett_wright": high_bonett_wright}
    columns = {key: getattr(correlation, key) for key in unsigned}
    return {**columns, "rho": rho, "tau_b": tau_b, "low": low, "high": high, **wright}


def signed(interval: Interval | None, sign: int) -> tuple[float | None, float | None]:
    """Return (low, high) of an interval in the metric's own values. interval: of sign times these values."""
    if interval is None:
        return None, None
    low, high = sorted(sign * end for end in interval)
    return low, high


def turned(columns: dict, sign: int) -> dict:
    """Return the columns of family_p_columns, computed with sign 1, for metrics whose values have this sign."""
    if columns.get("low_of_families") is None:
        return columns
    low, high = signed((columns["low_of_families"], columns["high_of_families"]), sign)
    return {**columns, "low_of_families": low, "high_of_families": high}


def choice(x: np.ndarray, y: np.ndarray, names: list[str]) -> str | None:
    """Return the unit that a metric ranks first; several, separated by commas, where they tie."""
    complete = ~(np.isnan(x) | np.isnan(y))
    first = [
        name
        for name, value, is_complete in zip(names, x, complete, strict=True)
        if is_complete and value == x[complete].max()
    ]
    return ", ".join(sorted(first)) or None


def first_choice(values: np.ndarray) -> np.ndarray:
    """Return the chance of each unit [n] to be the first choice by these values: those that tie share it. -inf is never chosen."""
    rounded = np.round(values, 9)
    first = rounded == rounded.max()
    return first / first.sum()
