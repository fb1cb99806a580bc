"""Gain over the untuned base by task and category, with those that lose."""

from . import plots, text
from .facts import Facts, blank, place, places


def gains(facts: Facts) -> list[dict]:
    """Return per base: {"name", "plot" of the best and the last unit, "columns", "rows", "won", "lost", "cells"}.

    A measure is suite/judge/task/category where categories are known, else suite/judge/task or suite/judge.
    """
    rows = [r for r in facts.data["performance"] if r["kind"] != "reference" and r["gain"] is not None]
    names = finest(list(dict.fromkeys(r["measure"] for r in rows if r["measure"] != "AP")))
    found = []
    for base, panel in places(facts):
        by = {(r["unit"], r["measure"]): r for r in rows if (r["base"], r["panel"]) == (base, panel)}
        units = [unit for unit in facts.units if any((unit, name) in by for name in names)]
        if not units:
            continue
        units.sort(key=lambda unit: -(facts.cell(base, panel, unit)["value"] or 0))
        cells = [r for key, r in by.items() if key[1] in names]
        found.append(
            {
                "name": place(facts, base, panel),
                "plot": _plot(place(facts, base, panel), dict.fromkeys((units[0], units[-1])), names, by),
                "shown": list(dict.fromkeys((units[0], units[-1]))),
                "columns": [short(name, names) for name in names],
                "rows": [{"unit": unit, "cells": [by.get((unit, name), {}) for name in names]} for unit in units],
                "won": sum((r["gain_low"] or 0) > 0 for r in cells),
                "lost": sum((r["gain_high"] or 0) < 0 for r in cells),
                "cells": len(cells),
                "widest": max((abs(r["gain"]) for r in cells), default=1),
            }
        )
    return found


def finest(names: list[str]) -> list[str]:
    """Return the measures that no other one divides further."""
    return [name for name in names if not any(other.startswith(name + "/") for other in names)]


def short(name: str, names: list[str]) -> str:
    """Return a measure's name without the leading parts that all share."""
    split = [other.split("/") for other in names]
    shared = 0
    while len({tuple(parts[: shared + 1]) for parts in split}) == 1 and all(len(parts) > shared + 1 for parts in split):
        shared += 1
    return "/".join(name.split("/")[shared:])


def _plot(name, units, names, by):
    rows = []
    for measure in names:
        for i, unit in enumerate(units):
            row = by.get((unit, measure)) or blank("performance")
            interval = text.within(row["gain"], row["gain_low"], row["gain_high"], sign=True)
            rows.append(
                {
                    "label": short(measure, names) if i == 0 else "",
                    "value": row["gain"],
                    "low": row["gain_low"],
                    "high": row["gain_high"],
                    "text": text.number(row["gain"], sign=True),
                    "series": 0,
                    "css": "best" if i == 0 else "behind",
                    "title": f"{unit}, {measure}: {interval} ({row['n_items']} items)",
                }
            )
    return plots.dots(
        rows,
        f"Gain over the untuned base by task, {name}",
        f"Points of score with 95 % intervals: {' (filled) and '.join(units)}.",
        f"{name}: gain in points",
        lines=[(0.0, "", "zero")],
    )
