"""Pilots that train: students of few rows beside those of all rows. Is the winner of the few the winner of all?

A pilot is a derived corpus of one teacher with few random rows (`corpora.X: {teachers: [T], choose: random, rows: 30}`), stated for each
teacher alike. The rows are of artifacts.EFFECTS, in points of AP. Students of fewer rows have as many epochs, so fewer steps.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ..analysis.performance import Key, Unit
from ..stats import nested_bootstrap, rank, resampling
from ..stats.shrinkage import shrunk
from .selection import SIZE, is_random, of_draws

CURVE, EXTRAPOLATED, PILOT_RHO, PILOT_LOST, HALVING = "curve", "extrapolated", "train_rho", "train_lost", "halving"
ALL_ROWS = "all rows"
LEAST = 3  # teachers that a pilot needs
KEPT = 3


class Level(NamedTuple):
    """The students of all teachers on so many rows."""

    name: str
    rows: float  # that one student was trained on, mean
    draws: np.ndarray  # [rounds, teachers]: performance under other items and seeds, in points
    ap: np.ndarray  # [teachers]


def curve_rows(
    settings: Mapping, units: list[Unit], items: Mapping[Key, np.ndarray], students: Mapping[str, dict]
) -> list[dict]:
    """Return the rows on pilots that trained, for each base and recipe that has any.

    Args:
        items: [seeds, items] behind AP of each unit, 0..1. students: {student: its student.json}.
    """
    rows = []
    for place in dict.fromkeys((unit.base, unit.panel, unit.recipe) for unit in units):
        own = [
            unit
            for unit in units
            if (unit.base, unit.panel, unit.recipe) == place and unit.key in items and not unit.gated
        ]
        teachers, levels = _levels(settings, own, items, students)
        if len(levels) > 1:
            found = [
                *_curves(teachers, levels),
                *_pilots(settings, teachers, levels),
                *_halving(settings, teachers, levels),
            ]
            rows += [{"base": place[0], "panel": place[1], **row} for row in found]
    return rows


def _levels(
    settings: Mapping, units: list[Unit], items: Mapping[Key, np.ndarray], students: Mapping[str, dict]
) -> tuple[list[str], list[Level]]:
    """Return the teachers that all levels have, and the levels from the fewest rows to all; none without a pilot.

    Several draws of as many rows stand for one unit.
    """
    found: dict[str, dict[str, list[Unit]]] = {}  # {level: {teacher: units}}
    for unit in units:
        entry = settings["corpora"].get(unit.corpus)
        if unit.teacher:
            found.setdefault(ALL_ROWS, {}).setdefault(unit.teacher, []).append(unit)
        elif entry and len(entry["teachers"]) == 1 and is_random(entry) and not entry["least"]:
            found.setdefault(_name(entry), {}).setdefault(entry["teachers"][0], []).append(unit)
    whole = found.get(ALL_ROWS, {})
    # a level that another has more teachers than is still one, if enough of them have all rows, too
    enough = {name: own for name, own in found.items() if len(own.keys() & whole.keys()) >= LEAST}
    shared = [name for name in whole if all(name in own for own in enough.values())]
    if len(shared) < LEAST:
        return [], []
    levels = [
        _level(settings, name, [own[teacher] for teacher in shared], items, students) for name, own in enough.items()
    ]
    return shared, sorted(levels, key=lambda level: (level.name == ALL_ROWS, level.rows))


def _name(entry: dict) -> str:
    """Return how a corpus is cut, as text: `rows 30`."""
    return ", ".join(f"{key} {entry[key]:g}" for key in SIZE if entry[key])


def _level(
    settings: Mapping,
    name: str,
    by_teacher: list[list[Unit]],
    items: Mapping[Key, np.ndarray],
    students: Mapping[str, dict],
) -> Level:
    cubes = [of_draws([items[unit.key] for unit in own]) for own in by_teacher]
    made = [students.get(student, {}) for own in by_teacher for unit in own for student in unit.students.values()]
    rows = [facts["examples"] for facts in made if facts.get("examples")]
    draws = 100 * nested_bootstrap.performance_draws(cubes, settings["grid"]["bootstrap"], settings["grid"]["seed"])
    ap = 100 * np.array([scores.mean() for scores in cubes])
    return Level(name, float(np.mean(rows)) if rows else np.nan, draws, ap)


def _curves(teachers: list[str], levels: list[Level]) -> Iterator[dict]:
    """Yield the points of each teacher's curve, and what its last two pilots promise for all rows.

    A line in the logarithm of rows goes through these two. Where quality levels off, it promises too much.
    """
    for level in levels:
        for i, teacher in enumerate(teachers):
            low, high = resampling.percentiles(level.draws[:, i])
            row = {"effect": CURVE, "subject": teacher, "other": level.name, "value": float(level.ap[i])}
            yield {**row, "low": low, "high": high, "n": 0 if np.isnan(level.rows) else round(level.rows)}
    if len(levels) < 3 or not levels[-3].rows < levels[-2].rows < levels[-1].rows:
        return
    before, last = levels[-3:-1]
    reach = np.log(levels[-1].rows / last.rows) / np.log(last.rows / before.rows)
    promised, draws = (now + reach * (now - then) for now, then in ((last.ap, before.ap), (last.draws, before.draws)))
    for i, teacher in enumerate(teachers):
        low, high = resampling.percentiles(draws[:, i])
        row = {"effect": EXTRAPOLATED, "subject": teacher, "other": ALL_ROWS, "value": float(promised[i])}
        yield {**row, "low": low, "high": high, "n": round(levels[-1].rows)}


def _truths(settings: Mapping, level: Level) -> np.ndarray:
    """Return draws of true performance on all rows [rounds, teachers], up to a constant, as for P(best)."""
    return shrunk(level.ap, level.draws, np.random.default_rng([settings["grid"]["seed"], 13]))


def _pilots(settings: Mapping, teachers: list[str], levels: list[Level]) -> Iterator[dict]:
    """Yield for each pilot how well it ranks, and what its winner, or the best seen of its first, loses against the truly best."""
    *pilots, whole = levels
    truths = _truths(settings, whole)
    for level in pilots:
        row = {"subject": level.name, "n": len(teachers)}
        rho = rank.spearman(level.ap, whole.ap)
        p = rank.permutation_p(level.ap, whole.ap, settings["grid"]["seed"])[0] if not np.isnan(rho) else None
        reason = "all students of a side perform equally" if np.isnan(rho) else None
        yield {**row, "effect": PILOT_RHO, "value": None if np.isnan(rho) else rho, "p": p, "reason": reason}
        first = np.argsort(-level.ap, kind="stable")
        for kept in dict.fromkeys((1, min(KEPT, len(teachers)))):
            best = max(first[:kept], key=lambda i: whole.ap[i])
            yield {**row, "effect": PILOT_LOST, **_lost(truths, int(best), teachers), "smaller": str(kept)}


def _lost(truths: np.ndarray, chosen: int, teachers: list[str]) -> dict:
    lost = truths.max(1) - truths[:, chosen]
    low, high = resampling.percentiles(lost)
    return {"other": teachers[chosen], "value": float(lost.mean()), "low": low, "high": high}


def _halving(settings: Mapping, teachers: list[str], levels: list[Level]) -> Iterator[dict]:
    """Yield what successive halving loses: all on the fewest rows, the better half on the next, and so on; `larger`: share of the training."""
    if any(np.isnan(level.rows) for level in levels):
        return
    kept, trained, steps = np.arange(len(teachers)), 0.0, []
    for before, level in zip([None, *levels], levels, strict=False):
        if before is not None:
            kept = kept[np.argsort(-before.ap[kept], kind="stable")][: -(-len(kept) // 2)]
        trained += len(kept) * level.rows
        steps.append(f"{len(kept)} on {level.name}")
    chosen = max(kept, key=lambda i: levels[-1].ap[i])
    share = trained / (len(teachers) * levels[-1].rows)
    row = {"effect": HALVING, "subject": ", ".join(steps), "larger": f"{share:.3f}", "n": len(teachers)}
    yield {**row, **_lost(_truths(settings, levels[-1]), int(chosen), teachers)}
