"""Gain over the untuned base by task and category, including losses."""

from markupsafe import Markup

from ..pages import plots, text
from .data import PageData, Row, blank, place, places

Gains = dict[tuple[str, str], Row]  # (unit, measure) -> row of artifacts.PERFORMANCE


def gains(data: PageData, circular: bool = False) -> list[dict]:
    """Return the gains on each base that has any.

    circular: whether by judges that decide by a reward of a metric, instead of by all others.

    A measure is suite/judge/task/category where categories are known, else suite/judge/task or suite/judge.

    Returns: {"name", "plot": of the best and the last unit, "shown": these units, "columns": short names of the measures,
        "rows": {"unit", "cells"}, "won" and "lost": the numbers of gains above and below 0, "cells": the number of gains,
        "widest": the largest gain or loss}.
    """
    rows = [r for r in data.inputs["performance"] if r["kind"] != "reference" and r["gain"] is not None]
    judged = list(dict.fromkeys(r["measure"] for r in rows if r["measure"] != "AP"))
    measures = finest([name for name in judged if is_circular(data, name) == circular])
    sections = []
    for base, panel in places(data):
        rows_of = {(r["unit"], r["measure"]): r for r in rows if (r["base"], r["panel"]) == (base, panel)}
        units = [unit for unit in data.units if any((unit, measure) in rows_of for measure in measures)]
        units.sort(key=lambda unit: -(data.cell(base, panel, unit)["value"] or 0))
        if units:
            sections.append(_section(place(data, base, panel), units, measures, rows_of))
    return sections


def is_circular(data: PageData, measure: str) -> bool:
    """Whether a measure, suite/judge/..., is by a judge that decides by a reward of a metric."""
    return not data.inputs["circular"].keys().isdisjoint(measure.split("/")[1:2])


def _section(name: str, units: list[str], measures: list[str], gains: Gains) -> dict:
    """Return the gains on one base. units: best first."""
    cells = [row for (_, measure), row in gains.items() if measure in measures]
    shown = list(dict.fromkeys((units[0], units[-1])))
    return {
        "name": name,
        "plot": _plot(name, shown, measures, gains),
        "shown": shown,
        "columns": [short(measure, measures) for measure in measures],
        "rows": [{"unit": unit, "cells": [gains.get((unit, m), {}) for m in measures]} for unit in units],
        "won": sum((row["gain_low"] or 0) > 0 for row in cells),
        "lost": sum((row["gain_high"] or 0) < 0 for row in cells),
        "cells": len(cells),
        "widest": max((abs(row["gain"]) for row in cells), default=1),
    }


def finest(measures: list[str]) -> list[str]:
    """Return the measures that no other one divides further."""
    return [name for name in measures if not any(other.startswith(name + "/") for other in measures)]


def short(measure: str, measures: list[str]) -> str:
    """Return a measure's name without the leading parts that all share."""
    split = [other.split("/") for other in measures]
    shared = 0
    while len({tuple(parts[: shared + 1]) for parts in split}) == 1 and all(len(parts) > shared + 1 for parts in split):
        shared += 1
    return "/".join(measure.split("/")[shared:])


def _plot(name: str, units: list[str], measures: list[str], gains: Gains) -> Markup:
    """Return the plot of one or two units: the first is filled, the second hollow below it."""
    rows = []
    for measure in measures:
        for unit in units:
            first = unit == units[0]
            row = gains.get((unit, measure)) or blank("performance")
            interval = text.within(row["gain"], row["gain_low"], row["gain_high"], sign=True)
            rows.append(
                plots.Dot(
                    label=short(measure, measures) if first else "",
                    value=row["gain"],
                    low=row["gain_low"],
                    high=row["gain_high"],
                    text=text.number(row["gain"], sign=True),
                    css="best" if first else "behind",
                    title=f"{unit}, {measure}: {interval} ({row['n_items']} items)",
                )
            )
    return plots.dots(
        rows,
        f"Gain over the untuned base by task, {name}",
        f"Points of score with 95 % intervals: {' (filled) and '.join(units)}.",
        f"{name}: gain in points",
        lines=[plots.ZERO],
    )
