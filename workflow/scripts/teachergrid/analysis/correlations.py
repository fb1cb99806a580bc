"""How well the metrics of a grid's cells (baselines.grid_metrics) predict the performance of their students.

Units are whole corpora of teachers: a derived corpus was chosen by a metric and cannot test one. Gated units and those
without performance are left out.
"""

from collections.abc import Mapping

import numpy as np

from ..metrics.variants import Metric
from ..stats import comparison, nested_bootstrap, rank
from ..store.artifacts import METRIC_COLUMNS
from .baselines import OF_A_GRID
from .columns import (
    WITHOUT_SELF_PAIRS,
    Label,
    Table,
    choice,
    correlation_columns,
    family_columns,
    family_p_columns,
    family_range,
    nested_columns,
    row_names,
    turned,
)
from .evidence import circular_in_ap
from .performance import Key, Unit
from .pooled import pooled_rows

__all__ = ["POOLED", "WITHOUT_SELF_PAIRS", "by_panel", "correlations", "family_of", "performance_draws"]

POOLED = "pooled"  # in place of a base: over all bases
BASELINES = ("length", "reward_mean", *OF_A_GRID)  # what needs no new idea
CIRCULAR = "circular"  # role of a metric that shares a reward with a judge behind AP


# --- metrics against performance


Panels = dict[str, dict[str, Table]]  # {panel: {base: table}}


def tables_of(
    settings: Mapping, units: list[Unit], rows: list[dict], ap: Mapping[Key, float], items: Mapping[Key, np.ndarray]
) -> Panels:
    """Return metrics and performance of the units that can test a metric, by panel and base.

    Args:
        rows: of grid_metrics, over all responses.
        ap: {(base, corpus, recipe): AP, 0 to 100}.
        items: {(base, corpus, recipe): [seeds, items], the scores behind AP}.
    """
    of_base: dict[str, list[dict]] = {}
    for row in rows:
        of_base.setdefault(row["base"], []).append(row)
    return {
        panel: {
            base: _base_table(settings, base_units, of_base.get(base, []), ap, items)
            for base, base_units in by_base.items()
        }
        for panel, by_base in by_panel(units, ap).items()
    }


def correlations(settings: Mapping, panels: Panels, labels: Mapping[str, Label]) -> list[dict]:
    """Return the rows of artifacts.CORRELATIONS: per base and panel, then pooled over bases.

    rho keeps the sign of the metric's values; regret, first choice and pairwise accuracy take the direction that the formula
    states. The primary metric has a second row without the teachers that descend from the base. p_max_t is over the own
    variants of a table. A metric that shares a reward with a judge behind AP has the role "circular", and never "primary".

    panels: of `tables_of`. labels: of `labels_of`.
    """
    table_rows, seed, rounds = [], settings["grid"]["seed"], settings["grid"]["bootstrap"]
    for panel, tables in panels.items():
        for base, table in tables.items():
            table_rows += [{"base": base, "panel": panel, **row} for row in _base_rows(table, labels, rounds, seed)]
        if len(tables) > 1:
            table_rows += [{"base": POOLED, "panel": panel, **row} for row in pooled_rows(tables, labels, rounds, seed)]
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


def labels_of(settings: Mapping, rows: list[dict]) -> dict[str, Label]:
    """Return {metric: its label}. rows: of grid_metrics."""
    entry = settings["grid"]["primary"]
    primary = Metric(settings["metrics"][entry]).name if entry else None
    labels, shared = {}, {entry for entries in circular_in_ap(settings).values() for entry in entries}
    for row in rows:
        metric = row["metric"]
        baseline = row["own"] and row["formula"] in BASELINES
        role = "primary" if metric == primary else "baseline" if baseline else "exploratory"
        role = CIRCULAR if row["entry"] in shared else role
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
    index = {(unit.panel, unit.unit): i for i, unit in enumerate(base_units)}
    values: dict[str, np.ndarray] = {}
    for row in rows:
        i = index.get((row["panel"], row["unit"]))
        if i is not None:
            array = values.setdefault(row["metric"], np.full(len(base_units), np.nan))
            array[i] = np.nan if row.get("value") is None else row["value"]
    return Table(
        names=[unit.unit for unit in base_units],
        ap=np.array([ap[key] for key in keys]),
        values=values,
        self_pair=np.array([unit.self_pair for unit in base_units]),
        families=[family_of(settings, unit) for unit in base_units],
        draws=performance_draws(settings, base_units, items),
        items=[items[key] for key in keys],
        ceiling=comparison.ceiling([items[key] for key in keys], seed=settings["grid"]["seed"]),
    )


def _base_rows(table: Table, labels: Mapping[str, Label], rounds: int, seed: int) -> list[dict]:
    own = {metric: values for metric, values in table.values.items() if labels[metric].columns["own"]}
    p_max_t = rank.max_t(own, table.ap, seed=seed)
    named = row_names(table.values, labels, table.self_pair)
    # many variants rank alike, and ranks are all that counts
    distinct: dict[bytes, dict[bytes, np.ndarray]] = {}  # {units left out: {ranks: values}}
    for _, metric, excluded in named:
        x = labels[metric].sign * table.values[metric]
        distinct.setdefault(excluded.tobytes(), {}).setdefault(_ranks(x), x)
    tests = {
        left_out: dict(zip(values, _tests(table, left_out, [*values.values()], rounds, seed), strict=True))
        for left_out, values in distinct.items()
    }
    rows = []
    for name, metric, excluded in named:
        sign = labels[metric].sign
        x, y = sign * table.values[metric], np.where(excluded, np.nan, table.ap)
        correlation, nested, range_without, by_family = tests[excluded.tobytes()][_ranks(x)]
        rows.append(
            labels[metric].row(name)
            | {"p_max_t": p_max_t.get(name), "ceiling": table.ceiling, "choice": choice(x, y, table.names)}
            | correlation_columns(correlation, sign)
            | nested_columns(nested, sign)
            | family_columns(range_without, sign)
            | turned(by_family, sign)
        )
    return rows


def _ranks(x: np.ndarray) -> bytes:
    """Return what is equal for values that rank alike: ranks, and which are missing."""
    return np.where(np.isnan(x), -1, np.unique(x, return_inverse=True)[1]).tobytes()


def _tests(table: Table, left_out: bytes, metrics: list[np.ndarray], rounds: int, seed: int) -> list[tuple]:
    """Return for each metric its correlation, nested intervals, range without a family, and the columns of families.

    Args:
        left_out: the bytes of [units], bool. metrics: each [units], higher is better.
    """
    y = np.where(np.frombuffer(left_out, bool), np.nan, table.ap)
    tests = []
    for x, nested in zip(metrics, nested_bootstrap.nested_intervals(metrics, y, table.draws, seed), strict=True):
        correlation = rank.correlation(x, y, seed, rounds)
        without = family_range(correlation.rho, rank.leave_one_out(x, y, table.families))
        by_family = family_p_columns(x, y, table.families, rounds, seed, 1)
        tests.append((correlation, nested, without, by_family))
    return tests
