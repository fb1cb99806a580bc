"""Performance by benchmark: which unit is best where; gain over the untuned base by task and category, including losses."""

from collections import Counter
from statistics import median

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
        "measures": measures,
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


# --- which unit is best where


def benchmarks(data: PageData) -> dict | None:
    """Return which unit is best on which benchmark; None where there is one benchmark only.

    A benchmark is suite/judge, or suite/judge/task where a suite has several tasks, and each named value that is part of AP.

    Returns: {"scores": of all, "columns": places, "rows": [{"name", "score", "n", "cells": one of each place: {"best", "value",
        "tied": how many others are tied with it, "of"}, "drawn"}], "tables": of each place: {"name", "columns", "rows": [{"unit", "cells"}]}, where AP
        is the last cell}.
    """
    students = [row for row in data.inputs["performance"] if row["kind"] != "reference" and row["value"] is not None]
    primary = data.settings["grid"]["performance"] or []
    scores = _benchmarks(list(dict.fromkeys(row["measure"] for row in students)), primary)
    if len(scores) < 2:
        return None
    of_cell = {(row["base"], row["panel"], row["unit"], row["measure"]): row for row in students}
    columns = places(data)
    rows = []
    for score in scores:
        of_score = [row for row in students if row["measure"] == score]
        cells = [_best([row for row in of_score if (row["base"], row["panel"]) == column]) for column in columns]
        n = max((row["n_items"] or 0 for row in of_score), default=0)
        rows.append({"name": short(score, scores), "score": score, "n": n, "cells": cells, "drawn": _drawn(of_score)})
    tables = [_differences(data, base, panel, scores, of_cell) for base, panel in columns]
    return {"scores": scores, "rows": rows, "tables": [table for table in tables if table["rows"]], "columns": columns}


def _benchmarks(measures: list[str], primary: list[str]) -> list[str]:
    """Return the measures that are benchmarks. primary: those behind AP, which may be named values such as pass@1."""
    tasks = Counter(name.rpartition("/")[0] for name in measures if name.count("/") == 2 and ":" not in name)
    split = {name for name, number in tasks.items() if number > 1}  # suites whose tasks are benchmarks of their own
    whole = [name for name in measures if name.count("/") == 1 and name not in split]
    parts = [name for name in measures if name.count("/") == 2 and ":" not in name and name.rpartition("/")[0] in split]
    return [name for name in measures if name in {*whole, *parts} or (":" in name and name in primary)]


def _drawn(rows: list[Row]) -> float | None:
    """Return the median share of the variance of a benchmark's values that comes from drawing answers; None with one answer an item."""
    known = [row for row in rows if row["se_drawn"] is not None and row["low"] is not None and row["high"] > row["low"]]
    # a 95 % interval is 2 * 1.96 standard errors wide
    return median((3.92 * row["se_drawn"] / (row["high"] - row["low"])) ** 2 for row in known) if known else None


def _best(rows: list[Row]) -> Row:
    """Return the best unit of a benchmark on one base. rows: of artifacts.PERFORMANCE."""
    best = next((row for row in rows if row["behind_best"] == 0), None)
    if best is None:
        return {"best": None}
    tied = sum(bool(row["tied_with_best"]) for row in rows) - 1
    return {"best": best["unit"], "value": best["value"], "tied": tied, "of": len(rows)}


def _differences(data: PageData, base: str, panel: str | None, scores: list[str], of_cell: dict) -> dict:
    """Return how far each unit is behind the best of each benchmark, on one base; AP is the last column."""
    units = [unit for unit in data.units if any((base, panel, unit, score) in of_cell for score in scores)]
    units.sort(key=lambda unit: -(data.cell(base, panel, unit)["value"] or 0))
    columns = [*scores, "AP"]
    cells = [[_difference(of_cell.get((base, panel, unit, score))) for score in columns] for unit in units]
    for column in zip(*cells, strict=True):
        widest = max(cell.get("behind") or 0 for cell in column)
        for cell in filter(None, column):
            cell["shade"] = f"{1 - (cell['behind'] or 0) / widest if widest else 1:.2f}"
    rows = [{"unit": unit, "cells": row} for unit, row in zip(units, cells, strict=True)]
    return {"name": place(data, base, panel), "columns": [short(score, scores) for score in scores], "rows": rows}


def _difference(row: Row | None) -> Row:
    if row is None or row["behind_best"] is None:
        return {}
    parts = [f"{row['unit']}: {text.within(row['value'], row['low'], row['high'])}"]
    if row["behind_best"]:
        behind = text.within(row["behind_best"], row["behind_low"], row["behind_high"])
        parts.append(f"behind the best by {behind}, p {text.probability(row['p_behind'])} (Holm)")
    if row["gain"] is not None:
        gain = text.within(row["gain"], row["gain_low"], row["gain_high"], sign=True)
        parts.append(f"gain {gain}, p {text.probability(row['p_gain_holm'])} (Holm)")
    if row["se_drawn"] is not None:
        parts.append(f"standard error by drawing answers {text.number(row['se_drawn'], 2)}")
    return {
        "behind": row["behind_best"],
        "value": row["value"],
        "best": row["behind_best"] == 0,
        "tied": bool(row["tied_with_best"]),
        "title": "; ".join(parts),
    }
