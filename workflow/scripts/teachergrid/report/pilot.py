"""What a pilot chose before anything was trained: the ranking, how stable it is, what was saved, and what was lost."""

from . import text
from .facts import Facts


def section(facts: Facts) -> dict | None:
    """Return what the page says of the grid's pilot, None where it has none.

    data["pilot"]: the pilot's result with "saved" (pilot.savings) and "regret" (rows of pilot_ranking.regret, or None where no
    grid trained all students).
    """
    found = facts.data.get("pilot")
    if not found:
        return None
    saved = found["saved"]
    return {
        **{key: found[key] for key in ("sample", "by", "keep", "regret")},
        "bases": [{"name": base, **answer, "rows": rows(answer)} for base, answer in found["bases"].items()],
        "students": (saved["students_all"] - saved["students_kept"], saved["students_all"]),
        "responses": (saved["responses_all"] - saved["responses_kept"], saved["responses_all"]),
    }


def rows(answer: dict) -> list[dict]:
    return [
        {
            **row,
            "place": text.within(row["rank"], row["rank_low"], row["rank_high"]),
            "values": [text.within(v["value"], v["low"], v["high"], digits=3) for v in row["metrics"].values()],
        }
        for row in answer["teachers"]
    ]
