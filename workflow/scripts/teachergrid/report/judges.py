"""Scores that stand beside AP, such as the win rate of a pairwise judge."""

from ..pages import text
from .data import PageData, places


def tables(data: PageData) -> list[dict]:
    """Return per suite and judge {"name", "circular": metrics that take the judge's reward, "columns", "rows"}.

    A score that alone is AP is not repeated.
    """
    primary = data.settings["grid"].get("performance") or []
    rows = [row for row in data.inputs["performance"] if row["measure"].count("/") == 1]
    names = dict.fromkeys(row["measure"] for row in rows if [row["measure"]] != primary)
    return [_table(data, name, [row for row in rows if row["measure"] == name]) for name in names]


def _table(data: PageData, name: str, rows: list[dict]) -> dict:
    columns = places(data)
    by = {(row["base"], row["panel"] if row["kind"] == "student" else None, _of(row)): row for row in rows}
    lines = []
    for unit in dict.fromkeys(map(_of, rows)):
        found = [by.get((base, panel, unit)) or by.get((base, None, unit)) or {} for base, panel in columns]
        values = [(row.get("value"), row.get("low"), row.get("high")) for row in found]
        lines.append({"name": unit, "cells": [{"value": v[0], "text": text.within(*v)} for v in values]})
    return {
        "name": name,
        "circular": (data.inputs.get("circular") or {}).get(name.split("/")[1], []),
        "columns": columns,
        "rows": lines,
    }


def _of(row: dict) -> str:
    return row["unit"] if row["kind"] == "student" else row["model"]
