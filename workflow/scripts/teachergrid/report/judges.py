"""Scores in addition to AP, such as the win rate of a pairwise judge."""

from collections import Counter

from ..pages import text
from .data import PageData, places


def tables(data: PageData) -> list[dict]:
    """Return per score {"name", "circular": metrics that take the judge's reward, "columns", "rows"}.

    Scores are those of suites, of the tasks of suites that have several, and what a checker or judge measures of a task beside its
    score. A score is left out where it alone is AP.
    """
    primary = data.settings["grid"].get("performance") or []
    rows = data.inputs["performance"]
    names = dict.fromkeys(row["measure"] for row in rows if row["measure"].count("/") in (1, 2))
    tasks = Counter(name.rpartition("/")[0] for name in names if name.count("/") == 2 and ":" not in name)
    shown = [name for name in names if name.count("/") == 1 or ":" in name or tasks[name.rpartition("/")[0]] > 1]
    return [_table(data, name, [row for row in rows if row["measure"] == name]) for name in shown if [name] != primary]


def _table(data: PageData, name: str, rows: list[dict]) -> dict:
    columns = places(data)
    row_of = {(row["base"], row["panel"] if row["kind"] == "student" else None, _name(row)): row for row in rows}
    lines = []
    for unit in dict.fromkeys(map(_name, rows)):
        cell_rows = [row_of.get((base, panel, unit)) or row_of.get((base, None, unit)) or {} for base, panel in columns]
        values = [(row.get("value"), row.get("low"), row.get("high")) for row in cell_rows]
        lines.append({"name": unit, "cells": [{"value": v[0], "text": text.within(*v)} for v in values]})
    return {
        "name": name,
        "circular": (data.inputs.get("circular") or {}).get(name.split("/")[1], []),
        "columns": columns,
        "rows": lines,
    }


def _name(row: dict) -> str:
    return row["unit"] if row["kind"] == "student" else row["model"]
