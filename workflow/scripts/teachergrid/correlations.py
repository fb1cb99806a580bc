"""How well the metrics of a grid's cells (baselines.grid_metrics) predict the performance beside them.

Units are whole corpora of teachers: a derived corpus was chosen by a metric and cannot test one. Gated units and those
without performance are left out.
"""

from typing import NamedTuple

import numpy as np

from . import noise, standings, stats
from .baselines import ALWAYS, OF_A_GRID
from .expressions import OWN
from .metrics import own_variant, sign
from .performance import Unit

POOLED = "pooled"
BASELINES = ("length", "reward_mean", *OF_A_GRID)  # what needs no new idea
WITHOUT_SELF_PAIRS = " (without self-pairs)"


# --- metrics against performance


class Table(NamedTuple):
    """Metrics and performance of the units of one panel on one base."""

    names: list  # [units]
    ap: np.ndarray  # [units]
    values: dict  # {metric: [units]}, NaN where undefined
    self_pair: np.ndarray  # [units]
    families: list  # [units]
    draws: np.ndarray  # [rounds, units]: performance under other items and seeds
    ceiling: float | None


def correlations(settings: dict, units: list[Unit], rows: list[dict], ap: dict, items: dict) -> list[dict]:
    """Return the rows of artifacts.CORRELATIONS: per base and panel, then pooled over bases.

    rows: of grid_metrics; items: {(base, corpus, recipe): [seeds, items] behind AP}. rho keeps the sign of the metric's
    values; regret, first choice and pairwise accuracy take the direction that the formula states. The primary metric stands
    there a second time without the teachers that descend from the base. p_max_t is over the own variants of a table.
    """
    labels = _labels(settings, rows)
    found, seed, rounds = [], settings["grid"]["seed"], settings["grid"]["bootstrap"]
    for panel, by_base in by_panel(units, ap).items():
        tables = {base: _table(settings, same, rows, ap, items) for base, same in by_base.items()}
        for base, table in tables.items():
            found += [{"base": base, "panel": panel, **row} for row in _of_base(table, labels, rounds, seed)]
        if len(tables) > 1:
            found += [{"base": POOLED, "panel": panel, **row} for row in _pooled(tables, labels, rounds, seed)]
    return found


def by_panel(units: list[Unit], ap: dict) -> dict[str, dict[str, list[Unit]]]:
    """Return {panel: {base: units}} of the units that test a metric."""
    found = {}
    for unit in units:
        if unit.teacher and not unit.gated and (unit.base, unit.corpus, unit.recipe) in ap:
            found.setdefault(unit.panel, {}).setdefault(unit.base, []).append(unit)
    return found


def family_of(settings: dict, unit: Unit) -> str | None:
    return settings["teachers"].get(unit.teacher, {}).get("family")


def drawn(settings: dict, same: list[Unit], items: dict) -> np.ndarray:
    """Return performance [rounds, units] in points under other items and seeds."""
    cubes = [items[unit.base, unit.corpus, unit.recipe] for unit in same]
    return 100 * noise.performance_draws(cubes, settings["grid"]["bootstrap"], settings["grid"]["seed"])


def _labels(settings: dict, rows: list[dict]) -> dict:
    """{metric: (entry, role, sign of its direction, whether it is an own variant)}."""
    own = {own_variant(entry) for entry in settings["metrics"].values()} | set(ALWAYS)
    primary = settings["grid"]["primary"]
    primary = own_variant(settings["metrics"][primary]) if primary else None
    labels = {}
    for row in rows:
        metric, formula = row["metric"], row["formula"]
        baseline = formula in BASELINES and metric in own
        role = "primary" if metric == primary else "baseline" if baseline else "exploratory"
        entry = settings["metrics"][row["entry"]] if formula == OWN else {"formula": formula}
        labels[metric] = row["entry"], role, sign(entry), metric in own
    return labels


def _table(settings: dict, same: list[Unit], rows: list[dict], ap: dict, items: dict) -> Table:
    keys = [(unit.base, unit.corpus, unit.recipe) for unit in same]
    place = {(unit.base, unit.panel, unit.unit): i for i, unit in enumerate(same)}
    values = {}
    for row in rows:
        i = place.get((row["base"], row["panel"], row["unit"]))
        if i is not None:
            array = values.setdefault(row["metric"], np.full(len(same), np.nan))
            array[i] = np.nan if row.get("value") is None else row["value"]
    means = np.array([items[key].mean(0) for key in keys])
    return Table(
        names=[unit.unit for unit in same],
        ap=np.array([ap[key] for key in keys]),
        values=values,
        self_pair=np.array([unit.self_pair for unit in same]),
        families=[family_of(settings, unit) for unit in same],
        draws=drawn(settings, same, items),
        ceiling=standings.ceiling(means, seed=settings["grid"]["seed"]).ceiling,
    )


def _of_base(table: Table, labels: dict, rounds: int, seed: int) -> list[dict]:
    own = {metric: values for metric, values in table.values.items() if labels[metric][3]}
    family, cached, rows = stats.max_t(own, table.ap, seed=seed), {}, []
    for name, metric, left_out in _shown(table.values, labels, table.self_pair):
        entry, role, sign, _ = labels[metric]
        x, y = sign * table.values[metric], np.where(left_out, np.nan, table.ap)
        # many variants rank alike, and ranks are all that counts
        key = tuple(np.unique(x, return_inverse=True)[1]), tuple(np.isnan(x)), tuple(left_out)
        if key not in cached:
            found = stats.correlation(x, y, seed, rounds)
            without = stats.leave_one_out(x, y, table.families)
            cached[key] = found, noise.nested_intervals(x, y, table.draws, seed), _moved(found.rho, without)
        found, nested, moved = cached[key]
        labelled = {"metric": name, "entry": entry, "role": role, "p_max_t": family.get(name), "ceiling": table.ceiling}
        firm = _nested(nested, sign) | _by_family(moved, sign)
        rows.append(labelled | _numbers(found, sign) | firm | {"choice": _choice(x, y, table.names)})
    return rows


