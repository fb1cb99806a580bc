"""Metrics of all cells of a grid, and the baselines that need the whole grid: size and own score of the teacher, the ranking
borrowed from other bases, a random one."""

import hashlib
from collections.abc import Callable, Mapping

import numpy as np

from ..metrics.formulas import FORMULAS
from ..metrics.variants import variants
from ..store import artifacts
from ..store.artifacts import Source
from .performance import AP, Key, Unit

ALWAYS = ("size", "borrowed")  # in every table of correlations
OF_A_GRID = (*ALWAYS, "own_score", "random")
Result = tuple[float | None, str | None]  # (value, why there is none)


def grid_metrics(
    settings: Mapping, units: list[Unit], metrics: Mapping[tuple[str, str], Source], performance: list[dict]
) -> list[dict]:
    """Return the rows of artifacts.GRID_METRICS.

    The teacher's size and the borrowed ranking are always among them. The latter is the mean AP of the other bases' students
    of the same unit, and undefined where one of them is missing, as bases differ in level.

    Args:
        metrics: {(base, corpus): source of artifacts.METRICS}.
        performance: rows of artifacts.PERFORMANCE.
    """
    requested, rows = variants(settings["metrics"]), []
    entries = {entry["formula"]: name for name, entry in reversed(settings["metrics"].items())}
    ap, references = student_ap(performance), _reference_ap(settings, performance)
    bases = sorted({unit.base for unit in units})
    of_unit: dict[tuple, dict[str, float | None]] = {}  # {(unit, panel): {base: AP}}
    for unit in units:
        of_unit.setdefault((unit.unit, unit.panel), {})[unit.base] = ap.get(unit.key)
    baselines: dict[str, Callable[[Unit], Result]] = {
        "size": lambda unit: _size(settings, unit),
        "borrowed": lambda unit: _borrowed(unit.base, bases, of_unit[unit.unit, unit.panel]),
        "own_score": lambda unit: _own_score(settings, unit, references),
        "random": lambda unit: _random(settings, unit),
    }
    for unit in units:
        cell = {"base": unit.base, "corpus": unit.corpus, "unit": unit.unit, "panel": unit.panel}
        source = metrics.get((unit.base, unit.corpus))
        for row in artifacts.read(source, artifacts.METRICS).to_pylist() if source is not None else ():
            # the file may also hold metrics of another block, which may call a shared variant by another name
            if variant := requested.get(row["metric"]):
                rows.append({**cell, **row, "entry": variant.entry, "own": variant.own})
        for formula, result_of in baselines.items():
            if formula in ALWAYS or formula in entries:
                value, reason = result_of(unit)
                labels = {"entry": entries.get(formula, formula), **_labels(formula)}
                rows.append({**cell, **labels, "value": value, "n": 0, "missing": 0, "reason": reason})
    return rows


def _labels(formula: str) -> dict:
    """Return the columns that describe a formula that is computed over a grid; it has no variants."""
    about = FORMULAS[formula]
    names = {"metric": formula, "variant_of": formula, "own": True, "formula": formula}
    return {**names, "description": about.text, "value_unit": about.unit, "direction": about.best}


def student_ap(performance: list[dict]) -> dict[Key, float]:
    """Return {(base, corpus, recipe): AP} of the students that have one."""
    rows = [row for row in performance if row["kind"] == "student" and row["measure"] == AP]
    return {(r["base"], r["corpus"], r["recipe"]): r["value"] for r in rows if r.get("value") is not None}


def _reference_ap(settings: Mapping, performance: list[dict]) -> dict[str, float]:
    """Return {model: AP of the first reference that is this model, prompted in its chat template}."""
    models = {r["name"]: r.get("model") for r in settings["references"] if r.get("format") != "plain"}
    by_model: dict[str, float] = {}
    for row in performance:
        model = models.get(row["model"]) if row["kind"] == "reference" and row["measure"] == AP else None
        if model is not None and row.get("value") is not None:
            by_model.setdefault(model, row["value"])
    return by_model


def _size(settings: Mapping, unit: Unit) -> Result:
    """Return the teacher's parameters in billions."""
    if unit.teacher is None:
        return None, "a derived corpus has no size"
    size = settings["teachers"].get(unit.teacher, {}).get("parameters")
    if size is None:
        return None, f"teacher '{unit.teacher}': its model states no `parameters`"
    return float(size), None


def _own_score(settings: Mapping, unit: Unit, references: Mapping[str, float]) -> Result:
    """Return a teacher's own score. Stated scores and those of references have different scales, so they are never mixed."""
    if unit.teacher is None:
        return None, "a derived corpus has no score of its own"
    teachers = settings["teachers"]
    teacher = teachers.get(unit.teacher, {})
    if any(other.get("score") is not None for other in teachers.values()):
        score, reason = teacher.get("score"), "states no `score`, and others do"
    else:
        score, reason = references.get(teacher.get("model")), "states no `score`, and no reference is its model"
    return (None, f"teacher '{unit.teacher}' {reason}") if score is None else (float(score), None)


def _borrowed(base: str, bases: list[str], ap_of_base: Mapping[str, float | None]) -> Result:
    """Return the mean AP of the other bases' students of the same unit. ap_of_base: of this unit, None where there is none."""
    others = [other for other in bases if other != base]
    if not others:
        return None, "one base only"
    known = {other: ap for other in others if (ap := ap_of_base.get(other)) is not None}
    if len(known) < len(others):
        return None, f"no performance on {', '.join(other for other in others if other not in known)}"
    return float(np.mean(list(known.values()))), None


def _random(settings: Mapping, unit: Unit) -> Result:
    """Return a number from 0 to 1, by a hash: adding a teacher to the grid changes it for no other one."""
    text = f"{settings['grid']['seed']}/{unit.base}/{unit.panel}/{unit.unit}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48, None
