"""Scores in addition to AP, such as the win rate of a pairwise judge."""

from ..pages import text
from .data import PageData, places


def tables(data: PageData) -> list[dict]:
    """Return per suite and judge {"name", "circular": metrics that take the judge's reward, "columns", "rows"}.

    A score is left out where it alone is AP.
    """
    primary = data.settings["grid"].get("performance") or []
    rows = [row for row in data.inputs["performance"] if row["measure"].count("/") == 1]
    names = dict.fromkeys(row["measure"] for row in rows if [row["measure"]] != primary)
    return [_table(data, name, [row for row in rows if row["measure"] == name]) for name in names]


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
