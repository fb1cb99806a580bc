"""How well the metrics of a grid's cells (baselines.grid_metrics) predict the performance of their students.

Units are whole corpora of teachers: a derived corpus was chosen by a metric and cannot test one. Gated units and those
without performance are left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..metrics.variants import Metric
from ..stats import comparison, nested_bootstrap, rank
from ..store.artifacts import METRIC_COLUMNS
from .baselines import OF_A_GRID
from .performance import Key, Unit

POOLED = "pooled"  # in place of a base: over all bases
BASELINES = ("length", "reward_mean", *OF_A_GRID)  # what needs no new idea
WITHOUT_SELF_PAIRS = " (without self-pairs)"
Interval = tuple[float, float]


def circular(judges: Mapping[str, Mapping], entries: Mapping[str, Mapping]) -> dict[str, list[str]]:
    """Return {judge: the metrics that use the reward by which it decides}. That such a metric agrees with it proves nothing.

    judges: {name: settings}; entries: of the config's metrics. Judges without such a metric are left out.
    """
    metrics_of = {}
    for name, judge in judges.items():
        shared = [entry for entry, settings in entries.items() if judge.get("reward") in Metric(settings).rewards]
        if judge.get("reward") and shared:
            metrics_of[name] = shared
    return metrics_of


# --- metrics against performance


class Table(NamedTuple):
    """Metrics and performance of the units of one panel on one base."""

    names: list[str]  # [units]
    ap: np.ndarray  # [units], 0 to 100
    values: dict[str, np.ndarray]  # {metric: [units]}, NaN where undefined
    self_pair: np.ndarray  # [units], bool
    families: list[str | None]  # [units]
    draws: np.ndarray  # [rounds, units]: performance under other items and seeds
    ceiling: float | None


class Label(NamedTuple):
    """The columns that describe a metric in each of its rows."""

    columns: dict[str, object]  # artifacts.METRIC_COLUMNS
    role: str  # primary, baseline or exploratory

    @property
    def sign(self) -> int:
        """1 where a high value promises a better student, else -1."""
        return 1 if self.columns["direction"] == "highest" else -1

    def row(self, name: str) -> dict[str, object]:
        """Return the columns, with `name` as the name of the metric."""
        return {**self.columns, "metric": name, "role": self.role}


def correlations(
    settings: Mapping, units: list[Unit], rows: list[dict], ap: Mapping[Key, float], items: Mapping[Key, np.ndarray]
) -> list[dict]:
    """Return the rows of artifacts.CORRELATIONS: per base and panel, then pooled over bases.

    rho keeps the sign of the metric's values; regret, first choice and pairwise accuracy take the direction that the formula
    states. The primary metric has a second row without the teachers that descend from the base. p_max_t is over the own
    variants of a table.

    Args:
        rows: of grid_metrics, over all responses.
        ap: {(base, corpus, recipe): AP, 0 to 100}.
        items: {(base, corpus, recipe): [seeds, items], the scores behind AP}.
    """
    labels = _labels(settings, rows)
    table_rows, seed, rounds = [], settings["grid"]["seed"], settings["grid"]["bootstrap"]
    for panel, by_base in by_panel(units, ap).items():
        tables = {base: _base_table(settings, base_units, rows, ap, items) for base, base_units in by_base.items()}
        for base, table in tables.items():
            table_rows += [{"base": base, "panel": panel, **row} for row in _base_rows(table, labels, rounds, seed)]
        if len(tables) > 1:
            table_rows += [
                {"base": POOLED, "panel": panel, **row} for row in _pooled_rows(tables, labels, rounds, seed)
            ]
    return table_rows


def by_panel(units: list[Unit], ap: Mapping[Key, float]) -> dict[str, dict[str, list[Unit]]]:
    """Return {panel: {base: units}} of the units that can test a metric: teachers with an AP that no gate stopped."""
    panels: dict[str, dict[str, list[Unit]]] = {}
    for unit in units:
        if unit.teacher and not unit.gated and (unit.base, unit.corpus, unit.recipe) in ap:
            panels.setdefault(unit.panel, {}).setdefault(unit.base, []).append(unit)
    return panels


def family_of(settings: Mapping, unit: Unit) -> str | None:
    """Return the family of a unit's teacher, where the config states one."""
    return settings["teachers"].get(unit.teacher, {}).get("family")


def performance_draws(settings: Mapping, base_units: list[Unit], items: Mapping[Key, np.ndarray]) -> np.ndarray:
    """Return the performance [rounds, units] of the units of a base, in points, under other items and seeds."""
    cubes = [items[unit.base, unit.corpus, unit.recipe] for unit in base_units]
    return 100 * nested_bootstrap.performance_draws(cubes, settings["grid"]["bootstrap"], settings["grid"]["seed"])


