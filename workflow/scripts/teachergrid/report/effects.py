"""What the effects of a grid say: siblings and kinship, where differences come from, metric against metric, and what more would buy."""

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

from ..pages import plots, text
from ..pages.labels import Point
from .data import POOLED, PageData, Row, place, places
from .metrics import name_of, own_metrics

# effect -> what its notes are about
SUBJECTS = {"rises": "siblings", "self_pair": "self-pairs", "own_family": "family", "step": "siblings"}
TEACHERS = {"self_pair": "Teachers that descend from a base", "own_family": "Other teachers of a base\u2019s family"}


def siblings(data: PageData) -> dict:
    """Return {"plots": steps within families by base, "sentences", "notes": what could not be tested}."""
    effects = [row for row in data.inputs["effects"] if row["effect"] in SUBJECTS]
    plots_of_steps = [_steps(data, base, panel, effects) for base, panel in places(data)]
    sentences = [_sentence(data, row) for row in effects if row["effect"] != "step" and row["value"] is not None]
    sizes = [row for row in data.inputs["correlations"] if row["metric"] == "size" and row["rho"] is not None]
    return {
        "plots": [plot for plot in plots_of_steps if plot],
        "sentences": [*sentences, *(_size_sentence(data, row) for row in sizes)],
        "notes": list(dict.fromkeys(f"{SUBJECTS[r['effect']]}: {r['reason']}" for r in effects if r["reason"])),
    }


def _where(data: PageData, row: Row) -> str:
    return place(data, "mean over bases" if row["base"] == POOLED else row["base"], row["panel"])


def _sentence(data: PageData, row: Row) -> str:
    """Return an effect in words. row: of artifacts.EFFECTS."""
    where, n, p = _where(data, row), row["n"], text.probability(row["p"])
    plural = "s" if n > 1 else ""
    if row["effect"] == "rises":
        steps = f"{row['value'] * n:g} of {n} step{plural}"
        return f"{where}: the bigger sibling is the better teacher in {steps} (exact p {p})."
    value = text.number(row["value"], 2, sign=True)
    return f"{TEACHERS[row['effect']]}: {value} sd on that base against the others ({n} cell{plural}, p {p})."


def _size_sentence(data: PageData, row: Row) -> str:
    """Return how size ranks the teachers. row: of artifacts.CORRELATIONS."""
    rho, p = text.within(row["rho"], row["low"], row["high"], 2), text.probability(row["p"])
    return f"{_where(data, row)}: size ranks {row['n']} teachers as performance does with rho {rho} (p {p})."


def _steps(data: PageData, base: str, panel: str | None, effects: list[Row]) -> Markup | None:
    steps = [row for row in effects if (row["base"], row["panel"], row["effect"]) == (base, panel, "step")]
    if not steps:
        return None
    return plots.dots(
        [_step(data, row) for row in steps],
        f"Steps within families, students of {place(data, base, panel)}",
        "One row per step, named after the bigger sibling, with 95 % intervals; right of the line the bigger one teaches better.",
        f"{place(data, base, panel)}: AP of the bigger minus that of the next smaller",
        lines=[plots.ZERO],
    )


def _step(data: PageData, row: Row) -> plots.Dot:
    difference = text.within(row["value"], row["low"], row["high"], sign=True)
    return plots.Dot(
        label=row["larger"],
        value=row["value"],
        low=row["low"],
        high=row["high"],
        text=text.number(row["value"], sign=True),
        title=f"{row['smaller']} to {row['larger']}: {difference}; p (Holm) {text.probability(row['p_holm'])}",
        series=data.families.index(row["family"]) if row["family"] in data.families else 0,
    )


# --- where differences come from, and what more would buy

COMPONENTS = ("teacher", "family", "base x teacher", "seed", "items")
GAINS = {"error": 1, "ceiling": 2, "regret": 2, "best": 1}  # columns of what more would buy, with their decimals


def section(data: PageData) -> dict[str, Any]:
    """Return what template/effects.html shows: one entry per panel."""
    return {
        "panels": [_panel(data, panel) for panel in data.panels],
        "limit": data.settings["grid"].get("smallest_difference"),
    }


