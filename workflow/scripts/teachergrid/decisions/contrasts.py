"""Metrics against each other: which ranks teachers better, what is left of one at equal length, and what do two together add?

The rows are of artifacts.EFFECTS. `subject` and `other` are names of metrics; a positive difference of rho and a negative one of
regret speak for `subject`.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np

from ..analysis.columns import Label, Table, first_choice
from ..analysis.pooled import BORROWED, align
from ..stats import contrasts, resampling
from ..stats.pooling import mid_ranks

POOLED = "pooled"
RHO, RHO_FAMILIES, REGRET, PARTIAL = "metric_rho", "metric_rho_families", "metric_regret", "partial"
COMBINATION, SINGLE = "combination", "picked_metric"
MOST = 8  # metrics that are tried together: the primary one, the baselines, then the others in order
LEAST_UNITS = 6
CONFOUNDERS = ("length", "size")  # formulas of what a metric may only repeat


def contrast_rows(settings: Mapping, tables: Mapping[str, Table], labels: Mapping[str, Label]) -> list[dict]:
    """Return the rows of one panel: per base, then over bases.

    On a single base the primary metric and the borrowed ranking are compared with all others; over bases, or where there is one base
    only, all metrics with each other. A metric that shares a reward with a judge behind performance is left out.
    """
    own = [name for name, label in labels.items() if label.columns["own"] and label.role != "circular"]
    first = [name for name in own if labels[name].role == "primary"]
    anchors = [*first, *(name for name in own if name == BORROWED)]
    order = [*anchors, *(name for name in own if name not in anchors)]
    pairs = list(combinations(order, 2))
    rows = []
    for base, table in tables.items():
        chosen = pairs if len(tables) == 1 else [pair for pair in pairs if pair[0] in anchors]
        rows += [{"base": base, **row} for row in _of_tables(settings, [table], labels, chosen)]
    if len(tables) > 1:
        rows += [{"base": POOLED, **row} for row in _of_tables(settings, list(tables.values()), labels, pairs)]
    return rows


def _of_tables(
    settings: Mapping, tables: list[Table], labels: Mapping[str, Label], pairs: list[tuple[str, str]]
) -> Iterable[dict]:
    aligned, seed = align(tables), settings["grid"]["seed"]
    metrics = {name: labels[name].sign * values for name, values in aligned.values.items()}
    compared = contrasts.Contrasts(metrics, aligned.ap, aligned.families, settings["grid"]["bootstrap"], seed)
    for subject, other in pairs:
        if subject in metrics and other in metrics:
            names = {"subject": subject, "other": other}
            yield from ({**names, **row} for row in _difference(compared, subject, other))
            yield {**names, **_regret(metrics[subject], metrics[other], aligned.ap, aligned.draws)}
    yield from partial_rows(metrics, aligned.ap, labels, {name for pair in pairs for name in pair}, seed)


def _difference(compared: contrasts.Contrasts, subject: str, other: str) -> Iterable[dict]:
    """Yield the difference of rho over teachers, and over families where these have several teachers."""
    found = compared.difference(subject, other)
    row = {"n": found.n, "value": found.difference, "reason": found.reason}
    yield {**row, "effect": RHO, **_ends(found.interval), "p": found.p}
    if found.p_family is not None:
        yield {**row, "effect": RHO_FAMILIES, **_ends(found.of_families), "p": found.p_family}


def _regret(subject: np.ndarray, other: np.ndarray, ap: np.ndarray, draws: np.ndarray) -> dict:
    """Return the difference in regret@1, in points: what `other` would have chosen minus what `subject` would have.

    subject, other, ap: [bases, units]; draws: [bases, rounds, units]. The mean over the bases where both can choose. The interval is
    over items and seeds, for these teachers: each metric's choice is fixed.
    """
    differences, spreads = [], []
    for one, two, own_ap, own_draws in zip(subject, other, ap, draws, strict=True):
        has_both = ~(np.isnan(one) | np.isnan(two) | np.isnan(own_ap))
        if not has_both.any():
            continue
        weights = [first_choice(np.where(has_both, values, -np.inf)) for values in (one, two)]
        difference = weights[1] - weights[0]
        differences.append(float(difference[has_both] @ own_ap[has_both]))
        spreads.append(own_draws[:, has_both] @ difference[has_both])
    row = {"effect": REGRET, "n": len(differences)}
    if not differences:
        return {**row, "reason": "no teacher has both metrics"}
    # the same items are drawn on all bases
    drawn = np.mean(spreads, axis=0)
    return {**row, "value": float(np.mean(differences)) + 0.0, **_ends(resampling.percentiles(drawn))}


def partial_rows(
    metrics: Mapping[str, np.ndarray], ap: np.ndarray, labels: Mapping[str, Label], names: set[str], seed: int
) -> Iterable[dict]:
    """Yield the correlation of each metric with performance at equal length of responses, and at equal length and size.

    Length and size count by their logarithms: what doubles them may act alike.
    """
    # the name of a metric begins with its formula
    own = [name for name in metrics if labels[name].columns["own"]]
    by_formula = {formula: name for name in reversed(own) if (formula := name.split("/")[0]) in CONFOUNDERS}
    fixed = [by_formula[formula] for formula in CONFOUNDERS if formula in by_formula]
    if CONFOUNDERS[0] not in by_formula:
        return
    tried = sorted(names - {*fixed})
    sides = [metrics[name] for name in tried]
    counts = range(1, len(fixed) + 1)
    logarithms = [np.log(np.where(metrics[name] == 0, np.nan, np.abs(metrics[name]))) for name in fixed]
    found = [contrasts.partials(sides, ap, logarithms[:count], seed) for count in counts]
    for name, *of_name in zip(tried, *found, strict=True):
        for count, one in zip(counts, of_name, strict=True):
            row = {"effect": PARTIAL, "subject": name, "other": ", ".join(CONFOUNDERS[:count])}
            yield {**row, "value": one.rho, **_ends(one.interval), "p": one.p, "n": one.n, "reason": one.reason}


def _ends(interval: resampling.Interval | None) -> dict:
    return {} if interval is None else {"low": interval[0], "high": interval[1]}


# --- metrics together
#
# To pick the best of many combinations on the same teachers flatters it. So each family of teachers (each teacher, where none is
# stated) is left out in turn, the combination is picked on the others, and ranks those left out. Only this nested rho is shown. The
# metrics of a combination have equal weights: a few teachers cannot fit any.


class Picked(NamedTuple):
    """What is picked on all units, and how well picking in this way ranks units that it has not seen."""

    names: tuple[str, ...]
    nested: float  # rho, mean over bases


def combination_rows(tables: Mapping[str, Table], labels: Mapping[str, Label]) -> list[dict]:
    """Return the rows of artifacts.EFFECTS of one panel: the best combination and the best single metric, both nested."""
    aligned = align(list(tables.values()))
    own = [name for name in aligned.values if labels[name].columns["own"] and labels[name].role != "circular"]
    order = {"primary": 0, "baseline": 1}
    own.sort(key=lambda name: order.get(labels[name].role, 2))
    complete = ~np.isnan(aligned.ap).any(0)
    ap = aligned.ap[:, complete]
    ranks = {}
    for name in own:
        values = labels[name].sign * aligned.values[name][:, complete]
        if np.isfinite(values).all() and (np.ptp(values, axis=1) > 0).all():
            ranks[name] = mid_ranks(values) / max(1, values.shape[1] - 1)
        if len(ranks) == MOST:
            break
    base, n = next(iter(tables)) if len(tables) == 1 else POOLED, int(complete.sum())
    if n < LEAST_UNITS or len(ranks) < 2 or not (np.ptp(ap, axis=1) > 0).all():
        return []
    families = [name for name, has in zip(aligned.families, complete, strict=True) if has]
    rows = []
    for effect, sizes in ((SINGLE, (1,)), (COMBINATION, (2, 3))):
        picked = pick(ranks, ap, families, sizes)
        row = {
            "base": base,
            "effect": effect,
            "subject": " + ".join(str(labels[name].columns["entry"]) for name in picked.names),
        }
        rows.append({**row, "value": picked.nested, "n": n})
    return rows


def pick(
    ranks: Mapping[str, np.ndarray], performance: np.ndarray, families: list[str | None], sizes: tuple[int, ...]
) -> Picked:
    """Return the combination with the highest rho among those of these sizes, and the nested rho of picking it.

    Args:
        ranks: {metric: [bases, units]}, higher promises more. performance: [bases, units]. families: [units].
    """
    names = [chosen for size in sizes for chosen in combinations(ranks, size)]
    scores = np.round([np.mean([ranks[name] for name in chosen], axis=0) for chosen in names], 9)
    groups = [family if family is not None else i for i, family in enumerate(families)]
    n, predicted = len(groups), np.empty_like(performance)
    for group in dict.fromkeys(groups):
        left_out = np.array([own == group for own in groups])
        if n - left_out.sum() < 4:
            left_out_scores = scores.mean(0)  # too few others to pick on: all of them together
        else:
            left_out_scores = scores[int(np.argmax(_rhos(scores[:, :, ~left_out], performance[:, ~left_out])))]
        predicted[:, left_out] = left_out_scores[:, left_out]
    best = int(np.argmax(_rhos(scores, performance)))
    return Picked(names[best], float(_rhos(predicted[None], performance)[0]))


def _rhos(scores: np.ndarray, performance: np.ndarray) -> np.ndarray:
    """Return the mean over bases of Spearman's rho of scores [combinations, bases, units] with performance: [combinations]."""
    x, y = (mid_ranks(values) for values in (scores, performance))
    x, y = x - x.mean(-1, keepdims=True), y - y.mean(-1, keepdims=True)
    spread = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    rhos = (x * y).sum(-1) / np.where(spread > resampling.TIE, spread, np.inf)
    return rhos.mean(-1)
