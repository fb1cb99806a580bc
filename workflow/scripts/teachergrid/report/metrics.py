"""What might predict a good teacher, against the performance of its students: its strength, and the metrics."""

from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup

from ..analysis.correlations import WITHOUT_SELF_PAIRS
from ..metrics.variants import UNLIKE
from ..pages import plots, text
from ..pages.labels import Point
from .data import PageData, blank, place, places

ROLES = {"primary": 0, "baseline": 1, "exploratory": 2, "circular": 3}
OWN_METRIC = ("metric", "entry", "description", "value_unit", "direction")  # columns of artifacts.GRID_METRICS


def strength(data: PageData) -> list[dict]:
    """Return the paradox plots: size in parameters and mean reward of a teacher against its students, by base.

    One entry per measure of strength: {"name", "plots"}. Sizes of a family are joined.
    """
    if data.compare != "teacher":
        return []
    sizes = {unit: (data.settings["teachers"].get(unit) or {}).get("parameters") for unit in data.units}
    means = data.inputs.get("rewards") or {}
    measures = [("Teacher size", "parameters", sizes, True)]
    for reward in dict.fromkeys(name for values in means.values() for name in values or {}):
        by_unit = {unit: _mean([(means.get(c) or {}).get(reward) for c in data.corpora(unit)]) for unit in data.units}
        measures.append(
            (f"Mean reward of the teacher\u2019s responses, by {reward}", f"mean reward ({reward})", by_unit, False)
        )
    return [
        {"name": name, "plots": [_strength(data, base, panel, axis, values, size) for base, panel in places(data)]}
        for name, axis, values, size in measures
        if sum(value is not None for value in values.values()) > 1
    ]


def _strength(
    data: PageData, base: str, panel: str | None, axis: str, values: dict[str, float | None], size: bool
) -> Markup:
    """Return the plot of one base. values: {unit: strength}; size: whether these are numbers of parameters."""
    points = [
        _student(data, base, panel, unit)._replace(
            x=values[unit], linked=size and data.family(unit) in data.stated_families
        )
        for unit in data.units
    ]
    return plots.scatter(
        points,
        f"{axis} of the teacher against performance of the students of {place(data, base, panel)}",
        "One mark per teacher" + ("; lines join the mean performance at each size of a family." if size else "."),
        axis,
        f"{place(data, base, panel)}: AP, 0 to 100",
        log=text.parameters if size else None,
    )


def _student(data: PageData, base: str, panel: str | None, unit: str) -> Point:
    """Return a unit's performance as a point that has no x yet."""
    row = data.cell(base, panel, unit)
    return Point(
        x=None,
        y=row["value"],
        y_low=row["low"],
        y_high=row["high"],
        label=unit + ("*" if row["self_pair"] else ""),
        series=data.series(unit),
        css="self" if row["self_pair"] else "",
        title=f"{unit}: AP {text.within(row['value'], row['low'], row['high'])}",
    )


def _mean(values: Iterable[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def name_of(row: Mapping[str, Any]) -> str:
    """Return the one name that a page has for a metric: its name in the config, or its own where it has none there.

    Args:
        row: of artifacts.GRID_METRICS or CORRELATIONS, or of `own_metrics`.
    """
    name = row["entry"] or row["metric"].removesuffix(WITHOUT_SELF_PAIRS)
    return name + (", without self-pairs" if row["metric"].endswith(WITHOUT_SELF_PAIRS) else "")


def own_metrics(data: PageData) -> list[dict]:
    """Return OWN_METRIC and the role of every metric, in the variant that the config states.

    The primary one is first, then baselines, then the rest in the order of the config.
    """
    roles = {row["metric"]: row["role"] for row in data.inputs["correlations"]}
    primary = data.settings["grid"]["primary"]
    metrics: dict[str, dict] = {}
    for row in data.inputs["metrics"]:
        metric, entry = row["metric"], row["entry"]
        if row["own"] and metric not in metrics:
            role = roles.get(metric) or ("primary" if entry == primary else "exploratory")
            metrics[metric] = {**{key: row[key] for key in OWN_METRIC}, "role": role}
    return sorted(metrics.values(), key=lambda m: ROLES.get(m["role"], 2))


CUT_WARNS_FROM = 0.05  # share of a cell's answers


def cut(data: PageData) -> str | None:
    """Return a warning where the scorer read only the beginning of many answers; None where it read nearly all whole."""
    worst: dict[str, float] = {}
    for row in data.inputs["metrics"]:
        if row["own"] and row["cut"] and row["n"]:
            worst[row["unit"]] = max(worst.get(row["unit"], 0), row["cut"] / row["n"])
    many = {unit: share for unit, share in worst.items() if share >= CUT_WARNS_FROM}
    if not many:
        return None
    order = sorted(many, key=lambda unit: -many[unit])
    named = ", ".join(f"{unit} {100 * many[unit]:.0f} %" for unit in order[:5]) + (" …" if len(order) > 5 else "")
    return (
        f"Answers are longer than likelihood.max_length and were cut: {named}. Losses, perplexities, IFD and CAR of these are about "
        "the beginnings of answers and leave out the end token, so they compare other tokens than those of short answers. "
        "Their lengths are estimated. A larger likelihood.max_length cures it."
    )


def unlike_papers(data: PageData) -> list[str]:
    """Return the names of metrics that bear the name of a paper's formula, in a variant that the paper does not have."""
    return [name_of(metric) for metric in own_metrics(data) if UNLIKE in (metric["description"] or "")]


def against_performance(data: PageData) -> list[dict]:
    """Return own_metrics with their name on the page, their plots, one per base, and the reasons that their values give."""
    by_metric: dict[str, dict[tuple, dict]] = {}
    for row in data.inputs["metrics"]:
        by_metric.setdefault(row["metric"], {})[row["base"], row["panel"], row["unit"]] = row
    entries = []
    for metric in own_metrics(data):
        rows = by_metric[metric["metric"]]
        figures = [_against(data, base, panel, metric, rows) for base, panel in places(data)]
        notes = list(dict.fromkeys(row["reason"] for row in rows.values() if row["reason"]))
        entries.append({**metric, "name": name_of(metric), "plots": [plot for plot in figures if plot], "notes": notes})
    return entries


def _against(data: PageData, base: str, panel: str | None, metric: dict, rows: dict[tuple, dict]) -> Markup | None:
    """Return the plot of a metric's values against performance, of one base; None without a unit that has both."""
    points, name = [], name_of(metric)
    for unit in data.units:
        row = rows.get((base, panel, unit)) or blank("metrics")
        student = _student(data, base, panel, unit)
        title = f"{student.title}; {name} {text.significant(row['value'])}"
        points.append(student._replace(x=row["value"], x_low=row["low"], x_high=row["high"], title=title))
    if not any(p.x is not None and p.y is not None for p in points):
        return None
    return plots.scatter(
        points,
        f"{name} against performance, {place(data, base, panel)}",
        "One mark per cell, with 95 % intervals on both axes.",
        f"{name} ({metric['value_unit']})" if metric["value_unit"] else name,
        f"{place(data, base, panel)}: AP, 0 to 100",
    )
