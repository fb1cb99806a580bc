"""The scores behind performance: of the models of a base, on the same items, for every measure.

A measure is a named set of values of items: `AP`, suite/judge, suite/judge/task, suite/judge/task/category, and suite/judge/task:name
for what a checker or judge measures beside its score.

An item that one model lacks is missing for that model alone. Its value there is the mean of the model's other items, and these are
moved away from the mean so far that their spread stays what it is: with n of N items, x becomes m + (N / n) (x - m). So the mean is
that of the items it has, intervals are as wide as n items make them, and pairing needs no special case. A model that has less than
the share `COVERED` of a measure's items counts as missing there.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ..store import artifacts
from ..store.artifacts import Source, read

AP = "AP"
COVERED = 0.9
_NONE = (np.nan, np.nan)  # score of an item without one, and its variance
_NAMES = ["task", "id", "category"]  # columns that say what a row is about
Item = tuple[str, str, str]  # suite, task, id
Bounds = tuple[float, float]
Named = dict[tuple[str, str], dict[str, dict[str, float]]]  # {(task, measure): {model: {id: value}}}


# by a grid's `compare`: what one unit is called, and what several are
UNIT_WORDS = {
    "teacher": ("teacher", "teachers"),
    "instructions": ("instruction set", "instruction sets"),
    "recipe": ("recipe", "recipes"),
}


class Scores(NamedTuple):
    """Scores of one measure: of the models of a base, on its items."""

    items: list[Item]
    category: list[str | None]  # [items]
    values: dict[str, np.ndarray]  # {model: [items]}, without gaps
    reasons: dict[str, str]  # {model: why it has no values}
    bounds: dict[str, Bounds]  # {model without values: its mean if all that it lacks were 0, and if all were 1}
    drawn: dict[str, float]  # {model with several answers an item: standard error of its mean by drawing answers}


class _Raw(NamedTuple):
    """Scores as they were given: NaN where a model has none."""

    items: list[Item]
    category: list[str | None]
    values: dict[str, np.ndarray]
    noise: dict[str, np.ndarray]  # {model: [items]}, variance of an item's mean over answers; NaN: there is one

    def part(self, rows: Sequence[int]) -> "_Raw":
        category = [self.category[i] for i in rows]
        values, noise = ({m: v[rows] for m, v in of.items()} for of in (self.values, self.noise))
        return _Raw([self.items[i] for i in rows], category, values, noise)


def measures(settings: dict, models: list[str], scores: Mapping[tuple[str, str, str], Source]) -> dict[str, Scores]:
    """Return {measure: Scores}: AP, then each suite/judge with its tasks, their categories and named measures.

    Args:
        settings: {"suites": {suite: judges}, "grid": {"performance", "weights"}}.
        scores: {(model, suite, judge): source of artifacts.SCORES}.
    """
    found: dict[str, Scores] = {}
    for suite, judges in settings["suites"].items():
        for judge in judges:
            found |= _of_judge(suite, judge, models, scores)
    grid = settings["grid"]
    primary = {name: found.get(name) or _nothing(name, models) for name in grid["performance"]}
    weights = [grid.get("weights", {}).get(name, 1.0) for name in primary]
    return {AP: _ap(list(primary.values()), weights, models), **found}


def _nothing(name: str, models: list[str]) -> Scores:
    return Scores([], [], {}, {model: f"no scores in {name}" for model in models}, {}, {})


def _of_judge(suite: str, judge: str, models: list[str], scores: Mapping) -> dict[str, Scores]:
    """Return the measures of a suite by a judge."""
    files = {model: scores[model, suite, judge] for model in models if (model, suite, judge) in scores}
    raw, named = _read(suite, files)
    name, task = f"{suite}/{judge}", [item[1] for item in raw.items]
    found = {name: _complete(name, raw, models)}
    with_category = {(t, c) for t, c in zip(task, raw.category, strict=True) if c}
    for part in sorted({(t,) for t in task} | with_category):
        rows = [i for i, t in enumerate(task) if (t, raw.category[i])[: len(part)] == part]
        whole = "/".join([name, *part])
        found[whole] = _complete(whole, raw.part(rows), models)
    for (of_task, measure), values in sorted(named.items()):
        whole = f"{name}/{of_task}:{measure}"
        rows = [i for i, t in enumerate(task) if t == of_task]
        part_of = raw.part(rows)
        columns = {m: np.array([of.get(item[2], np.nan) for item in part_of.items]) for m, of in values.items()}
        found[whole] = _complete(whole, part_of._replace(values=columns, noise={}), models)
    return found


class _Rows(NamedTuple):
    """What the rows of a file are about."""

    names: pa.Table  # their columns _NAMES
    of: list[tuple[str, str]]  # [rows], task and id
    items: list[tuple[str, str]]  # each once


def _read(suite: str, files: Mapping[str, Source]) -> tuple[_Raw, Named]:
    """Return the scores of a suite by a judge, and what it measures beside them. files: {model: source of artifacts.SCORES}."""
    category: dict[tuple[str, str], str | None] = {}
    by_model: dict[str, tuple[_Rows, np.ndarray, np.ndarray]] = {}
    named: Named = {}
    rows = None
    for model, source in files.items():
        table = read(source, artifacts.SCORES, [*_NAMES, "score", "measures"])
        # models mostly have the same rows in the same order, and there are very many files
        if rows is None or not rows.names.equals(table.select(_NAMES)):
            rows = _rows(table)
            category.update(zip(rows.of, rows.names["category"].to_pylist(), strict=True))
        _add_named(table, rows, model, named)
        by_model[model] = rows, *_of_items(rows, table)
    items = sorted(category)
    place = {item: i for i, item in enumerate(items)}
    means, noise = ({m: np.full(len(items), np.nan) for m in by_model} for _ in range(2))
    last, places = None, []
    for model, (own, of_model, noise_of_model) in by_model.items():
        if own is not last:
            last, places = own, [place[item] for item in own.items]
        means[model][places], noise[model][places] = of_model, noise_of_model
    return _Raw([(suite, *item) for item in items], [category[item] for item in items], means, noise), named


def _rows(table: pa.Table) -> _Rows:
    # column by column: a row at a time takes several times as long
    of = list(zip(table["task"].to_pylist(), table["id"].to_pylist(), strict=True))
    return _Rows(table.select(_NAMES), of, list(dict.fromkeys(of)))


def _of_items(rows: _Rows, table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of a model [items] and their variance: of an item with several samples, the mean over those that have a score."""
    scores = np.asarray(table["score"].to_numpy(), float)  # null is NaN
    if len(rows.items) == len(rows.of):  # one sample of each
        return scores, np.full(len(scores), np.nan)
    samples: dict[tuple[str, str], list[float]] = {item: [] for item in rows.items}
    for item, score in zip(rows.of, scores.tolist(), strict=True):
        samples[item].append(score)
    means, noise = np.array([_mean_of(row) for row in samples.values()]).T
    return means, noise


