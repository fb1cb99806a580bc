"""The answer: per base the teacher to use with how sure that is, and the base x teacher table behind it."""

from . import plots, text
from .facts import NOT_ASKED, Facts, role_of, why_missing


def verdicts(facts: Facts) -> list[dict]:
    """Return one entry per base: the recommendation with all its keys (None where unknown), its plot and its losers."""
    told = (facts.data.get("recommendation") or {}).get("bases") or {}
    return [verdict(facts, base, told.get(base) or {}) for base in dict.fromkeys([*facts.bases, *told])]


def verdict(facts: Facts, base: str, told: dict) -> dict:
    gain, low = told.get("gain"), told.get("gain_low")
    teacher = facts.settings["teachers"].get(told.get("best")) or {}
    untuned = next((r for r in facts.references.get(base, []) if r["model"] == told.get("untuned_reference")), {})
    return {
        "base": base,
        "best": told.get("best"),
        "score": text.within(told.get("value"), told.get("low"), told.get("high")),
        "p_best": told.get("p_best"),
        "tied": [unit for unit in told.get("tied") or [] if unit != told.get("best")],
        "gain": text.within(gain, low, told.get("gain_high")),
        "behind": text.within(*(None if v is None else -v for v in (gain, told.get("gain_high"), low))),
        "beats": None if gain is None else "no" if gain <= 0 else "unsure" if low is None or low <= 0 else "yes",
        "untuned": told.get("untuned_reference"),
        "untuned_score": told.get("untuned_value", untuned.get("value")),
        "in_chat": in_chat(facts, base, told),
        "self_pair": bool(told.get("self_pair")),
        "licence": told.get("licence") or teacher.get("licence"),
        "output_terms": told.get("output_terms") or teacher.get("output_terms"),
        "primary": {"metric": None, "choice": None, "regret": None, **(told.get("primary_metric") or {})},
        "reason": told.get("reason"),
        "panels": [
            {
                "name": panel,
                "best": one.get("best"),
                "score": text.within(one.get("value"), one.get("low"), one.get("high")),
            }
            for panel, one in (told.get("panels") or {}).items()
        ],
        "plots": [ranking(facts, base, panel) for panel in facts.panels],
    }


def in_chat(facts: Facts, base: str, told: dict) -> dict | None:
    """Return the untuned base asked in chat, as students are, where it does better in another format."""
    for row in facts.references.get(base, []):
        role = role_of(row["model"], facts)
        if (role.get("role"), role.get("format")) == ("untuned", "chat") and row["value"] is not None:
            if row["model"] == told.get("untuned_reference") or told.get("value") is None:
                return None
            return {"model": row["model"], "value": row["value"], "gain": told["value"] - row["value"]}
    return None


def ranking(facts: Facts, base: str, panel) -> str:
    """Dot plot of a base: every unit by its performance, with the untuned references as lines."""
    rows = [(unit, facts.cell(base, panel, unit)) for unit in facts.units]
    rows.sort(key=lambda pair: -math_low(pair[1]["value"]))
    shown = [
        {
            **{key: row[key] for key in ("value", "low", "high")},
            "label": unit + ("*" if row["self_pair"] else ""),
            "text": text.number(row["value"]),
            "title": f"{unit}: {text.within(row['value'], row['low'], row['high'])}",
            "css": "best" if row["behind_best"] == 0 else "" if row["tied_with_best"] else "behind",
        }
        for unit, row in rows
        if row["kind"] or why_missing(facts, base, unit) != NOT_ASKED
    ]
    lines = [
        (
            row["value"],
            f"{row['model']} {text.number(row['value'])}",
            role_of(row["model"], facts).get("role") or "other",
        )
        for row in sorted(facts.references.get(base, []), key=lambda row: math_low(row["value"]))
        if row["value"] is not None
    ]
    return plots.dots(
        shown,
        f"Performance of the students of {base}" + (f", {panel}" if len(facts.panels) > 1 else ""),
        f"One row per {facts.compare}, best first, with 95 % intervals; vertical lines are references.",
        "AP, 0 to 100",
        lines,
    )


def math_low(value: float | None) -> float:
    return float("-inf") if value is None else value


def headline(verdicts: list[dict]) -> str | None:
    """Return what the first lines must say when tuning did not help, or None."""
    known = [v for v in verdicts if v["beats"]]
    losing = [v["base"] for v in known if v["beats"] == "no"]
    if not losing:
        return None
    if len(losing) == len(verdicts):
        return "No student beats its untuned base, asked in the better of its formats."
    return f"No student of {text.listing(losing)} beats its untuned base, asked in the better of its formats."


def heat(facts: Facts) -> dict:
    """Return the base x unit table: columns, rows of units, rows of references, and how many cells have no number."""
    columns = [(base, panel) for base in facts.bases for panel in facts.panels]
    values = [row["value"] for row in facts.cells.values() if row["value"] is not None]
    values += [r["value"] for rows in facts.references.values() for r in rows if r["value"] is not None]
    low, high = min(values, default=0), max(values, default=1)

    def shade(value):
        return None if value is None else f"{(value - low) / (high - low) if high > low else 0.5:.2f}"

    def student(base, panel, unit):
        row = facts.cell(base, panel, unit)
        if row["value"] is None:
            return {"reason": row["reason"] or why_missing(facts, base, unit), "best": False}
        return {**row, "shade": shade(row["value"]), "says": said(unit, base, row), "best": row["behind_best"] == 0}

    rows = [{"name": unit, "cells": [student(base, panel, unit) for base, panel in columns]} for unit in facts.units]
    names = list(dict.fromkeys(r["model"] for refs in facts.references.values() for r in refs))
    references = []
    for name in names:
        cells = []
        for base, _ in columns:
            row = next((r for r in facts.references.get(base, []) if r["model"] == name), None)
            cells.append({**row, "shade": shade(row["value"]), "says": said(name, base, row)} if row else {})
        references.append({"name": name, "about": role_of(name, facts), "cells": cells})
    empty = sum("value" not in cell for row in rows for cell in row["cells"])
    return {"columns": columns, "rows": rows, "references": references, "empty": empty, "low": low, "high": high}


def said(unit: str, base: str, row: dict) -> str:
    """One line with all that is known of a cell, for hovering and screen readers."""
    parts = [f"{unit} on {base}: AP {text.within(row['value'], row['low'], row['high'])}"]
    if row["gain"] is not None:
        gain = text.within(row["gain"], row["gain_low"], row["gain_high"], sign=True)
        parts.append(f"gain over the untuned base {gain}")
    if row["p_best"] is not None:
        parts.append(f"P(best) {text.percent(row['p_best'])}")
    if row["by_seed"]:
        parts.append("by seed " + ", ".join(text.number(value) for value in row["by_seed"]))
    if row["self_pair"]:
        parts.append("the teacher descends from this base")
    return "; ".join(parts)
