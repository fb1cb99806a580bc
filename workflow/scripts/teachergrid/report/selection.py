"""What choosing rows is worth: students of selected rows against those of all rows and of as many random ones."""

from markupsafe import Markup

from ..decisions import curves as of_curves
from ..decisions import selection as of_selections
from ..pages import plots, text
from ..pages.labels import Point
from .data import PageData, Row, place, places

COSTS = ("money", "GPU time", "time")
EQUAL = 0.05  # amounts that differ by a smaller share count as equal


def section(data: PageData) -> dict | None:
    """Return what template/selection.html shows: {"places", "scorers"}; None where no selection is compared with anything."""
    shown = [_at(data, base, panel) for base, panel in places(data)]
    scorers = [row for row in data.inputs["effects"] if row["effect"] == of_selections.SCORERS]
    shown = [found for found in shown if found["rows"] or found["overlap"]]
    if not shown:
        return None
    return {"places": shown, "scorers": [_chosen_alike(row) for row in scorers]}


def _at(data: PageData, base: str, panel: str | None) -> dict:
    """Return {"name", "rows", "plot", "overlap": {"names", "rows"} or None, "pilots"} of one base and panel, the best selection first."""
    by_effect: dict[str, list[Row]] = {name: [] for name in of_selections.EFFECTS}
    for row in data.inputs["effects"]:
        if (row["base"], row["panel"]) == (base, panel) and row["effect"] in by_effect:
            by_effect[row["effect"]].append(row)
    against = {
        name: {row["larger"]: row for row in by_effect[name]} for name in (of_selections.RANDOM, of_selections.ALL)
    }
    names = list(dict.fromkeys(name for rows in against.values() for name in rows))
    rows = [_selected(data, (base, panel, name), against) for name in names]
    rows.sort(key=lambda row: (row["ap"] is None, -(row["ap"] or 0)))
    where = place(data, base, panel)
    found = {"name": where, "rows": rows, "plot": _against_random(where, rows), "overlap": _overlap(by_effect)}
    return found | {"pilots": _pilots(data, base, panel)}


def _selected(data: PageData, cell: tuple[str, str | None, str], against: dict[str, dict[str, Row]]) -> dict:
    """Return what the table shows of one selection."""
    base, _, corpus = cell
    examples = [r["examples"] for r in data.inputs["lineage"] if (r["base"], r["corpus"]) == (base, corpus)]
    entry = data.settings["corpora"].get(corpus, {})
    performance = data.cells.get(cell) or {}
    return {
        "corpus": corpus,
        "choice": choice(entry),
        "held": " and ".join(entry.get("each") or []),
        "examples": examples[0] if examples else None,
        "ap": performance.get("value"),
        "random": against[of_selections.RANDOM].get(corpus),
        "all": against[of_selections.ALL].get(corpus),
    }


def choice(entry: Row) -> str:
    """Return in words how a corpus chooses its rows. entry: its settings, {} where they are unknown."""
    by = entry.get("by")
    if isinstance(by, dict):
        by = " + ".join(f"{weight:g} {name}" for name, weight in by.items())
    order = "worst" if entry.get("choose") == "worst" else "best"
    first = "random" if not by or entry.get("choose") == "random" else f"{order} by {by}"
    sizes = [f"{100 * entry['share']:g} %"] if entry.get("share") else []
    sizes += [f"{text.count(entry[key])} {key}" for key in ("rows", "tokens") if entry.get(key)]
    reached = [f"of those with {name} {value:g} or better" for name, value in (entry.get("least") or {}).items()]
    return ", ".join([first, *sizes, *reached])


def pairs(data: PageData) -> list[dict]:
    """Return the pairs that the grid states: {"where", "first", "second", "row", "ratios": {what: first over second}, "equal", "hint"}.

    row: of artifacts.EFFECTS. hint: how many rows of the dearer one make both cost as much; None where that is not known.
    """
    costs = {row["instructions"]: row for row in data.inputs["evolution_costs"]}
    found = []
    for row in data.inputs["effects"]:
        if row["effect"] == of_selections.PAIR:
            first, second = row["larger"], row["smaller"]
            own = [_amounts(data, row["base"], name, costs) for name in (first, second)]
            ratios = {what: one / other for what, one in own[0].items() if one and (other := own[1].get(what))}
            equal = [what for what, ratio in ratios.items() if abs(ratio - 1) <= EQUAL]
            where = place(data, row["base"], row["panel"])
            hint = _at_equal_cost((first, second), own, ratios)
            found.append(
                {
                    "where": where,
                    "first": first,
                    "second": second,
                    "row": row,
                    "ratios": ratios,
                    "equal": equal,
                    "hint": hint,
                }
            )
    return found


def _amounts(data: PageData, base: str, unit: str, costs: dict[str, Row]) -> dict[str, float | None]:
    """Return what a unit is made of: rows and trained tokens (means over seeds), and what the models took that evolved its rows.

    That is under "money", "GPU time" or "time", where it is of one kind.
    """
    corpora = data.corpora(unit, base)
    rows = [row for row in data.inputs["lineage"] if row["corpus"] in corpora and row["base"] == base]

    def mean(column: str) -> float | None:
        values = [row[column] for row in rows if row[column] is not None]
        return sum(values) / len(values) if values else None

    sets = {student["instructions"] or unit for student in data.students(unit, base)}
    spent = [_spent(costs[name]) if name in costs else None for name in sets]
    kinds = {kind for one in spent if one for kind in one}
    known = len(kinds) == 1 and None not in spent
    cost = {kind: sum(one[kind] for one in spent if one) for kind in kinds} if known else {}
    return {"rows": mean("examples"), "trained tokens": mean("trained_tokens"), **cost}