def _add_named(table: pa.Table, rows: _Rows, model: str, named: Named) -> None:
    """Add what a checker or judge measures beside the score: the mean over an item's samples."""
    if table["measures"].null_count == len(rows.of):
        return
    found: dict[tuple[str, str, str], list[float]] = {}
    for item, measured in zip(rows.of, table["measures"].to_pylist(), strict=True):
        for one in measured or ():
            if one["value"] is not None:
                found.setdefault((*item, one["measure"]), []).append(one["value"])
    for (task, id, measure), values in found.items():
        named.setdefault((task, measure), {}).setdefault(model, {})[id] = float(np.mean(values))


def _mean_of(samples: list[float]) -> tuple[float, float]:
    """Return the mean of an item's scores, and the variance that it has since these answers were drawn and no others."""
    known = [score for score in samples if score == score]
    if len(known) < 2:
        return (known[0], np.nan) if known else _NONE
    return float(np.mean(known)), float(np.var(known, ddof=1)) / len(known)


def _complete(name: str, raw: _Raw, models: list[str]) -> Scores:
    """Return the scores of a measure without gaps, and why models have none."""
    values: dict[str, np.ndarray] = {}
    bounds: dict[str, Bounds] = {}
    drawn: dict[str, float] = {}
    reasons = {model: f"no scores in {name}" for model in models if model not in raw.values}
    for model, row in raw.values.items():
        has, total = ~np.isnan(row), len(row)
        if total and has.mean() >= COVERED:
            mean = row[has].mean()
            # no rounding where nothing is missing
            values[model] = row if has.all() else np.where(has, mean + total / has.sum() * (row - mean), mean)
            noise = raw.noise.get(model, np.full(total, np.nan))
            if not np.isnan(noise).all():
                # items with one answer say nothing of it; they count as the others do
                drawn[model] = float(np.sqrt(np.nanmean(noise) / has.sum()))
            continue
        reasons[model] = f"{np.count_nonzero(has)} of {total} items have a score in {name}"
        if has.any() and row[has].min() >= 0 and row[has].max() <= 1:
            low = 100 * float(row[has].sum()) / total
            bounds[model] = low, low + 100 * float((~has).mean())
            reasons[model] += f", so its value lies between {low:.1f} and {bounds[model][1]:.1f}"
    return Scores(raw.items, raw.category, values, reasons, bounds, drawn)


def _ap(primary: list[Scores], weights: list[float], models: list[str]) -> Scores:
    """Return the weighted mean of the primary scores, as values per item whose mean is AP.

    With N items in all, an item with score x of a primary score j with n_j items and mean m_j has the value
    m_j + (N / n_j) (x - m_j). So the bootstrap over items gives the variance of AP, and differences between suites do not
    count as noise. With one primary score the values are its scores.
    """
    items = sorted({item for part in primary for item in part.items})
    index = {item: i for i, item in enumerate(items)}
    reasons = {}
    for model in models:
        if missing := [part.reasons[model] for part in primary if model in part.reasons]:
            reasons[model] = "; ".join(dict.fromkeys(missing))
    values = {model: np.zeros(len(items)) for model in models if model not in reasons}
    for model, (part, weight) in product(values, list(zip(primary, weights, strict=True))):
        x, more = part.values[model], len(items) / len(part.items)
        row = np.full(len(items), x.mean())
        row[[index[item] for item in part.items]] = (1 - more) * x.mean() + more * x
        values[model] += row * (weight / sum(weights))
    bounds = primary[0].bounds if len(primary) == 1 else {}
    drawn: dict[str, float] = {}
    for model in values:
        parts = [(part.drawn[model], w) for part, w in zip(primary, weights, strict=True) if model in part.drawn]
        if parts:
            drawn[model] = float(np.sqrt(sum((w * se) ** 2 for se, w in parts))) / sum(weights)
    return Scores(items, [None] * len(items), values, reasons, bounds, drawn)