def _labels(settings: Mapping, rows: list[dict]) -> dict[str, Label]:
    """Return {metric: its label}."""
    entry = settings["grid"]["primary"]
    primary = Metric(settings["metrics"][entry]).name if entry else None
    labels = {}
    for row in rows:
        metric = row["metric"]
        baseline = row["own"] and row["formula"] in BASELINES
        role = "primary" if metric == primary else "baseline" if baseline else "exploratory"
        labels[metric] = Label({key: row.get(key) for key in METRIC_COLUMNS}, role)
    return labels


def _base_table(
    settings: Mapping,
    base_units: list[Unit],
    rows: list[dict],
    ap: Mapping[Key, float],
    items: Mapping[Key, np.ndarray],
) -> Table:
    keys = [(unit.base, unit.corpus, unit.recipe) for unit in base_units]
    index = {(unit.base, unit.panel, unit.unit): i for i, unit in enumerate(base_units)}
    values: dict[str, np.ndarray] = {}
    for row in rows:
        i = index.get((row["base"], row["panel"], row["unit"]))
        if i is not None:
            array = values.setdefault(row["metric"], np.full(len(base_units), np.nan))
            array[i] = np.nan if row.get("value") is None else row["value"]
    means = np.array([items[key].mean(0) for key in keys])
    return Table(
        names=[unit.unit for unit in base_units],
        ap=np.array([ap[key] for key in keys]),
        values=values,
        self_pair=np.array([unit.self_pair for unit in base_units]),
        families=[family_of(settings, unit) for unit in base_units],
        draws=performance_draws(settings, base_units, items),
        ceiling=comparison.ceiling(means, seed=settings["grid"]["seed"]),
    )


def _base_rows(table: Table, labels: Mapping[str, Label], rounds: int, seed: int) -> list[dict]:
    own = {metric: values for metric, values in table.values.items() if labels[metric].columns["own"]}
    p_max_t = rank.max_t(own, table.ap, seed=seed)
    cached: dict[tuple, tuple] = {}
    rows = []
    for name, metric, excluded in _row_names(table.values, labels, table.self_pair):
        sign = labels[metric].sign
        x, y = sign * table.values[metric], np.where(excluded, np.nan, table.ap)
        # many variants rank alike, and ranks are all that counts
        key = tuple(np.unique(x, return_inverse=True)[1]), tuple(np.isnan(x)), tuple(excluded)
        if key not in cached:
            correlation = rank.correlation(x, y, seed, rounds)
            without = rank.leave_one_out(x, y, table.families)
            nested = nested_bootstrap.nested_intervals(x, y, table.draws, seed)
            cached[key] = correlation, nested, _family_range(correlation.rho, without)
        correlation, nested, family_range = cached[key]
        rows.append(
            labels[metric].row(name)
            | {"p_max_t": p_max_t.get(name), "ceiling": table.ceiling, "choice": _choice(x, y, table.names)}
            | _correlation_columns(correlation, sign)
            | _nested_columns(nested, sign)
            | _family_columns(family_range, sign)
        )
    return rows


def _nested_columns(intervals: nested_bootstrap.NestedIntervals, sign: int) -> dict:
    """Return the columns of the nested bootstrap; only rho has the sign of the metric's values."""
    ends = {"nested": _signed(intervals.rho, sign), "accuracy": _signed(intervals.pairwise_accuracy, 1)}
    ends |= {"regret_1": _signed(intervals.regret_1, 1), "regret_3": _signed(intervals.regret_3, 1)}
    return {
        f"{end}_{name}": value for name, pair in ends.items() for end, value in zip(("low", "high"), pair, strict=True)
    }


def _family_range(rho: float | None, without: Mapping[str, float]) -> tuple[float, float, str] | None:
    """Return (lowest rho, highest rho, family that changes rho most) when one family is left out."""
    if rho is None or not without:
        return None
    return min(without.values()), max(without.values()), max(without, key=lambda name: abs(without[name] - rho))


def _family_columns(family_range: tuple[float, float, str] | None, sign: int) -> dict:
    """Return the columns of rho without one family. family_range: of `_family_range`."""
    low, high = _signed(family_range and family_range[:2], sign)
    return {"low_family": low, "high_family": high, "family": family_range and family_range[2]}


def _row_names(
    metrics: Iterable[str], labels: Mapping[str, Label], self_pair: np.ndarray
) -> list[tuple[str, str, np.ndarray]]:
    """Return [(name of the row, metric, mask of the units that it leaves out)]."""
    names = [(metric, metric, np.zeros_like(self_pair)) for metric in metrics]
    primary = [metric for metric in metrics if labels[metric].role == "primary" and self_pair.any()]
    return names + [(metric + WITHOUT_SELF_PAIRS, metric, self_pair) for metric in primary]


