"""Where the differences of performance come from, and what one more seed, more items or one more teacher would buy.

The rows are of artifacts.EFFECTS, in points of AP and their square.
"""

import math
from collections.abc import Iterable, Mapping

import numpy as np

from ..analysis.columns import Label, Table, first_choice
from ..analysis.pooled import BORROWED, align
from ..stats import resampling, variance
from ..stats.shrinkage import shrunk

VARIANCE, AFTER, NEXT, POLICY = "variance", "after", "next", "policy"
MORE_ITEMS = 300
ASSUMED_SEED = 1.0  # variance between training seeds in points squared, where a grid has one seed and cannot know it
TRAINED = 3
POOLED = "pooled"


def component_rows(tables: Mapping[str, Table]) -> list[dict]:
    """Return the rows of one panel: components over bases, noise of each base, and what more would buy there."""
    noises = {base: variance.noise([100 * scores for scores in table.items]) for base, table in tables.items()}
    rows = [
        {"base": base, **row} for base, noise in noises.items() if noise for row in _noise_rows(noise, tables[base])
    ]
    aligned = align(list(tables.values()))
    complete = ~np.isnan(aligned.ap).any(0)
    families = [name for name, has in zip(aligned.families, complete, strict=True) if has]
    known = [noise for noise in noises.values() if noise]
    found = None
    if len(known) == len(tables):
        found = variance.components(aligned.ap[:, complete], known, _shared(list(tables.values()), known), families)
    if found is None:
        row = {"base": POOLED, "effect": VARIANCE, "subject": "teacher", "n": int(complete.sum())}
        return [*rows, {**row, "reason": "fewer than 3 teachers that all bases have"}]
    rows += [{"base": POOLED, **row} for row in _component_rows(found, int(complete.sum()), len(tables))]
    for (base, table), noise in zip(tables.items(), known, strict=True):
        rows += [{"base": base, **row} for row in (*_after(table, noise, found), *_next(table, noise, found))]
    return rows


def _next(table: Table, noise: variance.Noise, found: variance.Components) -> Iterable[dict]:
    """Yield for each teacher by how many points one more seed of it lowers the expected regret of taking the best seen."""
    seeds = np.array([len(scores) for scores in table.items], float)
    seed = ASSUMED_SEED if noise.seed is None else noise.seed
    gains = variance.seed_gains(table.ap, found.on_a_base, noise.items, seed, seeds)
    reason = (
        f"assumes {ASSUMED_SEED:g} point of noise between training seeds, as there is one seed"
        if noise.seed is None
        else None
    )
    for name, gain, count in zip(table.names, gains, seeds, strict=True):
        row = {"effect": NEXT, "subject": name, "other": "one more seed", "n": int(count), "reason": reason}
        yield {**row, "value": float(gain)}


def policy_rows(settings: Mapping, tables: Mapping[str, Table], labels: Mapping[str, Label]) -> list[dict]:
    """Return the rows on what each way to choose a teacher loses against the truly best one, in points.

    True performance is drawn as for P(best), see shrinkage.shrunk. `subject` is the way, `other` its choice.
    """
    rows = []
    for number, (base, table) in enumerate(tables.items()):
        truths = shrunk(table.ap, table.draws, np.random.default_rng([settings["grid"]["seed"], 11, number]))
        best = truths.max(1)
        for way, weights in _ways(table, labels):
            regrets = best - truths @ weights
            low, high = resampling.percentiles(regrets)
            chosen = ", ".join(name for name, weight in zip(table.names, weights, strict=True) if weight > 0)
            row = {"base": base, "effect": POLICY, "subject": way, "other": chosen, "n": len(table.names)}
            rows.append({**row, "value": float(regrets.mean()), "low": low, "high": high})
    return rows


def _ways(table: Table, labels: Mapping[str, Label]) -> Iterable[tuple[str, np.ndarray]]:
    """Yield each way to choose, and the chance of each unit to be chosen by it."""
    yield "train all, take the best seen", first_choice(table.ap)
    yield "take any", np.full(len(table.names), 1 / len(table.names))
    for name, label in labels.items():
        values = label.sign * table.values.get(name, np.full(len(table.names), np.nan))
        if (name != BORROWED and label.role != "primary") or np.isnan(values).any():
            continue
        way = "the borrowed ranking" if name == BORROWED else "the primary metric"
        yield f"take the first of {way}", first_choice(values)
        if len(values) > TRAINED:
            among = np.argsort(-values, kind="stable")[:TRAINED]
            yield f"train the first {TRAINED} of {way}, take the best seen", first_choice(_only(table.ap, among))


def _only(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    return np.where(np.isin(np.arange(len(values)), chosen), values, -np.inf)


def _shared(tables: list[Table], noises: list[variance.Noise]) -> float:
    """Return the noise of items in a unit's mean over bases; as of independent items where bases have other ones."""
    independent = sum(noise.items for noise in noises) / len(noises) ** 2
    names = set.intersection(*(set(table.names) for table in tables))
    if len({noise.n for noise in noises}) > 1 or len(names) < 2:
        return independent
    by_unit = [
        np.mean([100 * table.items[table.names.index(name)].mean(0) for table in tables], axis=0)
        for name in sorted(names)
    ]
    return variance.interaction_square(np.array(by_unit)) / noises[0].n


def _noise_rows(noise: variance.Noise, table: Table) -> Iterable[dict]:
    n = len(table.names)
    yield {"effect": VARIANCE, "subject": "items", "value": noise.items, "n": n}
    reason = None if noise.seed is not None else "one training seed: its noise and true differences cannot be separated"
    yield {"effect": VARIANCE, "subject": "seed", "value": noise.seed, "n": n, "reason": reason}


def _component_rows(found: variance.Components, n: int, bases: int) -> Iterable[dict]:
    row = {"effect": VARIANCE, "n": n}
    yield {**row, "subject": "teacher", "value": found.teacher}
    reason = None if found.family is not None else "no family has two teachers, or all are of one"
    yield {**row, "subject": "family", "value": found.family, "reason": reason}
    reason = None if bases > 1 else "one base only"
    yield {**row, "subject": "base x teacher", "value": found.interaction, "reason": reason}


def _after(table: Table, noise: variance.Noise, found: variance.Components) -> Iterable[dict]:
    """Yield what the grid has now, and would have with more: for each the values that depend on it.

    error: standard error of a difference of two teachers; ceiling: see comparison.ceiling; regret: expected distance of the best seen
    from the truly best; best: how far the best seen is truly above the mean of all teachers.
    """
    n, spread = len(table.names), found.on_a_base
    more = {"now": (noise.total, n), f"{MORE_ITEMS} more items": (noise.after(more_items=MORE_ITEMS), n)}
    if noise.seed is not None:
        more["one more seed"] = (noise.after(more_seeds=1), n)
    more["one more teacher"] = (noise.total, n + 1)
    for name, (total, units) in more.items():
        row = {"effect": AFTER, "subject": name, "n": units}
        yield {**row, "other": "error", "value": math.sqrt(2 * total)}
        if table.ceiling is not None:
            ceiling = math.sqrt(variance.reliability_after(table.ceiling**2, noise.total, total))
            yield {**row, "other": "ceiling", "value": ceiling}
        yield {**row, "other": "regret", "value": variance.expected_regret(spread, total, units)}
        yield {**row, "other": "best", "value": variance.expected_best(spread, total, units)}
