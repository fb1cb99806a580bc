"""Is the bigger sibling the better teacher, and does kinship with the base help? From the effects of a grid."""

from markupsafe import Markup

from ..pages import plots, text
from .data import POOLED, PageData, Row, place, places

# effect -> what its notes are about
SUBJECTS = {"rises": "siblings", "self_pair": "self-pairs", "own_family": "family", "step": "siblings"}
TEACHERS = {"self_pair": "Teachers that descend from a base", "own_family": "Other teachers of a base\u2019s family"}


def section(data: PageData) -> dict:
    """Return {"plots": steps within families by base, "sentences", "notes": what could not be tested}."""
    effects = [row for row in data.inputs["effects"] if row["effect"] != "detectable"]
    plots_of_steps = [_steps(data, base, panel, effects) for base, panel in places(data)]
    sentences = [_sentence(data, row) for row in effects if row["effect"] != "step" and row["value"] is not None]
    sizes = [row for row in data.inputs["correlations"] if row["metric"] == "size" and row["rho"] is not None]
    return {
        "plots": [plot for plot in plots_of_steps if plot],
        "sentences": [*sentences, *(_size_sentence(data, row) for row in sizes)],
        "notes": list(dict.fromkeys(f"{SUBJECTS[r['effect']]}: {r['reason']}" for r in effects if r["reason"])),
    }


def _where(data: PageData, row: Row) -> str:
    return place(data, "mean over bases" if row["base"] == POOLED else row["base"], row["panel"])


def _sentence(data: PageData, row: Row) -> str:
    """Return an effect in words. row: of artifacts.EFFECTS."""
    where, n, p = _where(data, row), row["n"], text.probability(row["p"])
    plural = "s" if n > 1 else ""
    if row["effect"] == "rises":
        steps = f"{row['value'] * n:g} of {n} step{plural}"
        return f"{where}: the bigger sibling is the better teacher in {steps} (exact p {p})."
    value = text.number(row["value"], 2, sign=True)
    return f"{TEACHERS[row['effect']]}: {value} sd on that base against the others ({n} cell{plural}, p {p})."


def _size_sentence(data: PageData, row: Row) -> str:
    """Return how size ranks the teachers. row: of artifacts.CORRELATIONS."""
    rho, p = text.within(row["rho"], row["low"], row["high"], 2), text.probability(row["p"])
    return f"{_where(data, row)}: size ranks {row['n']} teachers as performance does with rho {rho} (p {p})."


def _steps(data: PageData, base: str, panel: str | None, effects: list[Row]) -> Markup | None:
    steps = [row for row in effects if (row["base"], row["panel"], row["effect"]) == (base, panel, "step")]
    if not steps:
        return None
    return plots.dots(
        [_step(data, row) for row in steps],
        f"Steps within families, students of {place(data, base, panel)}",
        "One row per step, named after the bigger sibling, with 95 % intervals; right of the line the bigger one teaches better.",
        f"{place(data, base, panel)}: AP of the bigger minus that of the next smaller",
        lines=[plots.ZERO],
    )


def _step(data: PageData, row: Row) -> plots.Dot:
    difference = text.within(row["value"], row["low"], row["high"], sign=True)
    return plots.Dot(
        label=row["larger"],
        value=row["value"],
        low=row["low"],
        high=row["high"],
        text=text.number(row["value"], sign=True),
        title=f"{row['smaller']} to {row['larger']}: {difference}; p (Holm) {text.probability(row['p_holm'])}",
        series=data.families.index(row["family"]) if row["family"] in data.families else 0,
    )