def _nested(found: noise.NestedIntervals, sign: int) -> dict:
    """The columns of what other units, items and seeds might have given; only rho has the sign of the metric's values."""
    ends = {"nested": _signed(found.rho, sign), "accuracy": _signed(found.pairwise_accuracy, 1)}
    ends |= {"regret_1": _signed(found.regret_1, 1), "regret_3": _signed(found.regret_3, 1)}
    return {
        f"{end}_{name}": value for name, pair in ends.items() for end, value in zip(("low", "high"), pair, strict=True)
    }


def _moved(rho: float | None, without: dict) -> tuple | None:
    """(lowest, highest, family that moves rho most) when one family is left out."""
    if rho is None or not without:
        return None
    return min(without.values()), max(without.values()), max(without, key=lambda name: abs(without[name] - rho))


def _by_family(moved: tuple | None, sign: int) -> dict:
    low, high = _signed(moved and moved[:2], sign)
    return {"low_family": low, "high_family": high, "family": moved and moved[2]}


def _shown(metrics, labels: dict, self_pair: np.ndarray) -> list[tuple]:
    """[(name of the row, metric, which units it leaves out)]"""
    shown = [(metric, metric, np.zeros_like(self_pair)) for metric in metrics]
    primary = [metric for metric in metrics if labels[metric][1] == "primary" and self_pair.any()]
    return shown + [(metric + WITHOUT_SELF_PAIRS, metric, self_pair) for metric in primary]


def _numbers(found: stats.Correlation, sign: int) -> dict:
    """The columns of a correlation; what has a direction gets that of the metric's own values."""
    low, high = _signed(found.bca, sign)
    low_bonett_wright, high_bonett_wright = _signed(found.bonett_wright, sign)
    kept = {key: getattr(found, key) for key in ("n", "p", "pairwise_accuracy", "regret_1", "regret_3", "reason")}
    rho, tau_b = (None if value is None else sign * value + 0.0 for value in (found.rho, found.tau_b))  # + 0.0: no -0.0
    wright = {"low_bonett_wright": low_bonett_wright, "high_bonett_wright": high_bonett_wright}
    return {**kept, "rho": rho, "tau_b": tau_b, "low": low, "high": high, **wright}


def _signed(interval, sign: int) -> tuple:
    return (None, None) if interval is None else tuple(sorted(sign * end for end in interval))


def _choice(x: np.ndarray, y: np.ndarray, names: list[str]) -> str | None:
    """The unit that a metric puts first, or those that it puts there together."""
    known = ~(np.isnan(x) | np.isnan(y))
    first = [name for name, value, has in zip(names, x, known, strict=True) if has and value == x[known].max()]
    return ", ".join(sorted(first)) or None


def _pooled(by_base: dict[str, Table], labels: dict, rounds: int, seed: int) -> list[dict]:
    """Rows over bases: the same units on each, missing ones NaN."""
    tables = list(by_base.values())
    names = sorted({name for table in tables for name in table.names})

    def aligned(table, values, nothing=np.nan):
        known = dict(zip(table.names, values, strict=True))
        return np.array([known.get(name, nothing) for name in names])

    ap = np.array([aligned(table, table.ap) for table in tables])
    draws = np.array([np.array([aligned(table, row) for row in table.draws]) for table in tables])
    weights = noise.teacher_weights(len(names), rounds, seed)
    family = {name: own for table in tables for name, own in zip(table.names, table.families, strict=True)}
    families = [family[name] for name in names]
    self_pair = np.array([aligned(table, table.self_pair, False) for table in tables])
    metrics, rows = dict.fromkeys(metric for table in tables for metric in table.values), []
    for name, metric, left_out in _shown(metrics, labels, self_pair):
        entry, role, sign, _ = labels[metric]
        nothing = np.full(len(names), np.nan)
        x = np.array([aligned(t, t.values[metric]) if metric in t.values else nothing for t in tables])
        x, y = sign * x, np.where(left_out, np.nan, ap)
        found = stats.pooled(x, y, seed, rounds)
        used = [base for base, own in enumerate(found.rhos) if own is not None]
        without = stats.leave_one_out(x[used], y[used], families) if used else {}
        nested = noise.nested_rho(x[used], y[used], draws[used], weights) if used else None
        low, high = _signed(found.bca, sign)
        rho = None if found.rho is None else sign * found.rho + 0.0
        row = {"metric": name, "entry": entry, "role": role, "n": found.n or 0, "rho": rho, "low": low, "high": high}
        reason = found.reason
        for number, base in reversed(list(enumerate(by_base, start=1))):
            reason = reason and reason.replace(f"base {number}: ", f"{base}: ")
        firm = _nested(noise.NestedIntervals(nested), sign) | _by_family(_moved(found.rho, without), sign)
        rows.append({**row, **firm, "p": found.p, "reason": reason})
    return rows
