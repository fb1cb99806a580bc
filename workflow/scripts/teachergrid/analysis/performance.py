"""Performance of students and references: per-item scores become values of 0 to 100 with intervals, gains and ranks.

Terms: a score (0..1) belongs to one item; a measure is a named set of items (see `scores`); performance is a model's mean score
over a measure, in points (0..100). Items are compared within a base.
"""

from typing import NamedTuple

import numpy as np

from ..data.health import limited
from ..spec.ids import Corpus, Responses, any_seed
from ..stats import comparison
from ..stats.resampling import Interval
from ..store import artifacts
from ..store.artifacts import Source, read
from .scores import AP, Scores, measures

Key = tuple[str, str, str | None]  # base, corpus, recipe; no recipe where a grid only measures


class Unit(NamedTuple):
    """What a grid ranks: a base fine-tuned on a corpus by a recipe, over its SFT seeds."""

    base: str
    corpus: str
    instructions: str | None
    teacher: str | None
    recipe: str | None
    unit: str  # value of the grid's `compare` word; the corpus' name where it is a derived one
    panel: str  # the values of the other words, which all units of the panel share
    self_pair: bool
    gated: str | None  # why the corpus must not be used
    students: dict[int, str]  # {seed: student}

    @property
    def key(self) -> Key:
        return self.base, self.corpus, self.recipe


def units(settings: dict, health: dict[str, Source]) -> list[Unit]:
    """Return the units of a grid. health: {responses: source of its health table}."""
    by_key: dict[Key, Unit] = {}
    for student in settings["students"]:
        key = student["base"], student["corpus"], student["recipe"]
        if key not in by_key:
            by_key[key] = _unit(settings, student, health)
        if student["student"]:  # none where a grid only measures
            by_key[key].students[student["seed"]] = student["student"]
    return list(by_key.values())


def _unit(settings: dict, student: dict, health: dict[str, Source]) -> Unit:
    """Return the unit of a student, without students yet."""
    compare, derived, corpus = settings["grid"]["compare"], settings.get("corpora", {}), student["corpus"]
    # a derived corpus is compared with the teachers of its instruction set
    instructions = student["instructions"] or derived.get(corpus, {}).get("instructions")
    instructions = instructions or "+".join(settings["grid"]["instructions"])
    words = {"instructions": instructions, "teacher": student["teacher"] or corpus, "recipe": student["recipe"]}
    return Unit(
        **{key: student[key] for key in ("base", "corpus", "instructions", "teacher", "recipe", "self_pair")},
        unit=student[compare] or corpus,
        panel=", ".join(name for word, name in words.items() if name and word != compare),
        gated=_gated(_sources(corpus, derived), health, settings["gates"]),
        students={},
    )


def _sources(corpus: str, derived: dict[str, dict]) -> list[str]:
    """Return the ids of the responses that a corpus takes rows from. derived: {corpus: {instructions, teachers}}."""
    if Corpus.parse(corpus).responses or corpus not in derived:
        return [corpus]
    return [str(Responses(derived[corpus]["instructions"], teacher)) for teacher in derived[corpus]["teachers"]]


def _gated(responses: list[str], health: dict[str, Source], gates: dict) -> str | None:
    """Return which health gates these responses fail, or None."""
    failed = [
        f"{row['check']} {100 * row['share']:.3g} % of {name} > {100 * row['limit']:.3g} %"
        for name in responses
        if name in health
        for row in limited(read(health[name], artifacts.HEALTH).to_pylist(), gates)
        if not row["passed"]
    ]
    return f"gated: {', '.join(failed)}" if failed else None


class Performance(NamedTuple):
    rows: list[dict]  # of artifacts.PERFORMANCE
    items: dict[Key, np.ndarray]  # [seeds, items] behind AP, 0..1
    untuned: dict[str, str | None]  # {base: its reference without tuning that gains are measured against}


