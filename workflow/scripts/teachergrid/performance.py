"""Performance of students and references: per-item scores become values of 0 to 100 with intervals, gains and ranks.

Items are compared within a base. A model that has scores for less than `COVERED` of the items counts as missing, so that
it does not take the items from the others; an item that any other model of the base has no score for is left out for
all of them, so that every number of a base rests on the same items.
"""

from itertools import product
from typing import NamedTuple

import numpy as np

from . import artifacts, standings
from .artifacts import read
from .health import limited
from .ids import Corpus, Responses, any_seed

AP = "AP"
COVERED = 0.9


class Unit(NamedTuple):
    """What a grid ranks: a base fine-tuned on a corpus by a recipe, over its SFT seeds."""

    base: str
    corpus: str
    instructions: str | None
    teacher: str | None
    recipe: str
    unit: str  # value of the grid's `compare` word; the corpus' name where it is a derived one
    panel: str  # what is held fixed beside it
    self_pair: bool
    gated: str | None  # why the corpus must not be used
    students: dict  # {seed: student}


def units(settings: dict, health: dict) -> list[Unit]:
    """Return the units of a grid. health: {responses: source of its health table}."""
    found, compare, derived = {}, settings["grid"]["compare"], settings.get("corpora", {})
    for student in settings["students"]:
        base, corpus, recipe = key = student["base"], student["corpus"], student["recipe"]
        if key not in found:
            # a derived corpus stands beside the teachers of its instruction set
            of_set = (
                student["instructions"]
                or derived.get(corpus, {}).get("instructions")
                or "+".join(settings["grid"]["instructions"])
            )
            words = {"instructions": of_set, "teacher": student["teacher"] or corpus, "recipe": recipe}
            found[key] = Unit(
                base=base,
                corpus=corpus,
                instructions=student["instructions"],
                teacher=student["teacher"],
                recipe=recipe,
                unit=student[compare] or corpus,
                panel=", ".join(name for word, name in words.items() if name and word != compare),
                self_pair=student["self_pair"],
                gated=_gated(_sources(corpus, derived), health, settings["gates"]),
                students={},
            )
        if student["student"]:  # none where a grid only measures
            found[key].students[student["seed"]] = student["student"]
    return list(found.values())


def _sources(corpus: str, derived: dict) -> list[str]:
    """Return the ids of the responses that a corpus takes rows from. derived: {corpus: {instructions, teachers}}."""
    if Corpus.parse(corpus).responses or corpus not in derived:
        return [corpus]
    return [str(Responses(derived[corpus]["instructions"], teacher)) for teacher in derived[corpus]["teachers"]]


def _gated(responses: list[str], health: dict, gates: dict) -> str | None:
    failed = [
        f"{row['check']} {100 * row['share']:.3g} % of {name} > {100 * row['limit']:.3g} %"
        for name in responses
        if name in health
        for row in limited(read(health[name], artifacts.HEALTH).to_pylist(), gates)
        if not row["passed"]
    ]
    return f"gated: {', '.join(failed)}" if failed else None


class Scores(NamedTuple):
    """Scores 0..1 of the models of a base on the items that all of them have: values {model: [items]}."""

    items: list  # [(suite, task, id), ...]
    category: list
    values: dict
    reasons: dict  # {model: why it has no values}


class Performance(NamedTuple):
    rows: list  # of artifacts.PERFORMANCE
    items: dict  # {(base, corpus, recipe): [seeds, items] behind AP, 0..1}
    opponents: dict  # {base: the untuned reference that gains are measured against, or None}


def performance(settings: dict, grid_units: list[Unit], scores: dict) -> Performance:
    """Return values, gains over the untuned base and distances to the best unit of the panel, for every measure.

    scores: {(model, suite, judge): source}. Intervals are bootstrapped over items (the same for all units), and over SFT
    seeds where there are several; a gain is paired over items, with each unit's mean over its seeds.
    """
    rows, items, opponents = [], {}, {}
    grid, bases = settings["grid"], [unit.base for unit in grid_units] + [r["base"] for r in settings["references"]]
    for base in dict.fromkeys(bases):
        mine = [unit for unit in grid_units if unit.base == base]
        references = [reference for reference in settings["references"] if reference["base"] == base]
        models = [model for unit in mine if not unit.gated for model in unit.students.values()]
        measures = _measures(settings, [*models, *(reference["name"] for reference in references)], scores)
        opponents[base] = _opponent(references, measures[AP].values)
        for measure, table in measures.items():
            for panel in dict.fromkeys(unit.panel for unit in mine):
                same = [unit for unit in mine if unit.panel == panel]
                rows += _student_rows(grid, measure, table, same, opponents[base])
            rows += [_reference_row(grid, measure, table, r, opponents[base]) for r in references]
        for unit in mine:
            known = [measures[AP].values[m] for m in unit.students.values() if m in measures[AP].values]
            if known:
                items[unit.base, unit.corpus, unit.recipe] = np.array(known)
    return Performance([row for row in rows if row], items, opponents)


