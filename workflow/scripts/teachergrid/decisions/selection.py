"""What choosing rows is worth: students of derived corpora against those of all rows and of as many random ones; and pairs that a
grid states.

A selection and what it is compared with are from the same responses. Random rows of several draws stand for one unit,
so its interval holds the noise of the draw, too.
"""

from collections.abc import Collection, Iterator, Mapping
from itertools import combinations

import numpy as np

from ..analysis.performance import Key, Unit
from ..spec.ids import Responses
from ..stats import comparison, resampling
from ..store import artifacts
from ..store.artifacts import Source, read

ALL, RANDOM, OVERLAP, SCORERS = "against_all", "against_random", "overlap", "scorers"
PAIR = "pair"
EFFECTS = (ALL, RANDOM, OVERLAP, SCORERS)
OVER_BASES = "pooled"
# what decides how many rows are left
SIZE = ("share", "rows", "tokens")


def selections(settings: Mapping, units: list[Unit], items: Mapping[Key, np.ndarray]) -> list[dict]:
    """Return rows of artifacts.EFFECTS: differences in AP, in points, of each selection from all and from random rows.

    `larger` names the selection, `smaller` what it is compared with. Intervals and p are over items and over training runs
    (seeds and draws, see `resampling.seed_noise`); p_holm is over the selections of a base.

    Args:
        items: [seeds, items] behind AP of each unit, 0..1.
    """
    rows: list[dict] = []
    for base, recipe in dict.fromkeys((unit.base, unit.recipe) for unit in units):
        alike = [unit for unit in units if (unit.base, unit.recipe) == (base, recipe)]
        cubes = {unit.corpus: items[unit.key] for unit in alike if unit.key in items and not unit.gated}
        for effect in (RANDOM, ALL):
            pairs = _pairs(settings, alike, cubes, effect)
            found = [{"effect": effect, **_row(settings, unit, others, cubes)} for unit, others in pairs]
            holm = comparison.holm([row["p"] for row in found]).tolist() if found else []
            rows += [row | {"p_holm": p} for row, p in zip(found, holm, strict=True)]
    return rows


def paired(settings: Mapping, units: list[Unit], items: Mapping[Key, np.ndarray]) -> list[dict]:
    """Return rows of artifacts.EFFECTS: the difference in AP, in points, of each pair that the grid states (`pairs`).

    It is that of `larger`, the first of the pair, minus that of `smaller`. Intervals and p as in `selections`, p_holm over the pairs of a
    base and panel.
    """
    rows: list[dict] = []
    for base, panel in dict.fromkeys((unit.base, unit.panel) for unit in units):
        alike = {unit.unit: unit for unit in units if (unit.base, unit.panel) == (base, panel)}
        cubes = {name: items[unit.key] for name, unit in alike.items() if unit.key in items and not unit.gated}
        pairs = [pair for pair in settings["grid"].get("pairs") or [] if all(name in cubes for name in pair)]
        found = [
            {"effect": PAIR, **_row(settings, alike[first]._replace(corpus=first), [second], cubes)}
            for first, second in pairs
        ]
        holm = comparison.holm([row["p"] for row in found]).tolist() if found else []
        rows += [row | {"p_holm": p} for row, p in zip(found, holm, strict=True)]
    return rows


def of_draws(cubes: list[np.ndarray]) -> np.ndarray:
    """Return the scores [runs, items] of draws that stand for one unit: each is one run, the mean over its seeds. One draw stays as it is."""
    return cubes[0] if len(cubes) == 1 else np.array([scores.mean(0) for scores in cubes])


def _pairs(
    settings: Mapping, units: list[Unit], trained: Collection[str], effect: str
) -> Iterator[tuple[Unit, list[str]]]:
    """Yield each selection with the corpora that it is compared with. trained: corpora with students; others are left out."""
    for unit in units:
        entry = settings["corpora"].get(unit.corpus)
        if entry is None or unit.corpus not in trained or not any(entry[key] for key in SIZE):
            continue
        if effect == RANDOM and is_random(entry):
            continue
        names = _random(settings, entry) if effect == RANDOM else _whole(entry)
        others = [name for name in names if name in trained]
        if others:
            yield unit, others