def performance(settings: dict, grid_units: list[Unit], scores: dict[tuple[str, str, str], Source]) -> Performance:
    """Return values, gains over the untuned base and distances to the best unit of the panel, for every measure.

    scores: {(model, suite, judge): source of artifacts.SCORES}. Intervals are bootstrapped over items (the same for all
    units), and over SFT seeds where there are several; a gain is paired over items, and its interval has the noise of seeds too.
    """
    result, grid = Performance([], {}, {}), settings["grid"]
    bases = [unit.base for unit in grid_units] + [reference["base"] for reference in settings["references"]]
    for base in dict.fromkeys(bases):
        base_units = [unit for unit in grid_units if unit.base == base]
        references = [reference for reference in settings["references"] if reference["base"] == base]
        models = [model for unit in base_units if not unit.gated for model in unit.students.values()]
        tables = measures(settings, [*models, *(reference["name"] for reference in references)], scores)
        ap = tables[AP].values
        untuned = result.untuned[base] = _untuned(references, ap)
        known: dict[bytes, tuple] = {}  # a suite of one task has the same scores three times: AP, suite and task
        for measure, table in tables.items():
            for panel in dict.fromkeys(unit.panel for unit in base_units):
                panel_units = [unit for unit in base_units if unit.panel == panel]
                result.rows.extend(_student_rows(grid, measure, table, panel_units, untuned, known))
            result.rows.extend(_reference_rows(grid, measure, table, references, untuned))
        for unit in base_units:
            if seeds := [ap[model] for model in unit.students.values() if model in ap]:
                result.items[unit.key] = np.array(seeds)
    return result


def _untuned(references: list[dict], values: dict[str, np.ndarray]) -> str | None:
    """Return the untuned reference with the highest AP over text formats: a student has to beat it to be worth training."""
    names = [r["name"] for r in references if r["role"] == "untuned" and r["name"] in values]
    return max(names, key=lambda name: values[name].mean()) if names else None


# --- rows


def _student_rows(
    grid: dict, measure: str, table: Scores, panel_units: list[Unit], untuned: str | None, known: dict[bytes, tuple]
) -> list[dict]:
    """Return the rows of the units of one panel, which are compared with each other. known: comparisons of the same scores."""
    seeds = sorted({seed for unit in panel_units for seed in unit.students})
    cube = np.full((len(panel_units), len(seeds), len(table.items)), np.nan)
    for scores, unit in zip(cube, panel_units, strict=True):
        for i, seed in enumerate(seeds):
            if unit.students.get(seed) in table.values:
                scores[i] = table.values[unit.students[seed]]
    key = cube.tobytes() + table.values.get(untuned or "", np.zeros(0)).tobytes()
    if key not in known:
        results = comparison.best_with_uncertainty(cube, grid["bootstrap"], grid["seed"]).units
        known[key] = results, _gains(grid, [scores for scores in cube if not np.isnan(scores).all()], table, untuned)
    gains = iter(known[key][1])
    rows = []
    for unit, scores, result in zip(panel_units, cube, known[key][0], strict=True):
        copied = ("base", "corpus", "instructions", "teacher", "recipe", "unit", "panel", "self_pair")
        row: dict[str, object] = {"kind": "student", "model": any_seed(unit.base, unit.corpus, unit.recipe)}
        row |= {key: getattr(unit, key) for key in copied} | {"measure": measure, "n_items": len(table.items)}
        if not np.isnan(scores).all():
            drawn = _drawn([table.drawn[model] for model in unit.students.values() if model in table.drawn])
            rows.append(row | _by_seed(seeds, scores) | _comparison(result) | drawn | next(gains))
        elif not _is_part(measure, grid):
            missing = {table.reasons[model] for model in unit.students.values() if model in table.reasons}
            reason = unit.gated or "; ".join(sorted(missing))
            between = _between([table.bounds[model] for model in unit.students.values() if model in table.bounds])
            rows.append({**row, **between, "n_items": 0, "seeds": [], "by_seed": [], "reason": reason})
    return rows


