"""All tables of a grid block from its cells' results, over what exists."""

import hashlib
import json
from typing import NamedTuple

from .baselines import grid_metrics, student_ap
from .correlations import correlations
from .effects import effects
from .performance import Unit, performance, units
from .recommendation import recommendation, teachers_of, terms


class Summary(NamedTuple):
    """The rows of artifacts.PERFORMANCE, GRID_METRICS, CORRELATIONS, EFFECTS and LINEAGE, and the recommendation."""

    performance: list
    metrics: list
    correlations: list
    effects: list
    lineage: list
    recommendation: dict


def summarise(settings: dict, scores: dict, metrics: dict, students: dict, health: dict) -> Summary:
    """Return the tables of a grid.

    settings: {"grid", "students", "references", "pairs", "metrics", "teachers", "bases", "suites"} as grid.py states
    them, and "corpora" {name: {"instructions", "teachers"}} of derived corpora. scores: {(model, suite, judge): source};
    metrics: {(base, corpus): source}; students: {student: its student.json}; health: {responses: source}. What is missing
    is listed in the recommendation; units of a gated corpus are in no statistic.
    """
    grid_units = units(settings, health)
    found = performance(settings, grid_units, scores)
    ap = student_ap(found.rows)
    metric_rows = grid_metrics(settings, grid_units, metrics, found.rows)
    whole = [row for row in metric_rows if row.get("category") is None]
    correlation_rows = correlations(settings, grid_units, whole, ap, found.items)
    effect_rows = effects(settings, grid_units, ap, found.items)
    missing = _missing(settings, grid_units, scores, metrics, students)
    answer = recommendation(settings, grid_units, found, correlation_rows, effect_rows, missing)
    origins = lineage(settings, students)
    return Summary(found.rows, metric_rows, correlation_rows, effect_rows, origins, answer)


def lineage(settings: dict, students: dict) -> list[dict]:
    """Return where every student that was made came from, and the terms of its base and teachers."""
    rows = []
    for cell in settings["students"]:
        if made := students.get(cell["student"]):
            names = {key: cell[key] for key in ("student", "base", "corpus", "recipe", "seed")}
            licences = {
                "teacher": ", ".join(teachers_of(settings, cell)) or cell["corpus"],
                "base_licence": settings["bases"].get(cell["base"], {}).get("licence"),
                "teacher_licence": terms(settings, cell, "licence"),
                "output_terms": terms(settings, cell, "output_terms"),
            }
            counts = {key: made.get(key) for key in ("steps", "examples", "trained_tokens")}
            rows.append({**names, **licences, **counts, "weights": _weights(made.get("weights") or {})})
    return rows


def _weights(files: dict) -> str | None:
    """The sha256 of a student: that of its one weight file, or of the list of several."""
    if len(files) < 2:
        return next(iter(files.values()), None)
    return "sha256:" + hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _missing(settings: dict, grid_units: list[Unit], scores: dict, metrics: dict, students: dict) -> list[str]:
    """What the grid asks for and is not there; what waits for a student that is missing is not listed beside it."""
    asked = [student for unit in grid_units if not unit.gated for student in unit.students.values()]
    lost = [f"student {student}" for student in asked if student not in students]
    models = [student for student in asked if student in students] + [r["name"] for r in settings["references"]]
    for suite, judges in settings["suites"].items():
        lost += [
            f"scores of {m} in {suite}/{judge}" for judge in judges for m in models if (m, suite, judge) not in scores
        ]
    return lost + [
        f"metrics of {corpus} for {base}" for base, corpus in settings["pairs"] if (base, corpus) not in metrics
    ]
