"""The metrics' own values, base by base: all that a grid without students can show."""

import math
from statistics import median

from ..pages import plots, text
from .data import NOT_IN_GRID, PageData, blank, place, places, why_missing
from .metrics import name_of, own_metrics


def tables(data: PageData) -> list[dict]:
    """Return one table per base and panel, of every metric in the variant that the config states.

    {"name", "columns": own_metrics with their name on the page, and the decimals and notes of their values, "rows": {"unit", "cells": one row of
    artifacts.GRID_METRICS per column}, "absent": {unit: why it has no value}, "undefined": {entry of the config: why it has none}}
    """
    by_cell = {(r["base"], r["panel"], r["unit"], r["metric"]): r for r in data.inputs["metrics"]}
    return [_table(data, base, panel, by_cell) for base, panel in places(data)]


def _table(data: PageData, base: str, panel: str | None, by_cell: dict[tuple, dict]) -> dict:
    def cells(unit: str) -> list[dict]:
        return [by_cell.get((base, panel, unit, metric["metric"])) or blank("metrics") for metric in metrics]

    metrics = own_metrics(data)
    cells_of = {unit: cells(unit) for unit in data.units}
    units = [unit for unit, row in cells_of.items() if any(cell["value"] is not None for cell in row)]
    columns, undefined = [], {}
    for i, metric in enumerate(metrics):
        column = [cells_of[unit][i] for unit in units]
        notes = list(dict.fromkeys(cell["reason"] for cell in column if cell["reason"]))
        if any(cell["value"] is not None for cell in column):
            columns.append({**metric, "name": name_of(metric), "index": i, "digits": decimals(column), "notes": notes})
        elif metric["entry"] in data.settings["metrics"]:
            undefined[metric["entry"]] = notes[0] if notes else "no value"
    absent = {unit: why_missing(data, base, unit) for unit in cells_of if unit not in units}
    return {
        "name": place(data, base, panel),
        "columns": columns,
        "rows": [{"unit": unit, "cells": [cells_of[unit][c["index"]] for c in columns]} for unit in units],
        "absent": {unit: reason for unit, reason in absent.items() if reason != NOT_IN_GRID},
        "undefined": undefined,
    }


def decimals(column: list[dict]) -> int:
    """Return how many decimals the values of a column need: two digits of the median width of their intervals, else three of
    their range, else three of the largest value."""
    defined = [cell["value"] for cell in column if cell["value"] is not None]
    widths = [cell["high"] - cell["low"] for cell in column if None not in (cell["low"], cell["high"])]
    widths = [width for width in widths if width > 0]
    finest = median(widths) if widths else (max(defined) - min(defined) or max(map(abs, defined))) / 10
    return min(max(1 - math.floor(math.log10(finest)), 0), 8) if finest else 0


def dots(data: PageData, tables: list[dict]) -> list[str]:
    """Return per table a dot plot of its first metric, which is the primary one where one was named: the most promising
    value on top."""
    return [_dots(data, table, table["columns"][0]) for table in tables if table["columns"]]


def _dots(data: PageData, table: dict, metric: dict) -> str:
    name, value_unit, digits = metric["name"], metric["value_unit"], metric["digits"]
    rows = [(row["unit"], row["cells"][0]) for row in table["rows"]]
    sign = 1 if metric["direction"] == "lowest" else -1
    rows.sort(key=lambda pair: math.inf if pair[1]["value"] is None else sign * pair[1]["value"])
    return plots.dots(
        [
            plots.Dot(
                label=unit,
                value=cell["value"],
                low=cell["low"],
                high=cell["high"],
                text=text.number(cell["value"], digits),
                title=f"{unit}: {text.within(cell['value'], cell['low'], cell['high'], digits)}",
            )
            for unit, cell in rows
        ],
        f"{name} of the responses of every {data.unit_name}, {table['name']}",
        "One row per " + data.unit_name + ", the most promising first, with 95 % intervals.",
        f"{table['name']}: {name}" + (f" ({value_unit})" if value_unit else ""),
    )