def _drawn(noise: list[float]) -> dict:
    """Return the column of the noise of drawn answers in the mean over seeds. noise: standard error of each seed's mean, in scores."""
    return {"se_drawn": 100 * float(np.sqrt(np.sum(np.square(noise)))) / len(noise)} if noise else {}


def _is_part(measure: str, grid: dict) -> bool:
    """Whether a measure is part of a suite and not primary: a model without scores has a row for a suite, not for its parts."""
    return measure.count("/") >= 2 and measure not in grid["performance"]


def _between(bounds: list[tuple[float, float]]) -> dict:
    """Return the columns of the values between which the unknown one lies."""
    return {"least": min(bounds)[0], "most": max(high for _, high in bounds)} if bounds else {}


def _by_seed(seeds: list[int], scores: np.ndarray) -> dict:
    """Return the columns of a unit's seeds, from scores [seeds, items]; a seed without scores is NaN."""
    points = {seed: 100 * float(row.mean()) for seed, row in zip(seeds, scores, strict=True) if not np.isnan(row[0])}
    values = list(points.values())
    return {"seeds": list(points), "by_seed": values, "value": sum(values) / len(values)}


def _comparison(result: comparison.UnitResult) -> dict:
    """Return the columns of a unit compared with the best one, in points."""
    low, high = _points(result.interval)
    behind = None if result.difference is None else 0.0 - 100 * result.difference  # 0.0 - ...: no -0.0
    # `behind` is the negative of the difference, so the ends of its interval change places
    behind_high, behind_low = (None if end is None else -end for end in _points(result.difference_interval))
    distance = {"behind_best": behind, "behind_low": behind_low, "behind_high": behind_high}
    told = {"p_behind": result.p, "p_best": result.p_best, "tied_with_best": result.not_distinguishable}
    return {"low": low, "high": high, **distance, **told}


def _gains(grid: dict, cube: list[np.ndarray], table: Scores, untuned: str | None) -> list[dict]:
    """Return for each unit the columns of the gain over the untuned base, from its scores [seeds, items]."""
    if untuned not in table.values:
        return [{} for _ in cube]
    by_unit = [scores[~np.isnan(scores).all(1)] for scores in cube]
    columns = []
    for result in comparison.gains(by_unit, table.values[untuned], grid["bootstrap"], seed=grid["seed"]):
        assert result.difference is not None  # all scores of a table are finite
        low, high = _points(result.interval)
        columns.append({"gain": 100 * result.difference, "gain_low": low, "gain_high": high, "p_gain": result.p})
    adjusted = comparison.holm([np.nan if row["p_gain"] is None else row["p_gain"] for row in columns])
    return [row | {"p_gain_holm": None if np.isnan(p) else float(p)} for row, p in zip(columns, adjusted, strict=True)]


def _reference_rows(grid: dict, measure: str, table: Scores, references: list[dict], untuned: str | None) -> list[dict]:
    """Return the rows of models that are evaluated as they are."""
    rows = []
    for reference in references:
        name, nothing = reference["name"], {"seeds": [], "by_seed": [], "self_pair": False}
        row = {"kind": "reference", "model": name, "base": reference["base"], "measure": measure, **nothing}
        if name in table.values:
            scores = table.values[name]
            mean = comparison.mean_interval(scores, grid["bootstrap"], grid["seed"])
            assert mean.mean is not None  # all scores of a table are finite
            low, high = _points(mean.interval)
            gain = {} if name == untuned else _gains(grid, [scores[None]], table, untuned)[0]
            drawn = _drawn([table.drawn[name]] if name in table.drawn else [])
            rows.append(
                {**row, "value": 100 * mean.mean, "low": low, "high": high, "n_items": len(scores), **drawn, **gain}
            )
        elif not _is_part(measure, grid):
            between = _between([table.bounds[name]] if name in table.bounds else [])
            rows.append({**row, **between, "n_items": 0, "reason": table.reasons[name]})
    return rows


def _points(interval: Interval | None) -> tuple[float, float] | tuple[None, None]:
    """Return an interval of scores 0..1 in points."""
    return (None, None) if interval is None else (100 * interval[0], 100 * interval[1])
