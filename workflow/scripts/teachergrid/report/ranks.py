"""How well each metric ranks the units as performance does, and how much that depends on its settings.

Rank correlations are in the direction that the metric promises (see data.promised).
"""

import math
from typing import NamedTuple

import numpy as np

from ..analysis.correlations import WITHOUT_SELF_PAIRS
from ..pages import plots, text
from ..stats import rank, sample_size
from . import effects
from .data import POOLED, PageData, place
from .metrics import ROLES, name_of, own_metrics

COLUMNS = {
    "p_max_t": "p (max-T)",
    "p_family": "p (families)",
    "tau_b": "tau-b",
    "regret_1": "Regret@1",
    "regret_3": "Regret@3",
}
# rho that is lower by at most this counts as equally good
FLAT = 0.05
VARIANTS = [(format, end) for format in ("chat", "plain") for end in (True, False)]


def tables(data: PageData) -> list[dict]:
    """Return one correlation table per base and panel, pooled last: {"name", "rows", "columns" that any row has a value
    for, "chooses", "note", "power", "ceiling", "firm": rows of `firmness`}."""
    own = {metric["metric"] for metric in own_metrics(data)}
    groups: dict[tuple, list[dict]] = {}
    for row in data.inputs["correlations"]:
        if not own or row["metric"].removesuffix(WITHOUT_SELF_PAIRS) in own:
            groups.setdefault((row["base"], row["panel"]), []).append(row)
    order = {base: i for i, base in enumerate(data.bases)}
    result = []
    for base, panel in sorted(groups, key=lambda key: order.get(key[0], len(order))):
        rows = sorted(groups[base, panel], key=lambda row: ROLES.get(row["role"], 2))
        rows = [{**row, "name": name_of(row)} for row in rows]
        n = max(row["n"] or 0 for row in rows)
        ceilings = [row["ceiling"] for row in rows if row["ceiling"] is not None]
        families = [row["families"] for row in rows if row["families"] is not None]
        against = effects.against_primary(data, base, panel)
        rows = [{**row, "against": against.get(row["metric"])} for row in rows]
        name = group_name(data, base, panel)
        result.append(
            {
                "name": name,
                "rows": rows,
                "columns": [pair for pair in COLUMNS.items() if any(row[pair[0]] is not None for row in rows)],
                "compared": bool(against),
                "effective": next((row["n_effective"] for row in rows if row["n_effective"] is not None), None),
                "chooses": any(row["choice"] for row in rows),
                "note": sample_size.small_n_note(n, data.units_name),
                "power": power(n),
                "firm": [firmness(row) for row in rows if row["rho"] is not None],
                "ceiling": max(ceilings, default=None),
                "seeds_in_ceiling": all(len(cell["seeds"] or []) > 1 for cell in _cells(data, base, panel)),
                "families": max(families, default=None),
                "pooled": base == POOLED,
            }
        )
    return result


def _cells(data: PageData, base: str, panel: str | None) -> list[dict]:
    """Return the cells with a performance of a base, or of all of them."""
    cells = [(key, cell) for key, cell in data.cells.items() if cell["value"] is not None]
    return [cell for (of_base, of_panel, _), cell in cells if base in (of_base, POOLED) and of_panel == panel]


def power(n: int) -> str | None:
    """Return what n units can show; None where they are too few for a claim."""
    if n < sample_size.CLAIM_FROM:
        return None
    least, detectable = sample_size.minimum_detectable_rho(n), sample_size.detectable_rho(n)
    if least is None:
        return None
    return (
        f"With {n} no rho between {text.number(-least, 2)} and {text.number(least, 2)} is significant, and a true one of "
        f"{text.number(detectable, 2)} is found in four of five studies."
    )


def firmness(row: dict) -> dict:
    """Return a row of the table of intervals: how far a metric's numbers might move."""
    family = None
    if row["low_family"] is not None:
        family = f"{text.number(row['low_family'], 2)} to {text.number(row['high_family'], 2)} (most without {row['family']})"
    return {
        **{key: row[key] for key in ("name", "metric", "role")},
        "over": [
            text.within(row["rho"], row["low"], row["high"], 2),
            text.within(row["rho"], row["low_nested"], row["high_nested"], 2)
            if row["low_nested"] is not None
            else None,
            family,
            text.within(row["rho"], row["low_of_families"], row["high_of_families"], 2)
            if row["low_of_families"] is not None
            else None,
            text.within(row["pairwise_accuracy"], row["low_accuracy"], row["high_accuracy"], 2),
            text.within(row["regret_1"], row["low_regret_1"], row["high_regret_1"]),
            text.within(row["regret_3"], row["low_regret_3"], row["high_regret_3"]),
        ],
    }


def group_name(data: PageData, base: str, panel: str | None) -> str:
    return place(data, "all bases pooled" if base == POOLED else base, panel)


def overview(tables: list[dict]) -> list[str]:
    """Return per table a dot plot of every metric's rank correlation."""
    return [
        plots.dots(
            [_dot(row) for row in table["rows"]],
            f"Rank correlation of every metric with performance, {table['name']}",
            "Spearman's rho with 95 % intervals, in the direction that each metric promises; the vertical line is 0.",
            f"{table['name']}: rho",
            lines=[plots.ZERO],
            domain=(-1.0, 1.0),
        )
        for table in tables
    ]


def _dot(row: dict) -> plots.Dot:
    return plots.Dot(
        label=row["name"].replace("without", "no"),
        value=row["rho"],
        low=row["low"],
        high=row["high"],
        text=text.number(row["rho"], 2),
        css={"primary": "best", "baseline": "behind"}.get(row["role"], ""),
        title=f"{row['name']}: {text.within(row['rho'], row['low'], row['high'], 2)}",
    )