def _spent(row: Row) -> dict[str, float] | None:
    """Return what the rows of an evolved set took, by its kind; None where it is of several kinds, or not known."""
    # the seconds of a job that asks an endpoint say nothing beside the money
    kinds = {"money": row["usd"], "GPU time": row["gpu_s"], "time": None if row["usd"] else row["cpu_s"]}
    found = {kind: amount * row["share"] for kind, amount in kinds.items() if amount and row["share"]}
    return found if len(found) == 1 and not row["unknown"] else None


def _at_equal_cost(names: tuple[str, str], own: list[dict[str, float | None]], ratios: dict[str, float]) -> str | None:
    rows = own[0]["rows"], own[1]["rows"]
    ratio = next((ratios[kind] for kind in COSTS if kind in ratios), None)
    if ratio is None or abs(ratio - 1) <= EQUAL or None in rows:
        return None
    dearer = 0 if ratio > 1 else 1
    number = int((rows[dearer] or 0) * min(ratio, 1 / ratio))
    return f"about {text.count(number)} rows of {names[dearer]} cost as much as {names[1 - dearer]}"


def _against_random(where: str, rows: list[dict]) -> Markup | None:
    """Return the plot of the differences from random rows; None without any."""
    found = [row["random"] for row in rows if row["random"]]
    if not found:
        return None
    return plots.dots(
        [
            plots.Dot(
                label=row["larger"],
                value=row["value"],
                low=row["low"],
                high=row["high"],
                text=text.number(row["value"], sign=True),
                title=f"{row['larger']} against {row['smaller']}: {text.within(row['value'], row['low'], row['high'], sign=True)}",
            )
            for row in found
        ],
        f"What choosing rows is worth, students of {where}",
        "One row per selection, with 95 % intervals; right of the line it is better than as many random rows.",
        f"{where}: AP minus that of as many random rows",
        lines=[plots.ZERO],
    )


def _overlap(by_effect: dict[str, list[Row]]) -> dict | None:
    """Return {"names", "rows": [[share or None]]}: the share of rows that each two selections have in common."""
    rows = by_effect[of_selections.OVERLAP]
    shared = {(row["smaller"], row["larger"]): row["value"] for row in rows}
    names = list(dict.fromkeys(name for pair in shared for name in pair))
    if not names:
        return None
    return {"names": names, "rows": [[shared.get((a, b), shared.get((b, a))) for b in names] for a in names]}


def _chosen_alike(row: Row) -> str:
    return f"{row['family']}: {row['smaller']} and {row['larger']} choose {text.percent(row['value'])} of {text.count(row['n'])} rows alike."


# --- pilots that train


def _pilots(data: PageData, base: str, panel: str | None) -> dict | None:
    """Return {"plot", "levels", "promised", "halving"} of the students of few rows; None where a grid has none.

    levels: {"name", "rho", "p", "lost": rows by number kept}. promised: {"teacher", "promised": row, "reached": row} of each teacher.
    """
    rows = [row for row in data.inputs["effects"] if (row["base"], row["panel"]) == (base, panel)]
    points = [row for row in rows if row["effect"] == of_curves.CURVE]
    if not points:
        return None
    reached = {row["subject"]: row for row in points if row["other"] == of_curves.ALL_ROWS}
    promised = [row for row in rows if row["effect"] == of_curves.EXTRAPOLATED]
    lost: dict[str, list[Row]] = {}
    for row in rows:
        if row["effect"] == of_curves.PILOT_LOST:
            lost.setdefault(row["subject"], []).append(row)
    return {
        "plot": _curves(place(data, base, panel), points),
        "levels": [
            {"name": row["subject"], "rho": row["value"], "p": row["p"], "lost": lost.get(row["subject"], [])}
            for row in rows
            if row["effect"] == of_curves.PILOT_RHO
        ],
        "promised": [{"teacher": r["subject"], "promised": r, "reached": reached[r["subject"]]} for r in promised],
        "halving": next((row for row in rows if row["effect"] == of_curves.HALVING), None),
    }


def _curves(where: str, points: list[Row]) -> Markup:
    teachers = list(dict.fromkeys(row["subject"] for row in points))
    most = max(row["n"] for row in points)
    return plots.scatter(
        [
            Point(
                x=row["n"],
                y=row["value"],
                label=row["subject"] if row["n"] == most else "",
                series=teachers.index(row["subject"]),
                title=f"{row['subject']}, {row['other']}: {text.within(row['value'], row['low'], row['high'])}",
                linked=True,
            )
            for row in points
        ],
        f"Performance by rows trained on, students of {where}",
        "One line per teacher.",
        "Rows that a student was trained on",
        f"{where}: AP, 0 to 100",
        log=text.count,
    )