def is_random(entry: dict) -> bool:
    """Return whether a corpus holds a plain random draw. entry: how it chooses its rows."""
    return entry["choose"] == "random" and not entry["ratios"]


def _random(settings: Mapping, entry: dict) -> list[str]:
    """Return the corpora of as many random rows of the same responses; of those that `least` leaves, where it leaves some out."""
    same = ("instructions", "teachers", "matched", "least", *SIZE)
    return [
        name
        for name, other in settings["corpora"].items()
        if is_random(other) and all(other[key] == entry[key] for key in same)
    ]


def _whole(entry: dict) -> list[str]:
    """Return the corpus of all rows of the same responses, which one teacher wrote."""
    return [str(Responses(entry["instructions"], *entry["teachers"]))] if len(entry["teachers"]) == 1 else []


def _row(settings: Mapping, unit: Unit, others: list[str], cubes: Mapping[str, np.ndarray]) -> dict:
    """Return the row of a selection and what it is compared with. cubes: {corpus: scores [seeds, items]}."""
    own, other = cubes[unit.corpus], of_draws([cubes[name] for name in others])
    rounds, n = settings["grid"]["bootstrap"], own.shape[1]
    means = resampling.unit_means([own, other], rounds, np.random.default_rng(settings["grid"]["seed"]))
    draws = means[:, :1] - means[:, 1:]
    low, high = resampling.percentiles(draws[:, 0])
    return {
        "base": unit.base,
        "panel": unit.panel,
        "smaller": ", ".join(others),
        "larger": unit.corpus,
        "value": 100 * float(own.mean() - other.mean()),
        "low": 100 * low,
        "high": 100 * high,
        "p": float(resampling.p_of_draws(draws, n)[0]),
        "n": n,
    }


# --- which rows they have in common


def overlaps(settings: Mapping, units: list[Unit], chosen: Mapping[tuple[str, str], Source]) -> list[dict]:
    """Return rows of artifacts.EFFECTS: the share of rows that two selections of the same responses have in common.

    The share is of the smaller selection. Rows of effect `scorers` compare one selection under two bases (`smaller`,
    `larger`; `family` is the corpus): do two scorers choose alike?

    Args:
        chosen: {(corpus, base): source of artifacts.CORPUS_ROWS}; a base is missing where the corpus is the same for all bases.
    """
    picked = {key: _rows_of(source) for key, source in chosen.items()}
    panels = {(unit.base, unit.corpus): unit.panel for unit in units}
    rows = []
    for base in dict.fromkeys(unit.base for unit in units):
        own = [unit.corpus for unit in units if unit.base == base and unit.corpus in settings["corpora"]]
        for first, second in combinations(dict.fromkeys(own), 2):
            one, other = (picked.get((name, base)) or picked.get((name, "any")) for name in (first, second))
            if one and other and _same_responses(settings, first, second):
                rows.append(
                    {"base": base, "panel": panels[base, first], **_overlap(OVERLAP, first, second, one, other)}
                )
    for here, there in combinations(picked, 2):
        corpus, scorer = here
        if corpus == there[0]:
            shared = _overlap(SCORERS, scorer, there[1], picked[here], picked[there])
            rows.append({"base": OVER_BASES, "panel": panels.get((scorer, corpus), ""), "family": corpus, **shared})
    return rows


def _same_responses(settings: Mapping, first: str, second: str) -> bool:
    one, other = settings["corpora"][first], settings["corpora"][second]
    return all(one[key] == other[key] for key in ("instructions", "teachers"))


def _overlap(effect: str, first: str, second: str, one: set, other: set) -> dict:
    smaller = min(len(one), len(other))
    return {"effect": effect, "smaller": first, "larger": second, "value": len(one & other) / smaller, "n": smaller}


def _rows_of(source: Source) -> set[tuple[str, str, int]]:
    table = read(source, artifacts.CORPUS_ROWS)
    return set(zip(*(table[name].to_pylist() for name in ("id", "teacher", "sample")), strict=True))