def _opponent(references: list[dict], values: dict) -> str | None:
    """The untuned base in the better of its text formats: a student has to beat what needs no tuning at all."""
    untuned = [r["name"] for r in references if r["role"] == "untuned" and r["name"] in values]
    return max(untuned, key=lambda name: values[name].mean()) if untuned else None


# --- rows


def _student_rows(grid: dict, measure: str, table: Scores, same: list[Unit], opponent: str | None) -> list[dict]:
    """The rows of the units of one panel, which are compared with each other."""
    seeds = sorted({seed for unit in same for seed in unit.students})
    nothing = np.full(len(table.items), np.nan)
    cube = np.array([[table.values.get(unit.students.get(seed), nothing) for seed in seeds] for unit in same])
    cube = cube.reshape(len(same), len(seeds), len(table.items))  # also where nothing was trained
    known = ~np.isnan(cube).all((1, 2))
    found = standings.best_with_uncertainty(cube[known], grid["bootstrap"], grid["seed"]).units if known.any() else ()
    of_unit = iter(found)
    rows = []
    for unit, scores, has_any in zip(same, cube, known, strict=True):
        model = any_seed(unit.base, unit.corpus, unit.recipe)
        names = {
            key: getattr(unit, key)
            for key in ("base", "corpus", "instructions", "teacher", "recipe", "unit", "panel", "self_pair")
        }
        row = {"kind": "student", "model": model, **names, "measure": measure, "n_items": len(table.items)}
        if has_any:
            rows.append(row | _by_seed(seeds, scores) | _standing(next(of_unit)) | _gain(grid, scores, table, opponent))
        elif measure.count("/") < 2:  # one line for a missing cell and score, not one for each category
            lost = {table.reasons[model] for model in unit.students.values() if model in table.reasons}
            reason = unit.gated or "; ".join(sorted(lost))
            rows.append({**row, "n_items": 0, "seeds": [], "by_seed": [], "reason": reason})
    return rows


def _by_seed(seeds: list[int], scores: np.ndarray) -> dict:
    made = [(seed, 100 * float(row.mean())) for seed, row in zip(seeds, scores, strict=True) if not np.isnan(row).all()]
    values = [value for _, value in made]
    return {"seeds": [seed for seed, _ in made], "by_seed": values, "value": sum(values) / len(values)}


def _standing(standing) -> dict:
    low, high = _points(standing.interval)
    behind = None if standing.difference is None else 0.0 - 100 * standing.difference  # and no -0.0
    # the distance is to the best, so that its ends change places with the sign
    behind_high, behind_low = (None if end is None else -end for end in _points(standing.difference_interval))
    ranks = {"p_best": standing.p_best, "tied_with_best": standing.not_distinguishable}
    return {
        "low": low,
        "high": high,
        "behind_best": behind,
        "behind_low": behind_low,
        "behind_high": behind_high,
        **ranks,
    }


def _gain(grid: dict, scores: np.ndarray, table: Scores, opponent: str | None) -> dict:
    if opponent not in table.values:
        return {}
    made = scores[~np.isnan(scores).all(1)]
    result = standings.paired(made.mean(0), table.values[opponent], grid["bootstrap"], seed=grid["seed"])
    low, high = _points(result.interval)
    return {"gain": 100 * result.difference, "gain_low": low, "gain_high": high, "p_gain": result.p}