class Variants(NamedTuple):
    """The variants of a metric that one entry of the config states."""

    entry: dict  # the entry
    own: dict  # the row of artifacts.GRID_METRICS of its own variant
    names: dict[tuple, str]  # {(format, end token, parameter value): name} of all metrics that differ in these only

    @property
    def key(self) -> tuple:
        return _variant_key(self.own)


def _variant_key(row: dict) -> tuple:
    return row["format"], row["end_token"], row["parameter_value"]


def _variants(data: PageData) -> list[Variants]:
    """Return the variants of each entry of the config that has values, in the order of the config."""
    names: dict[str, dict[tuple, str]] = {}
    own: dict[str, dict] = {}
    for row in data.inputs["metrics"]:
        names.setdefault(row["variant_of"], {}).setdefault(_variant_key(row), row["metric"])
        if row["own"]:
            own.setdefault(row["entry"], row)
    entries = data.settings["metrics"].items()
    return [Variants(entry, own[name], names[own[name]["variant_of"]]) for name, entry in entries if name in own]


def sensitivity(data: PageData) -> dict:
    """Return how much the ranking depends on beta, text format and end token.

    {"swept": {"plot": rho over beta (or another parameter), "plateaus": words} per entry that sweeps one, "flat": FLAT,
    "formats": rows {"entry", "base", "rho": {(format, end): rho}, "own": (format, end), "agreement": the smallest rank
    correlation of another variant's values with the own one's}}
    """
    rho = {(row["base"], row["panel"], row["metric"]): row["rho"] for row in data.inputs["correlations"]}
    groups = list(dict.fromkeys((base, panel) for base, panel, _ in rho))
    values: dict[tuple, dict[str, float | None]] = {}
    for row in data.inputs["metrics"]:
        values.setdefault((row["base"], row["panel"], row["metric"]), {})[row["unit"]] = row["value"]
    entries = _variants(data)
    plots_over = [_over_parameter(data, variants, rho, groups) for variants in entries if variants.own["parameter"]]
    scored = [variants for variants in entries if variants.own["end_token"] is not None]
    rows = [row for variants in scored for row in _over_formats(data, variants, rho, values, groups)]
    return {"swept": [plot for plot in plots_over if plot], "flat": FLAT, "formats": rows}


def _over_parameter(data: PageData, variants: Variants, rho: dict, groups: list[tuple]) -> dict | None:
    name, parameter = variants.own["entry"], variants.own["parameter"]
    values = variants.entry[parameter]
    if len(values) < 2:
        return None
    text_format, end_token, _ = variants.key
    metrics = [(value, variants.names.get((text_format, end_token, value))) for value in values]
    curves = [
        (
            group_name(data, base, panel).removeprefix("all bases "),
            [(value, rho.get((base, panel, metric))) for value, metric in metrics],
        )
        for base, panel in groups
    ]
    if all(value is None for _, points in curves for _, value in points):
        return None
    series = [plots.Line(label, points, i) for i, (label, points) in enumerate(curves)]
    label = f"{parameter} of {name}"
    plot = plots.lines(series, f"Rank correlation of {name} over {parameter}", "One line per base.", label, "rho")
    words = []
    for base, points in curves:
        low, high = plateau(points)
        if low is not None and high is not None:
            words.append(f"{base} {low:g}" + (f" to {high:g}" if high > low else ""))
    return {"plot": plot, "plateaus": f"{label}: {', '.join(words)}"}


def plateau(points: list[tuple[float, float | None]]) -> tuple[float | None, float | None]:
    """Return the range of a parameter around its best value where rho is at most FLAT below the highest: (first, last)."""
    defined = [(value, rho) for value, rho in sorted(points) if rho is not None]
    if not defined:
        return None, None
    best = low = high = max(range(len(defined)), key=lambda i: defined[i][1])
    while low > 0 and defined[low - 1][1] >= defined[best][1] - FLAT:
        low -= 1
    while high + 1 < len(defined) and defined[high + 1][1] >= defined[best][1] - FLAT:
        high += 1
    return defined[low][0], defined[high][0]


def _over_formats(data: PageData, variants: Variants, rho: dict, values: dict, groups: list[tuple]) -> list[dict]:
    text_format, end_token, parameter = variants.key
    names = {key: variants.names.get((*key, parameter)) for key in VARIANTS}
    rows = []
    for base, panel in groups:
        by_variant = {key: rho.get((base, panel, metric)) for key, metric in names.items()}
        if sum(value is not None for value in by_variant.values()) < 2:
            continue
        ranked = [values.get((base, panel, metric), {}) for metric in names.values()]
        own = values.get((base, panel, variants.own["metric"]), {})
        rows.append(
            {
                "entry": variants.own["entry"],
                "base": group_name(data, base, panel),
                "rho": by_variant,
                "own": (text_format, end_token),
                "agreement": _agreement(own, ranked),
            }
        )
    return rows


def _agreement(own: dict, others: list[dict]) -> float | None:
    """Return the smallest rank correlation of {unit: value} with others, over the units that both have; None if undefined."""
    rhos = []
    for other in others:
        both = [(value, other.get(unit)) for unit, value in own.items()]
        pairs = np.array([pair for pair in both if None not in pair], float)
        rhos.append(rank.spearman(*pairs.T) if len(pairs) > 2 else math.nan)
    defined = [value for value in rhos if not math.isnan(value)]
    return min(defined, default=None)
