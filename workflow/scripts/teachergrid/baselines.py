"""Metrics of all cells of a grid, and those that need the grid itself: size and own score of the teacher, the ranking borrowed
from other bases, a random one."""

import hashlib

import numpy as np

from . import artifacts
from .frames import read
from .metrics import variants
from .performance import AP, Unit

ALWAYS = ("size", "borrowed")  # no table of correlations is without them
OF_A_GRID = (*ALWAYS, "own_score", "random")


def grid_metrics(settings: dict, units: list[Unit], metrics: dict, performance: list[dict]) -> list[dict]:
    """Return the rows of artifacts.GRID_METRICS.

    metrics: {(base, corpus): source of artifacts.METRICS}; performance: rows of artifacts.PERFORMANCE. The teacher's size
    and the borrowed ranking are always among them. The latter is the mean AP of the other bases' students of the same unit,
    and undefined where one of them is missing, as bases differ in level.
    """
    wanted, rows = variants(settings["metrics"]), []
    entries = {entry["formula"]: name for name, entry in reversed(settings["metrics"].items())}
    found = {
        "size": lambda unit: _size(settings, unit),
        "borrowed": lambda unit: _borrowed(units, unit, ap),
        "own_score": lambda unit: _own_score(settings, unit, references),
        "random": lambda unit: _random(settings, unit),
    }
    ap, references = student_ap(performance), _reference_ap(settings, performance)
    for unit in units:
        place = {"base": unit.base, "corpus": unit.corpus, "unit": unit.unit, "panel": unit.panel}
        source = metrics.get((unit.base, unit.corpus))
        for row in read(source, artifacts.METRICS).to_pylist() if source is not None else ():
            # another block's metrics may stand in the same file, and call a shared variant by another name
            if row["metric"] in wanted:
                rows.append({**place, **row, "entry": wanted[row["metric"]].name})
        for formula, of in found.items():
            if formula in ALWAYS or formula in entries:
                value, reason = of(unit)
                names = {"metric": formula, "entry": entries.get(formula, formula), "formula": formula}
                rows.append({**place, **names, "value": value, "n": 0, "missing": 0, "reason": reason})
    return rows


def student_ap(performance: list[dict]) -> dict:
    """Return {(base, corpus, recipe): AP} of the students that have one."""
    rows = [row for row in performance if row["kind"] == "student" and row["measure"] == AP]
    return {(r["base"], r["corpus"], r["recipe"]): r["value"] for r in rows if r.get("value") is not None}


def _reference_ap(settings: dict, performance: list[dict]) -> dict:
    """{model: AP of the first reference that is it, as its vendor made it}: one that is asked in its chat template."""
    models = {r["name"]: r.get("model") for r in settings["references"] if r.get("format") != "plain"}
    found = {}
    for row in performance:
        model = models.get(row["model"]) if row["kind"] == "reference" and row["measure"] == AP else None
        if model is not None and row.get("value") is not None:
            found.setdefault(model, row["value"])
    return found


def _size(settings: dict, unit: Unit) -> tuple:
    if unit.teacher is None:
        return None, "a derived corpus has no size"
    size = settings["teachers"].get(unit.teacher, {}).get("parameters")
    return (
        (None, f"teacher '{unit.teacher}': its model states no `parameters`") if size is None else (float(size), None)
    )


def _own_score(settings: dict, unit: Unit, references: dict) -> tuple:
    """A teacher's own score. Stated scores and those of references are on different scales, so they are never mixed."""
    if unit.teacher is None:
        return None, "a derived corpus has no score of its own"
    teachers = settings["teachers"]
    teacher = teachers.get(unit.teacher, {})
    if any(other.get("score") is not None for other in teachers.values()):
        score, lacking = teacher.get("score"), "states no `score`, and others do"
    else:
        score, lacking = references.get(teacher.get("model")), "states no `score`, and no reference is its model"
    return (None, f"teacher '{unit.teacher}' {lacking}") if score is None else (float(score), None)


def _borrowed(units: list[Unit], unit: Unit, ap: dict) -> tuple:
    others = sorted({u.base for u in units} - {unit.base})
    if not others:
        return None, "one base only"
    known = {
        u.base: ap.get((u.base, u.corpus, u.recipe)) for u in units if (u.unit, u.panel) == (unit.unit, unit.panel)
    }
    lost = [base for base in others if known.get(base) is None]
    return (
        (None, f"no performance on {', '.join(lost)}") if lost else (float(np.mean([known[b] for b in others])), None)
    )


def _random(settings: dict, unit: Unit) -> tuple:
    """0 to 1, by a hash, so that another teacher in the grid moves no old one."""
    text = f"{settings['grid']['seed']}/{unit.base}/{unit.panel}/{unit.unit}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48, None
