"""The answer: per base the teacher to use with how sure that is, the base x teacher table behind it, and what a pilot chose before."""

import math
from collections.abc import Iterable

from markupsafe import Markup

from ..pages import plots, text
from .data import NOT_IN_GRID, PageData, Row, role_of, why_missing
from .metrics import name_of, own_metrics


def answers(data: PageData) -> list[dict]:
    """Return the answer for each base: the recommendation with all its keys (None where unknown), and its plots."""
    recommendations = data.inputs["recommendation"].get("bases") or {}
    bases = dict.fromkeys([*data.bases, *recommendations])
    return [answer(data, base, recommendations.get(base) or {}) for base in bases]


def answer(data: PageData, base: str, recommendation: Row) -> dict:
    """Return what the page says about one base. recommendation: of recommendation.yaml, {} where there is none."""
    get = recommendation.get
    best, gain, gain_low, gain_high = get("best"), get("gain"), get("gain_low"), get("gain_high")
    beats = beats_untuned(gain, gain_low, gain_high)
    teacher = data.settings["teachers"].get(best or "") or {}
    untuned = next((row for row in data.references.get(base, []) if row["model"] == get("untuned_reference")), {})
    return {
        "base": base,
        "best": best,
        "score": text.within(get("value"), get("low"), get("high")),
        "p_best": get("p_best"),
        "one_seed": len(get("seeds") or []) < 2,
        "tied": [unit for unit in get("tied") or [] if unit != best],
        "equivalent": get("equivalent") or [],
        "smallest": get("smallest_equivalent"),
        "limit": get("smallest_difference"),
        "gain": text.within(gain, gain_low, gain_high),
        "behind": text.within(_negative(gain), _negative(gain_high), _negative(gain_low)),
        "beats_untuned": beats,
        "untuned": get("untuned_reference"),
        "untuned_formats": len(untuned_formats(data, base)),
        "untuned_score": get("untuned_value", untuned.get("value")),
        "untuned_in_chat": untuned_in_chat(data, base, recommendation),
        "self_pair": bool(get("self_pair")),
        "licence": get("licence") or teacher.get("licence"),
        "output_terms": get("output_terms") or teacher.get("output_terms"),
        "primary": primary(data, get("primary_metric") or {}),
        "reason": get("reason"),
        "panels": [_panel(name, panel) for name, panel in (get("panels") or {}).items()],
        "plots": [ranking(data, base, panel) for panel in data.panels],
    }


def primary(data: PageData, found: Row) -> Row:
    """Return what the primary metric would have chosen, with the metric's name on the page. found: of recommendation.yaml."""
    name = next((name_of(metric) for metric in own_metrics(data) if metric["metric"] == found.get("metric")), None)
    return {"choice": None, "regret": None, "circular": [], **found, "metric": name or found.get("metric")}


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def beats_untuned(gain: float | None, low: float | None, high: float | None) -> str | None:
    """Return "yes", "no", or "unsure" where the interval of a gain reaches 0 or is unknown; None without a gain."""
    if gain is None:
        return None
    if low is None or high is None:
        return "unsure"
    return "yes" if low > 0 else "no" if high < 0 else "unsure"


def _panel(name: str, panel: Row) -> dict:
    score = text.within(panel.get("value"), panel.get("low"), panel.get("high"))
    return {"name": name, "best": panel.get("best"), "score": score}


def untuned_formats(data: PageData, base: str) -> set[str | None]:
    """Return the formats in which the untuned base was prompted and has a performance."""
    roles = [role_of(row["model"], data) for row in data.references.get(base, []) if row["value"] is not None]
    return {role["format"] for role in roles if role["role"] == "untuned"}


def untuned_in_chat(data: PageData, base: str, recommendation: Row) -> dict | None:
    """Return the untuned base prompted in chat, as its students are; None where no other format scores higher."""
    for row in data.references.get(base, []):
        role = role_of(row["model"], data)
        if (role["role"], role["format"]) == ("untuned", "chat") and row["value"] is not None:
            student = recommendation.get("value")
            if row["model"] == recommendation.get("untuned_reference") or student is None:
                return None
            return {"model": row["model"], "value": row["value"], "gain": student - row["value"]}
    return None


def ranking(data: PageData, base: str, panel: str | None) -> Markup:
    """Return the dot plot of a base: every unit by its performance, with the references as lines."""
    rows = [(unit, data.cell(base, panel, unit)) for unit in data.units]
    rows = [(unit, row) for unit, row in rows if row["kind"] or why_missing(data, base, unit) != NOT_IN_GRID]
    rows.sort(key=lambda pair: -_or_lowest(pair[1]["value"]))
    return plots.dots(
        [_dot(unit, row) for unit, row in rows],
        f"Performance of the students of {base}" + (f", {panel}" if len(data.panels) > 1 else ""),
        f"One row per {data.unit_name}, best first, with 95 % intervals; vertical lines are references.",
        "AP, 0 to 100",
        lines=[
            plots.Level(
                row["value"],
                f"{row['model']} {text.number(row['value'])}",
                role_of(row["model"], data)["role"] or "other",
            )
            for row in sorted(data.references.get(base, []), key=lambda row: _or_lowest(row["value"]))
            if row["value"] is not None
        ],
    )


