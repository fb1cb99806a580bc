"""What a pilot chose before anything was trained: the ranking, how stable it is, what was saved, and what was lost."""

from ..pages import text
from .data import PageData, Row


def section(data: PageData) -> dict | None:
    """Return what the page shows of the grid's pilot; None where the grid has none.

    inputs["pilot"] is the pilot's result with "saved" (of pilot.savings) and "regret" (rows of analysis.pilot.regret, or None
    where no grid trained all students).
    """
    pilot = data.inputs["pilot"]
    if not pilot:
        return None
    saved = pilot["saved"]
    return {
        **{key: pilot[key] for key in ("sample", "by", "keep", "regret")},
        "bases": [{"name": base, **ranking, "rows": rows(ranking)} for base, ranking in pilot["bases"].items()],
        "students": (saved["students_all"] - saved["students_kept"], saved["students_all"]),
        "responses": (saved["responses_all"] - saved["responses_kept"], saved["responses_all"]),
    }


def rows(ranking: Row) -> list[dict]:
    """Return the teachers of one base with their rank and their metrics' values as text."""
    return [
        {
            **row,
            "place": text.within(row["rank"], row["rank_low"], row["rank_high"]),
            "values": [text.within(v["value"], v["low"], v["high"], digits=3) for v in row["metrics"].values()],
        }
        for row in ranking["teachers"]
    ]
