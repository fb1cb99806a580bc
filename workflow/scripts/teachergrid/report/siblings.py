"""Is the bigger sibling the better teacher, and does kinship with the base help? From the effects of a grid."""

from . import plots, text
from .facts import POOLED, Facts, place, places


def section(facts: Facts) -> dict:
    """Return {"plots": steps within families by base, "sentences", "notes": what could not be tested}."""
    rows = [row for row in facts.data["effects"] if row["effect"] != "detectable"]
    drawn = [_steps(facts, base, panel, rows) for base, panel in places(facts)]
    told = [_told(facts, row) for row in rows if row["effect"] != "step" and row["value"] is not None]
    sizes = [row for row in facts.data["correlations"] if row["metric"] == "size" and row["rho"] is not None]
    return {
        "plots": [plot for plot in drawn if plot],
        "sentences": [*told, *(_size(facts, row) for row in sizes)],
        "notes": list(dict.fromkeys(f"{NAMES[r['effect']]}: {r['reason']}" for r in rows if r["reason"])),
    }


NAMES = {"rises": "siblings", "self_pair": "self-pairs", "own_family": "family", "step": "siblings"}


def _where(facts: Facts, row: dict) -> str:
    return place(facts, "mean over bases" if row["base"] == POOLED else row["base"], row["panel"])


def _told(facts: Facts, row: dict) -> str:
    where, p = _where(facts, row), text.probability(row["p"])
    if row["effect"] == "rises":
        count = f"{row['value'] * row['n']:g} of {row['n']} step{'s' if row['n'] > 1 else ''}"
        return f"{where}: the bigger sibling is the better teacher in {count} (exact p {p})."
    who = {
        "self_pair": "Teachers that descend from a base",
        "own_family": "Other teachers of a base\u2019s family",
    }[row["effect"]]
    value = text.number(row["value"], 2, sign=True)
    return f"{who}: {value} sd on that base against the others ({row['n']} cell{'s' if row['n'] > 1 else ''}, p {p})."


def _size(facts: Facts, row: dict) -> str:
    rho = text.within(row["rho"], row["low"], row["high"], 2)
    return f"{_where(facts, row)}: size ranks {row['n']} teachers as performance does with rho {rho} (p {text.probability(row['p'])})."


def _steps(facts: Facts, base: str, panel, rows: list[dict]):
    steps = [row for row in rows if (row["base"], row["panel"], row["effect"]) == (base, panel, "step")]
    if not steps:
        return None
    families = list(dict.fromkeys(facts.families))
    shown = [
        {
            **{key: row[key] for key in ("value", "low", "high")},
            "label": row["larger"],
            "series": families.index(row["family"]) if row["family"] in families else 0,
            "text": text.number(row["value"], sign=True),
            "title": f"{row['smaller']} to {row['larger']}: "
            f"{text.within(row['value'], row['low'], row['high'], sign=True)}; p (Holm) {text.probability(row['p_holm'])}",
        }
        for row in steps
    ]
    return plots.dots(
        shown,
        f"Steps within families, students of {place(facts, base, panel)}",
        "One row per step, named after the bigger sibling, with 95 % intervals; right of the line the bigger one teaches better.",
        f"{place(facts, base, panel)}: AP of the bigger less that of the next smaller",
        lines=[(0.0, "", "zero")],
    )