def _reference_row(grid: dict, measure: str, table: Scores, reference: dict, opponent: str | None) -> dict:
    """The row of a model evaluated as it is; empty where a task has no scores of it."""
    name = reference["name"]
    row = {
        "kind": "reference",
        "model": name,
        "base": reference["base"],
        "measure": measure,
        "seeds": [],
        "by_seed": [],
        "self_pair": False,
    }
    if name not in table.values:
        return {**row, "n_items": 0, "reason": table.reasons[name]} if measure.count("/") < 2 else {}
    items = table.values[name]
    result = standings.mean_interval(items, grid["bootstrap"], grid["seed"])
    low, high = _points(result.interval)
    gain = {} if name == opponent else _gain(grid, items[None], table, opponent)
    return {**row, "value": 100 * result.mean, "low": low, "high": high, "n_items": len(items), **gain}


def _points(interval) -> tuple:
    return (None, None) if interval is None else tuple(100 * end for end in interval)


# --- scores


def _measures(settings: dict, models: list[str], scores: dict) -> dict[str, Scores]:
    """{measure: Scores}: AP, then each suite/judge with its tasks and their categories."""
    parts = {
        f"{suite}/{judge}": _scores(suite, judge, models, scores)
        for suite, judges in settings["suites"].items()
        for judge in judges
    }
    measures = {AP: _ap([parts[name] for name in settings["grid"]["performance"]], models)}
    for name, whole in parts.items():
        measures[name] = whole
        task = [item[1] for item in whole.items]
        for key in sorted({(t,) for t in task} | {(t, c) for t, c in zip(task, whole.category, strict=True) if c}):
            rows = [i for i, t in enumerate(task) if (t, whole.category[i])[: len(key)] == key]
            measures["/".join([name, *key])] = Scores(
                [whole.items[i] for i in rows],
                [whole.category[i] for i in rows],
                {model: values[rows] for model, values in whole.values.items()},
                whole.reasons,
            )
    return measures


def _scores(suite: str, judge: str, models: list[str], scores: dict) -> Scores:
    found, category = {}, {}
    for model in models:
        if (model, suite, judge) in scores:
            found[model] = _items(scores[model, suite, judge], category)
    items = sorted(category)
    values = {model: np.array([known.get(item, np.nan) for item in items], float) for model, known in found.items()}
    reasons = {model: f"no scores in {suite}/{judge}" for model in models if model not in found}
    for model, row in list(values.items()):
        if not len(row) or np.mean(~np.isnan(row)) < COVERED:
            reasons[model] = f"{np.count_nonzero(~np.isnan(row))} of {len(row)} items have a score in {suite}/{judge}"
            del values[model]
    shared = ~np.isnan(list(values.values())).any(0) if values else np.zeros(len(items), bool)
    if values and not shared.any():
        reasons |= dict.fromkeys(values, f"no item that all models have a score for in {suite}/{judge}")
        values = {}
    kept = [item for item, keep in zip(items, shared, strict=True) if keep]
    return Scores(
        [(suite, *item) for item in kept],
        [category[item] for item in kept],
        {model: row[shared] for model, row in values.items()},
        reasons,
    )


def _items(source, category: dict) -> dict:
    """{(task, id): score}, the mean over samples that have one; fills in the category of each item."""
    known = {}
    for row in read(source, artifacts.SCORES, ["task", "id", "category", "score"]).to_pylist():
        category[row["task"], row["id"]] = row["category"]
        known.setdefault((row["task"], row["id"]), []).append(np.nan if row["score"] is None else row["score"])
    return {item: np.nan if np.isnan(row).all() else float(np.nanmean(row)) for item, row in known.items()}


def _ap(primary: list[Scores], models: list[str]) -> Scores:
    """The mean of the primary scores with equal weight, as values per item whose mean is AP.

    An item of one primary score of n_j items among N in all counts m_j + (N / n_j) (x - m_j), m_j the mean: so the
    bootstrap over items gives the variance of AP and takes no difference between suites for noise. With one primary
    score these are its items.
    """
    items = sorted({item for part in primary for item in part.items})
    place = {item: i for i, item in enumerate(items)}
    reasons = {}
    for model in models:
        if lost := [part.reasons[model] for part in primary if model in part.reasons]:
            reasons[model] = "; ".join(lost)
    values = {model: np.zeros(len(items)) for model in models if model not in reasons}
    for model, part in product(values, primary):
        x, weight = part.values[model], len(items) / len(part.items)
        row = np.full(len(items), x.mean())
        row[[place[item] for item in part.items]] = (1 - weight) * x.mean() + weight * x
        values[model] += row / len(primary)
    return Scores(items, [None] * len(items), values, reasons)
