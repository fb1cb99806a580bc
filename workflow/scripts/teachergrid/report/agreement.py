"""Metrics beside each other: whether they rank alike, how many responses a ranking needs, and values by category."""

import math
from itertools import combinations

import numpy as np

from ..pages import plots
from ..stats import rank
from .data import PageData, blank, place, places
from .metrics import own_metrics
from .values import decimals

# responses of each teacher that a smaller study might draw
SIZES = (25, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
# share of pairs in their order from which a ranking counts as known
KNOWN = 0.95
NORMAL = 1.96  # half a 95 % interval in standard errors


def section(data: PageData) -> dict:
    """Return what template/agreement.html shows."""
    return {"alike": between(data), "enough": enough(data), "categories": by_category(data)}


def between(data: PageData) -> dict | None:
    """Return {"names", "rows": one list per metric}: Spearman's rho of the promises of two metrics over units, mean over bases.

    Where a metric's low values are its promise it is turned round, so that 1 means that both would choose alike.
    """
    metrics = own_metrics(data)
    promises = [_promises(data, metric) for metric in metrics]
    rows = [[_alike(one, other) for other in promises] for one in promises]
    kept = [i for i, row in enumerate(rows) if row[i] is not None]
    if len(kept) < 2:
        return None
    names = [metrics[i]["entry"] or metrics[i]["metric"] for i in kept]
    return {"names": names, "rows": [[rows[i][j] for j in kept] for i in kept]}


def _promises(data: PageData, metric: dict) -> dict[tuple, dict]:
    """{(base, panel): {unit: value, greater is better}}"""
    sign = -1 if metric["direction"] == "lowest" else 1
    found: dict[tuple, dict] = {}
    for row in data.inputs["metrics"]:
        if row["metric"] == metric["metric"] and row["value"] is not None:
            found.setdefault((row["base"], row["panel"]), {})[row["unit"]] = sign * row["value"]
    return found


def _alike(one: dict, other: dict) -> float | None:
    rhos = []
    for where in one.keys() & other.keys():
        shared = sorted(one[where].keys() & other[where].keys())
        if len(shared) > 2:
            rhos.append(rank.spearman([one[where][unit] for unit in shared], [other[where][unit] for unit in shared]))
    known = [rho for rho in rhos if not math.isnan(rho)]
    return sum(known) / len(known) if known else None


def enough(data: PageData) -> dict | None:
    """Return how many responses of each unit the first metric's ranking needs: {"metric", "plot", "needed": [(place, n or None)]}.

    From the intervals of values: of n responses, values err by what they err here times sqrt(here / n), on their own for each
    unit. A pair is then in its order with a normal probability; matched prompts err together, which makes pairs surer than this.
    """
    for metric in own_metrics(data):
        found = {where: pairs for where in places(data) if len(pairs := differences(data, metric["metric"], *where)[0])}
        if found:
            break
    else:
        return None
    most = max(differences(data, metric["metric"], *where)[1] for where in found)
    sizes = [n for n in SIZES if n < most] + [most]
    series = [
        plots.Line(place(data, *where), [(n, ordered(pairs, n)) for n in sizes], i)
        for i, (where, pairs) in enumerate(found.items())
    ]
    name = metric["entry"] or metric["metric"]
    plot = plots.lines(
        series,
        f"Share of pairs of {data.units_name} in the same order with fewer responses, {name}",
        f"From the intervals of {name}; one line per base.",
        f"responses of each {data.compare}",
        f"{name}: share of pairs in their order",
        steps=(0.5, 0.6, 0.7, 0.8, 0.9, 1),
    )
    needed = [(place(data, *where), _needed(pairs, SIZES)) for where, pairs in found.items()]
    return {"metric": name, "plot": plot, "needed": needed, "share": KNOWN}


def differences(data: PageData, metric: str, base: str, panel: str | None) -> tuple[np.ndarray, int]:
    """Return |difference| / its standard error for one response of each, of all pairs of units; and the most responses of one."""
    here = [
        row for row in data.inputs["metrics"] if (row["metric"], row["base"], row["panel"]) == (metric, base, panel)
    ]
    known = [
        (row["value"], (row["high"] - row["low"]) / 2 / NORMAL * math.sqrt(row["n"]), row["n"])
        for row in here
        if None not in (row["value"], row["low"], row["high"]) and row["n"]
    ]
    sure = [
        abs(a - b) / math.hypot(s, t) if math.hypot(s, t) else (math.inf if a != b else 0.0)
        for (a, s, _), (b, t, _) in combinations(known, 2)
    ]
    return np.array(sure), max((n for *_, n in known), default=0)


def ordered(pairs: np.ndarray, n: int) -> float:
    """Return the expected share of pairs in their order among n responses of each. pairs: as `differences` returns them."""
    return float(np.mean([0.5 * math.erfc(-pair * math.sqrt(n) / math.sqrt(2)) for pair in pairs]))


def _needed(pairs: np.ndarray, sizes: tuple[int, ...]) -> int | None:
    return next((n for n in sizes if ordered(pairs, n) >= KNOWN), None)


def by_category(data: PageData) -> dict | None:
    """Return {"metric", "tables"} of the first metric that has values by category: tables as values.tables returns them, of
    one column per category."""
    rows = data.inputs["by_category"]
    known = {row["metric"] for row in rows if row["value"] is not None}
    metric = next((m for m in own_metrics(data) if m["metric"] in known), None)
    if metric is None:
        return None
    name = metric["entry"] or metric["metric"]
    rows = [row for row in rows if row["metric"] == metric["metric"]]
    found = [_by_category(data, base, panel, rows, name) for base, panel in places(data)]
    return {"metric": name, "tables": found}


def _by_category(data: PageData, base: str, panel: str | None, rows: list[dict], name: str) -> dict:
    here = {(r["unit"], r["category"]): r for r in rows if (r["base"], r["panel"]) == (base, panel)}
    known = {where for where, row in here.items() if row["value"] is not None}
    units = [unit for unit in data.units if any(unit == u for u, _ in known)]
    columns = [
        {
            "entry": category,
            "metric": name,
            "role": None,
            "description": None,
            "direction": None,
            "digits": decimals([here[unit, category] for unit in units if (unit, category) in known]),
        }
        for category in sorted({category for _, category in known})
    ]
    cells = {u: [here.get((u, column["entry"])) or blank("metrics") for column in columns] for u in units}
    return {
        "name": place(data, base, panel),
        "columns": columns,
        "rows": [{"unit": unit, "cells": cells[unit]} for unit in units],
        # the table of all values says these of the metric
        "absent": {},
        "undefined": {},
    }