def _panel(data: PageData, panel: str | None) -> dict[str, Any]:
    rows = [row for row in data.inputs["effects"] if row["panel"] == panel]
    return {
        "name": panel if len(data.panels) > 1 else None,
        "components": _named(_components(rows, data.bases), data),
        "after": _named(_after(rows, data.bases), data),
        "policies": _by_subject(rows, "policy", data.bases),
        "fronts": [found for base in data.bases if (found := _front(data, base, panel, rows))],
        "concordance": [row for row in rows if row["effect"] == "concordance"],
        "interaction": _first(rows, "interaction"),
        "for_all": dict.fromkeys(("mean", "z-score", "rank"))
        | {row["other"]: row for row in rows if row["effect"] == "one_for_all"},
        "own": _first(rows, "own"),
        "equivalent": [row for row in rows if row["effect"] == "equivalent"],
        "combination": _combinations(rows),
        "contrasts": _contrasts(data, rows),
        "partials": _partials(data, rows),
    }


def _named(rows: list[dict], data: PageData) -> list[dict]:
    """Return rows about parts and additions, with what this grid compares in the place of teachers."""
    return [row | {"name": row["name"].replace("teacher", data.unit_name)} for row in rows]


def _first(rows: Iterable[Row], effect: str) -> Row | None:
    return next((row for row in rows if row["effect"] == effect and row["value"] is not None), None)


def _components(rows: list[Row], bases: list[str]) -> list[dict]:
    """Return {"name", "where", "value", "sd", "reason"} of each component of AP's variance."""
    found = {(row["subject"], row["base"]): row for row in rows if row["effect"] == "variance"}
    places_of = {name: [POOLED] if name in COMPONENTS[:3] else bases for name in COMPONENTS}
    shown = [(name, base, found.get((name, base))) for name, of_bases in places_of.items() for base in of_bases]
    return [
        {
            "name": name,
            "where": "over bases" if base == POOLED else base,
            "sd": _root(row["value"]),
            "reason": row["reason"],
        }
        for name, base, row in shown
        if row is not None
    ]


def _root(value: float | None) -> float | None:
    return None if value is None else max(0.0, value) ** 0.5


def _after(rows: list[Row], bases: list[str]) -> list[dict]:
    """Return {"base", "name", "cells": text per key of GAINS} of what the grid has now and of each thing more."""
    values: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        if row["effect"] == "after":
            values.setdefault((row["base"], row["subject"]), {})[row["other"]] = row["value"]
    keys = sorted(values, key=lambda key: bases.index(key[0]))
    return [
        {
            "base": base,
            "name": name,
            "cells": [text.number(values[base, name].get(key), digits) for key, digits in GAINS.items()],
        }
        for base, name in keys
    ]


def _by_subject(rows: list[Row], effect: str, bases: list[str]) -> list[dict]:
    """Return {"name", "cells": [row of each base, or None]} for each subject of an effect."""
    found = {(row["subject"], row["base"]): row for row in rows if row["effect"] == effect}
    names = dict.fromkeys(name for name, _ in found)
    return [{"name": name, "cells": [found.get((name, base)) for base in bases]} for name in names]


