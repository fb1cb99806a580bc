"""Metrics compared with each other: whether they rank alike, how many responses a ranking needs, and values by category."""

import math
from itertools import combinations

import numpy as np

from ..pages import plots
from ..stats import rank
from .data import PageData, blank, place, places
from .metrics import name_of, own_metrics
from .values import decimals

# responses of each teacher that a smaller study might draw
SIZES = (25, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
# from this share of pairs in their order a ranking counts as reliable
RELIABLE = 0.95
NORMAL = 1.96  # half a 95 % interval in standard errors


def section(data: PageData) -> dict:
    """Return what template/agreement.html shows."""
    return {"alike": between(data), "enough": enough(data), "categories": by_category(data)}


def between(data: PageData) -> dict | None:
    """Return {"names", "rows": one list per metric}: Spearman's rho of two metrics over units, mean over bases.

    The values of a metric whose low values promise a better student change sign, so 1 means that both would choose alike.
    """
    metrics = own_metrics(data)
    promises = [_promises(data, metric) for metric in metrics]
    rows = [[_mean_rho(first, second) for second in promises] for first in promises]
    shown = [i for i, row in enumerate(rows) if row[i] is not None]
    if len(shown) < 2:
        return None
    names = [name_of(metrics[i]) for i in shown]
    return {"names": names, "rows": [[rows[i][j] for j in shown] for i in shown]}


def _promises(data: PageData, metric: dict) -> dict[tuple, dict]:
    """Return {(base, panel): {unit: value, higher is better}}."""
    sign = -1 if metric["direction"] == "lowest" else 1
    by_place: dict[tuple, dict] = {}
    for row in data.inputs["metrics"]:
        if row["metric"] == metric["metric"] and row["value"] is not None:
            by_place.setdefault((row["base"], row["panel"]), {})[row["unit"]] = sign * row["value"]
    return by_place


def _mean_rho(first: dict, second: dict) -> float | None:
    """Return the mean over places of rho between two metrics (see `_promises`); None where no place has three units."""
    rhos = []
    for where in first.keys() & second.keys():
        shared = sorted(first[where].keys() & second[where].keys())
        if len(shared) > 2:
            rhos.append(
                rank.spearman([first[where][unit] for unit in shared], [second[where][unit] for unit in shared])
            )
    defined = [rho for rho in rhos if not math.isnan(rho)]
    return sum(defined) / len(defined) if defined else None


def enough(data: PageData) -> dict | None:
    """Return how many responses of each unit the first metric's ranking needs: {"metric", "plot", "needed": [(place, n or None)]}.

    With n in place of N responses, the standard error of a value grows by sqrt(N / n). A pair of units is then in its order
    with a probability that follows from the normal distribution, if units err independently. On the same prompts they err
    together, so pairs are more reliable than this.
    """
    for metric in own_metrics(data):
        pairs_of = {
            where: pairs for where in places(data) if len(pairs := differences(data, metric["metric"], *where)[0])
        }
        if pairs_of:
            break
    else:
        return None
    largest = max(differences(data, metric["metric"], *where)[1] for where in pairs_of)
    sizes = [n for n in SIZES if n < largest] + [largest]
    series = [
        plots.Line(place(data, *where), [(n, ordered(pairs, n)) for n in sizes], i)
        for i, (where, pairs) in enumerate(pairs_of.items())
    ]
    name = name_of(metric)
    plot = plots.lines(
        series,
        f"Share of pairs of {data.units_name} in the same order with fewer responses, {name}",
        f"From the intervals of {name}; one line per base.",
        f"responses of each {data.unit_name}",
        f"{name}: share of pairs in their order",
        steps=(0.5, 0.6, 0.7, 0.8, 0.9, 1),
    )
    sizes_needed = [(place(data, *where), _size_needed(pairs, SIZES)) for where, pairs in pairs_of.items()]
    return {"metric": name, "plot": plot, "needed": sizes_needed, "share": RELIABLE}


def differences(data: PageData, metric: str, base: str, panel: str | None) -> tuple[np.ndarray, int]:
    """Return |difference| / standard error of all pairs of units, as for one response of each; and the most responses of a unit."""
    rows = [
        row for row in data.inputs["metrics"] if (row["metric"], row["base"], row["panel"]) == (metric, base, panel)
    ]
    estimates = [
        (row["value"], (row["high"] - row["low"]) / 2 / NORMAL * math.sqrt(row["n"]), row["n"])
        for row in rows
        if None not in (row["value"], row["low"], row["high"]) and row["n"]
    ]
    ratios = [
        abs(a - b) / math.hypot(s, t) if math.hypot(s, t) else (math.inf if a != b else 0.0)
        for (a, s, _), (b, t, _) in combinations(estimates, 2)
    ]
    return np.array(ratios), max((n for *_, n in estimates), default=0)


def ordered(pairs: np.ndarray, n: int) -> float:
    """Return the expected share of pairs in their order among n responses of each. pairs: as `differences` returns them."""
    return float(np.mean([0.5 * math.erfc(-pair * math.sqrt(n) / math.sqrt(2)) for pair in pairs]))


def _size_needed(pairs: np.ndarray, sizes: tuple[int, ...]) -> int | None:
    return next((n for n in sizes if ordered(pairs, n) >= RELIABLE), None)


def by_category(data: PageData) -> dict | None:
    """Return {"metric", "tables"} of the first metric that has values by category: tables as values.tables returns them, of
    one column per category."""
    rows = data.inputs["by_category"]
    with_values = {row["metric"] for row in rows if row["value"] is not None}
    metric = next((m for m in own_metrics(data) if m["metric"] in with_values), None)
    if metric is None:
        return None
    name = name_of(metric)
    rows = [row for row in rows if row["metric"] == metric["metric"]]
    tables = [_by_category(data, base, panel, rows, name) for base, panel in places(data)]
    return {"metric": name, "tables": tables}


def _by_category(data: PageData, base: str, panel: str | None, rows: list[dict], name: str) -> dict:
    by_cell = {(r["unit"], r["category"]): r for r in rows if (r["base"], r["panel"]) == (base, panel)}
    with_values = {where for where, row in by_cell.items() if row["value"] is not None}
    units = [unit for unit in data.units if any(unit == u for u, _ in with_values)]
    columns = [
        {
            "entry": category,
            "name": category,
            "metric": name,
            "role": None,
            "description": None,
            "direction": None,
            "digits": decimals([by_cell[unit, category] for unit in units if (unit, category) in with_values]),
        }
        for category in sorted({category for _, category in with_values})
    ]
    cells = {u: [by_cell.get((u, column["entry"])) or blank("metrics") for column in columns] for u in units}
    return {
        "name": place(data, base, panel),
        "columns": columns,
        "rows": [{"unit": unit, "cells": cells[unit]} for unit in units],
        # the table of all values already shows these of the metric
        "absent": {},
        "undefined": {},
    }