def _correlation_columns(correlation: rank.Correlation, sign: int) -> dict:
    """Return the columns of a correlation; rho, tau-b and intervals have the sign of the metric's own values."""
    low, high = _signed(correlation.bca, sign)
    low_bonett_wright, high_bonett_wright = _signed(correlation.bonett_wright, sign)
    unsigned = ("n", "p", "pairwise_accuracy", "regret_1", "regret_3", "reason")
    # + 0.0: no -0.0
    rho, tau_b = (None if value is None else sign * value + 0.0 for value in (correlation.rho, correlation.tau_b))
    wright = {"low_bonett_wright": low_bonett_wright, "high_bonett_wright": high_bonett_wright}
    columns = {key: getattr(correlation, key) for key in unsigned}
    return {**columns, "rho": rho, "tau_b": tau_b, "low": low, "high": high, **wright}


def _signed(interval: Interval | None, sign: int) -> tuple[float | None, float | None]:
    """Return (low, high) of an interval in the metric's own values. interval: of sign times these values."""
    if interval is None:
        return None, None
    low, high = sorted(sign * end for end in interval)
    return low, high


def _choice(x: np.ndarray, y: np.ndarray, names: list[str]) -> str | None:
    """Return the unit that a metric ranks first; several, separated by commas, where they tie."""
    complete = ~(np.isnan(x) | np.isnan(y))
    first = [
        name
        for name, value, is_complete in zip(names, x, complete, strict=True)
        if is_complete and value == x[complete].max()
    ]
    return ", ".join(sorted(first)) or None


class Aligned(NamedTuple):
    """The tables of several bases over all units that any of them has; NaN where a base lacks one."""

    ap: np.ndarray  # [bases, units]
    draws: np.ndarray  # [bases, rounds, units]
    self_pair: np.ndarray  # [bases, units], bool
    families: list[str | None]  # [units]
    values: dict[str, np.ndarray]  # {metric: [bases, units]}


def align(tables: Sequence[Table]) -> Aligned:
    """Return the tables of several bases, with their units in one order."""
    names = sorted({name for table in tables for name in table.names})
    index = {name: i for i, name in enumerate(names)}
    positions = [[index[name] for name in table.names] for table in tables]

    def spread(arrays: Sequence[np.ndarray | None]) -> np.ndarray:
        """Return [bases, ..., units] from one array [..., own units] per base; None is a base without any."""
        shape = next(array.shape[:-1] for array in arrays if array is not None)
        aligned = np.full((len(tables), *shape, len(names)), np.nan)
        for own, columns, array in zip(aligned, positions, arrays, strict=True):
            if array is not None:
                own[..., columns] = array
        return aligned

    family = {name: own for table in tables for name, own in zip(table.names, table.families, strict=True)}
    metrics = dict.fromkeys(metric for table in tables for metric in table.values)
    return Aligned(
        ap=spread([table.ap for table in tables]),
        draws=spread([table.draws for table in tables]),
        self_pair=spread([table.self_pair for table in tables]) == 1,
        families=[family[name] for name in names],
        values={metric: spread([table.values.get(metric) for table in tables]) for metric in metrics},
    )


def _pooled_rows(by_base: Mapping[str, Table], labels: Mapping[str, Label], rounds: int, seed: int) -> list[dict]:
    """Return the rows over bases: the same units on each, missing ones NaN."""
    aligned = align(list(by_base.values()))
    weights = nested_bootstrap.teacher_weights(aligned.ap.shape[1], rounds, seed)
    rows = []
    for name, metric, excluded in _row_names(aligned.values, labels, aligned.self_pair):
        sign = labels[metric].sign
        x, y = sign * aligned.values[metric], np.where(excluded, np.nan, aligned.ap)
        pooled = rank.pooled(x, y, seed, rounds, names=list(by_base))
        used = [base for base, rho in enumerate(pooled.rhos) if rho is not None]
        without = rank.leave_one_out(x[used], y[used], aligned.families) if used else {}
        nested = nested_bootstrap.nested_rho(x[used], y[used], aligned.draws[used], weights) if used else None
        low, high = _signed(pooled.bca, sign)
        rho = None if pooled.rho is None else sign * pooled.rho + 0.0  # + 0.0: no -0.0
        rows.append(
            labels[metric].row(name)
            | {"n": pooled.n or 0, "rho": rho, "low": low, "high": high, "p": pooled.p, "reason": pooled.reason}
            | _nested_columns(nested_bootstrap.NestedIntervals(nested), sign)
            | _family_columns(_family_range(pooled.rho, without), sign)
        )
    return rows