def _front(data: PageData, base: str, panel: str | None, rows: list[Row]) -> dict | None:
    """Return {"base", "plot", "teachers": rows of the front, the cheapest first} of a base; None where no two costs are known."""
    own = [row for row in rows if row["base"] == base and row["value"] is not None]
    costs = {row["subject"]: row["value"] for row in own if row["effect"] == "cost"}
    found = {row["subject"]: row for row in own if row["effect"] == "front" and row["subject"] in costs}
    if not found:
        return None
    where = place(data, base, panel)
    cells = {name: data.cell(base, panel, name) for name in found}
    plot = plots.scatter(
        [
            Point(
                x=costs[name],
                y=cells[name]["value"],
                label=name,
                y_low=cells[name]["low"],
                y_high=cells[name]["high"],
                series=0 if row["other"] is None else 1,
                css="" if row["other"] is None else "behind",
                title=f"{name}: cost {text.significant(costs[name])} times, AP {text.number(cells[name]['value'])}",
                linked=row["other"] is None,
            )
            for name, row in found.items()
        ],
        f"Cost and quality, students of {where}",
        "One mark per teacher, with 95 % intervals; a line joins those that no other one beats for as little.",
        "Cost of writing the responses, times the cheapest",
        f"{where}: AP, 0 to 100",
        log=lambda cost: text.significant(cost),
    )
    names = sorted(found, key=lambda name: costs[name])
    return {
        "base": where,
        "plot": plot,
        "teachers": [
            {
                "name": name,
                "cost": costs[name],
                "ap": cells[name],
                "sure": found[name]["value"],
                "behind": found[name]["other"],
            }
            for name in names
        ],
    }


def _combinations(rows: list[Row]) -> dict[str, Row | None]:
    found = {row["effect"]: row for row in rows if row["effect"] in ("combination", "picked_metric")}
    return {"combination": None, "picked_metric": None, **found}


def matched(data: PageData) -> list[dict]:
    """Return what teachers reach at equal training tokens: {"teacher", "tokens", "cells": [(whole corpus, its part)] by place}.

    A part is a derived corpus of one teacher with a budget of tokens. The cells are rows of artifacts.PERFORMANCE.
    """
    rows = []
    for name, corpus in data.settings["corpora"].items():
        teachers = corpus.get("teachers") or []
        if corpus.get("tokens") and len(teachers) == 1:
            cells = [(data.cell(*where, teachers[0]), data.cell(*where, name)) for where in places(data)]
            if any(part["value"] is not None for _, part in cells):
                rows.append({"teacher": teachers[0], "tokens": corpus["tokens"], "cells": cells})
    return sorted(rows, key=lambda row: row["tokens"])


# --- metrics


def _names(data: PageData) -> dict[str, str]:
    """Return {metric: its name on the page}."""
    return {metric["metric"]: name_of(metric) for metric in own_metrics(data)}


def against_primary(data: PageData, base: str, panel: str | None) -> dict[str, Row]:
    """Return {metric: the row that compares the primary metric with it by rho, on this base or over all}."""
    primary = next((metric["metric"] for metric in own_metrics(data) if metric["role"] == "primary"), None)
    rows = [
        row
        for row in data.inputs["effects"]
        if (row["base"], row["panel"], row["effect"]) == (base, panel, "metric_rho")
    ]
    return {row["other"]: row for row in rows if row["subject"] == primary and row["value"] is not None}


def _contrasts(data: PageData, rows: list[Row]) -> list[dict]:
    """Return every pair of metrics: {"first", "second", "rho", "families", "regret": rows}, over all bases or on the only one."""
    names, where = _names(data), POOLED if len(data.bases) > 1 else next(iter(data.bases), None)
    pairs: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        if row["effect"].startswith("metric_") and row["base"] == where and row["value"] is not None:
            pairs.setdefault((row["subject"], row["other"]), {})[row["effect"].removeprefix("metric_")] = row
    return [
        {
            "first": names.get(first, first),
            "second": names.get(second, second),
            "rho_families": None,
            "regret": None,
            **found,
        }
        for (first, second), found in pairs.items()
        if "rho" in found
    ]


def _partials(data: PageData, rows: list[Row]) -> list[dict]:
    """Return {"name", "cells": [row at equal length, row at equal length and size]} over all bases or on the only one."""
    names, where = _names(data), POOLED if len(data.bases) > 1 else next(iter(data.bases), None)
    found = {(row["subject"], row["other"]): row for row in rows if row["effect"] == "partial" and row["base"] == where}
    kinds = sorted({fixed for _, fixed in found}, key=len)
    metrics = [metric for metric in names if any((metric, fixed) in found for fixed in kinds)]
    return [
        {"name": names[metric], "cells": {fixed: found.get((metric, fixed)) for fixed in kinds}} for metric in metrics
    ]