def _dot(unit: str, row: Row) -> plots.Dot:
    css = "" if row["tied_with_best"] else "behind"
    return plots.Dot(
        label=unit + ("*" if row["self_pair"] else ""),
        value=row["value"],
        low=row["low"],
        high=row["high"],
        text=text.number(row["value"]),
        css="best" if row["behind_best"] == 0 else css,
        title=f"{unit}: {text.within(row['value'], row['low'], row['high'])}",
    )


def _or_lowest(value: float | None) -> float:
    return -math.inf if value is None else value


def headline(answers: list[dict]) -> str | None:
    """Return what the page says first where tuning did not help, else None."""
    losing = [answer for answer in answers if answer["beats_untuned"] == "no"]
    if not losing:
        return None
    several = all(answer["untuned_formats"] > 1 for answer in losing)
    in_format = ", prompted in whichever format scores higher" if several else ""
    whose = "" if len(losing) == len(answers) else f" of {text.listing([answer['base'] for answer in losing])}"
    return f"No student{whose} beats its untuned base{in_format}."


# --- the table of all cells


def heat(data: PageData) -> dict:
    """Return the table of all cells.

    Returns: {"columns": (base, panel), "rows": of the units, "references": rows of the references, "empty": the number of
        cells without a value, "low" and "high": the range of the values}.
    """
    columns = [(base, panel) for base in data.bases for panel in data.panels]
    reference_rows = [row for rows in data.references.values() for row in rows]
    values = [row["value"] for row in (*data.cells.values(), *reference_rows) if row["value"] is not None]
    low, high = min(values, default=0), max(values, default=1)
    rows = [
        {"name": unit, "cells": [_cell(data, base, panel, unit, low, high) for base, panel in columns]}
        for unit in data.units
    ]
    return {
        "columns": columns,
        "rows": rows,
        "references": [
            {
                "name": name,
                "about": role_of(name, data),
                "cells": [_reference_cell(data, base, name, low, high) for base, _ in columns],
            }
            for name in dict.fromkeys(row["model"] for row in reference_rows)
        ],
        "empty": sum("value" not in cell for row in rows for cell in row["cells"]),
        "low": low,
        "high": high,
    }


def _cell(data: PageData, base: str, panel: str | None, unit: str, low: float, high: float) -> dict:
    row = data.cell(base, panel, unit)
    if row["value"] is None:
        return {"reason": row["reason"] or why_missing(data, base, unit), "best": False}
    shade = _shade(row["value"], low, high)
    return {**row, "shade": shade, "description": description(unit, base, row), "best": row["behind_best"] == 0}


def _reference_cell(data: PageData, base: str, name: str, low: float, high: float) -> dict:
    row = next((row for row in data.references.get(base, []) if row["model"] == name), None)
    if row is None:
        return {}
    return {**row, "shade": _shade(row["value"], low, high), "description": description(name, base, row)}


def _shade(value: float | None, low: float, high: float) -> str | None:
    """Return where a value lies between the lowest (0) and the highest (1)."""
    if value is None:
        return None
    return f"{(value - low) / (high - low) if high > low else 0.5:.2f}"


def description(unit: str, base: str, row: Row) -> str:
    """Return one line with all that is known about a cell, for hovering and screen readers."""
    return "; ".join(_parts(unit, base, row))


def _parts(unit: str, base: str, row: Row) -> Iterable[str]:
    yield f"{unit} on {base}: AP {text.within(row['value'], row['low'], row['high'])}"
    if row["gain"] is not None:
        yield f"gain over the untuned base {text.within(row['gain'], row['gain_low'], row['gain_high'], sign=True)}"
    if row["p_best"] is not None:
        yield f"P(best) {text.percent(row['p_best'])}"
    if row["by_seed"]:
        yield "by seed " + ", ".join(text.number(value) for value in row["by_seed"])
    if row["self_pair"]:
        yield "the teacher descends from this base"


# --- the pilot


def pilot(data: PageData) -> dict | None:
    """Return what the page shows of the grid's pilot; None where the grid has none.

    inputs["pilot"] is the pilot's result with "saved" (of pilot.savings) and "regret" (rows of analysis.pilot.regret, or None
    where no grid trained all students).
    """
    found = data.inputs["pilot"]
    if not found:
        return None
    saved = found["saved"]
    return {
        **{key: found[key] for key in ("sample", "by", "keep", "regret")},
        "bases": [{"name": base, **ranking, "rows": _ranked(ranking)} for base, ranking in found["bases"].items()],
        "students": (saved["students_all"] - saved["students_kept"], saved["students_all"]),
        "responses": (saved["responses_all"] - saved["responses_kept"], saved["responses_all"]),
    }


def _ranked(ranking: Row) -> list[dict]:
    """Return the teachers of one base with their rank and their metrics' values as text."""
    return [
        {
            **row,
            "place": text.within(row["rank"], row["rank_low"], row["rank_high"]),
            "values": [text.within(v["value"], v["low"], v["high"], digits=3) for v in row["metrics"].values()],
        }
        for row in ranking["teachers"]
    ]
