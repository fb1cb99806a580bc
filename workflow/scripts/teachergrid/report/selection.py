"""What choosing rows is worth: students of selected rows against those of all rows and of as many random ones."""

from markupsafe import Markup

from ..decisions import curves as of_curves
from ..decisions import selection as of_selections
from ..pages import plots, text
from ..pages.labels import Point
from .data import PageData, Row, place, places


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
    return ", ".join([first, *sizes])


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
    rows = [row for row in rows if row["value"] is not None]
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
