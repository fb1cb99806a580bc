"""The answer of a grid in plain data: what to take for each base, how sure that is, and what cannot be said."""

from . import stats
from .performance import AP, Performance, Unit


def recommendation(
    settings: dict,
    units: list[Unit],
    found: Performance,
    correlations: list[dict],
    effects: list[dict],
    missing: list[str],
) -> dict:
    """Return {"bases": {base: answer}, "cannot_say": [sentences], "gated": ..., "missing": ...}, of plain YAML types.

    An answer is that of the base's best panel; with several panels all of them stand under "panels".
    """
    bases, doubts = {}, []
    for base in dict.fromkeys(unit.base for unit in units):
        panels = {}
        for panel in dict.fromkeys(unit.panel for unit in units if unit.base == base):
            rows = [
                r
                for r in _ap(found.rows, "student")
                if (r["base"], r["panel"]) == (base, panel) and r.get("value") is not None
            ]
            panels[panel] = _answer(settings, rows, found, base, panel, correlations)
            panels[panel]["detectable"] = _detectable(base, panel, effects)
            where = base if len(panels) == 1 else f"{base} ({panel})"
            doubts += [(where, text) for text in _doubts(settings, rows, panels[panel], found.untuned.get(base))]
        best = max(panels, key=lambda panel: -1 if panels[panel]["value"] is None else panels[panel]["value"])
        bases[base] = {**panels[best], **({"panels": panels} if len(panels) > 1 else {})}
    gated = {unit.corpus: unit.gated for unit in units if unit.gated}
    return {
        "compare": settings["grid"]["compare"],
        "performance": list(settings["grid"]["performance"]),
        "bases": bases,
        "cannot_say": _grouped(doubts) + _about_all(list(bases), gated, missing),
        "gated": gated,
        "missing": missing,
    }


def teachers_of(settings: dict, cell: dict) -> list[str]:
    """Return the teachers whose responses the corpus of a student (or of a unit's row) holds."""
    if cell["teacher"]:
        return [cell["teacher"]]
    return settings.get("corpora", {}).get(cell["corpus"], {}).get("teachers", [])


def terms(settings: dict, cell: dict, key: str) -> str | None:
    """Return the licence or output_terms of these teachers, or None where none states any."""
    stated = [settings["teachers"].get(teacher, {}).get(key) for teacher in teachers_of(settings, cell)]
    return "; ".join(dict.fromkeys(text for text in stated if text)) or None


def _ap(rows: list[dict], kind: str) -> list[dict]:
    return [row for row in rows if row["kind"] == kind and row["measure"] == AP]


def _answer(
    settings: dict, rows: list[dict], found: Performance, base: str, panel: str, correlations: list[dict]
) -> dict:
    opponent = found.untuned.get(base)
    references = {row["model"]: row.get("value") for row in _ap(found.rows, "reference") if row["base"] == base}
    answer = {"best": None, "value": None, "panel": panel, "units": len(rows), "references": references}
    if not rows:
        return {**answer, "reason": "no student has a performance"}
    best = max(rows, key=lambda row: round(row["value"], 9))
    keys = (
        "value",
        "low",
        "high",
        "p_best",
        "gain",
        "gain_low",
        "gain_high",
        "p_gain",
        "corpus",
        "teacher",
        "recipe",
        "seeds",
        "self_pair",
    )
    return {
        **answer,
        "best": best["unit"],
        **{key: best.get(key) for key in keys},
        "tied": [row["unit"] for row in rows if row.get("tied_with_best") and row is not best],
        "untuned_reference": opponent,
        "untuned_format": next((r["format"] for r in settings["references"] if r["name"] == opponent), None),
        "untuned_value": references.get(opponent),
        "licence": terms(settings, best, "licence"),
        "output_terms": terms(settings, best, "output_terms"),
        "primary_metric": _primary(base, panel, correlations),
        "reason": None,
    }


def _detectable(base: str, panel: str, effects: list[dict]) -> float | None:
    """The smallest difference in points between two units that four of five such grids would find."""
    asked = base, panel, "detectable"
    return next((row["value"] for row in effects if (row["base"], row["panel"], row["effect"]) == asked), None)


def _primary(base: str, panel: str, correlations: list[dict]) -> dict | None:
    """What the metric that was named beforehand would have chosen, and the performance that loses."""
    rows = [row for row in correlations if (row["base"], row["panel"], row["role"]) == (base, panel, "primary")]
    return next(
        (
            {
                "metric": r["metric"],
                "choice": r.get("choice"),
                "regret": r.get("regret_1"),
                "rho": r.get("rho"),
                "n": r["n"],
            }
            for r in rows
        ),
        None,
    )


def _doubts(settings: dict, rows: list[dict], answer: dict, opponent: str | None) -> list[str]:
    """What the numbers of one base do not carry, in sentences."""
    if not rows:
        return ["nothing: no student has a performance."]
    word, doubts = settings["grid"]["compare"], []
    teachers = sum(row["teacher"] is not None for row in rows)
    values = [row["value"] for row in rows]
    if len(rows) == 1:
        doubts.append(f"nothing is compared: there is one {word} only.")
    elif max(values) - min(values) < 1e-9:
        doubts.append("all students perform equally: there is no ranking, and no metric can predict one.")
    elif answer["tied"]:
        doubts.append(
            f"{answer['best']} cannot be told from {', '.join(answer['tied'])}: the difference is within the noise."
        )
        if answer["detectable"] is not None:
            doubts.append(f"differences below {answer['detectable']:.1f} points: one in five would be missed, or more.")
    if len(rows) > 1 and (note := stats.small_n_note(teachers)):
        doubts.append(note)
    if opponent is None:
        doubts.append("whether tuning helps at all: there is no score of the untuned base.")
    doubts += _against_untuned(rows, opponent)
    if answer["self_pair"]:
        doubts.append(
            f"{answer['best']} descends from this very base: whether another base would gain as much is open."
        )
    if max(len(row["seeds"]) for row in rows) == 1:
        doubts.append("how much another SFT seed would change: there is one, and the intervals leave its noise out.")
    primary = answer["primary_metric"]
    if primary and primary["rho"] is None:
        doubts.append(f"whether {primary['metric']} predicts performance: its correlation is undefined.")
    return doubts


def _against_untuned(rows: list[dict], opponent: str | None) -> list[str]:
    known = [row for row in rows if row.get("gain") is not None and row.get("gain_low") is not None]
    losing = [row["unit"] for row in known if row["gain_high"] < 0]
    unsure = [row["unit"] for row in known if row["gain_low"] <= 0 <= row["gain_high"]]
    texts = [f"students of {', '.join(losing)} are worse than the untuned base ({opponent})."] if losing else []
    if unsure:
        texts.append(
            f"whether students of {', '.join(unsure)} differ from the untuned base ({opponent}): the interval of the gain holds 0."
        )
    return texts


def _grouped(doubts: list[tuple]) -> list[str]:
    """One sentence for all bases that it is true of."""
    where = {}
    for base, text in doubts:
        where.setdefault(text, []).append(base)
    return [f"{', '.join(bases)}: {text}" for text, bases in where.items()]


def _about_all(bases: list[str], gated: dict, missing: list[str]) -> list[str]:
    texts = (
        ["other bases: this grid has one, so nothing shows whether its best is best elsewhere."]
        if len(bases) == 1
        else []
    )
    if gated:
        texts.append(f"{', '.join(gated)}: stopped by a health gate, and in no statistic.")
    if missing:
        texts.append(f"{len(missing)} results are missing (see `missing`); the statistics run over the rest.")
    return texts
