"""Over bases: do they agree on their teachers, does it matter which base you have, and which one teacher would serve all?

And within a base: which teachers are shown to be as good as the best seen. The rows are of artifacts.EFFECTS.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from ..analysis.columns import Table
from ..analysis.performance import AP
from ..analysis.pooled import align
from ..stats import agreement
from ..stats.shrinkage import shrunk

CONCORDANCE, INTERACTION, ONE_FOR_ALL, OWN = "concordance", "interaction", "one_for_all", "own"
EQUIVALENT, SMALLEST = "equivalent", "smallest_equivalent"
POOLED = "pooled"


def across_rows(settings: Mapping, tables: Mapping[str, Table], performance: list[dict], panel: str) -> list[dict]:
    """Return the rows of one panel. performance: rows of artifacts.PERFORMANCE."""
    rows = [{"base": base, **row} for base, table in tables.items() for row in _equivalent(settings, table)]
    if len(tables) > 1:
        rows += [{"base": POOLED, **row} for row in _over_bases(settings, tables)]
        rows += [{"base": POOLED, **row} for row in _by_measure(settings, list(tables), performance, panel)]
    return rows


def _equivalent(settings: Mapping, table: Table) -> Iterable[dict]:
    """Yield for each teacher whether it is shown to be as good as the best seen, within the smallest difference of interest.

    Then the smallest of them by parameters in billions, where all state theirs.
    """
    if len(table.names) < 2:
        return
    best, limit = int(np.round(table.ap, 9).argmax()), settings["grid"]["smallest_difference"]
    as_good = [table.names[best]]
    for i, name in enumerate(table.names):
        if i != best:
            difference = float(table.ap[i] - table.ap[best])
            found = agreement.equivalent(difference, table.draws[:, i] - table.draws[:, best], limit)
            row = {"effect": EQUIVALENT, "subject": name, "other": table.names[best], "value": difference}
            yield {**row, "low": found.interval[0], "high": found.interval[1], "p": found.p, "n": len(table.names)}
            as_good += [name] if found.equivalent else []
    stated = [(settings["teachers"].get(name) or {}).get("parameters") for name in as_good]
    sizes = {name: float(size) for name, size in zip(as_good, stated, strict=True) if size is not None}
    if len(as_good) > 1 and len(sizes) == len(as_good):
        smallest = min(as_good, key=lambda name: sizes[name])
        row = {"effect": SMALLEST, "subject": smallest, "other": table.names[best], "n": len(as_good)}
        yield {**row, "value": sizes[smallest]}


def _over_bases(settings: Mapping, tables: Mapping[str, Table]) -> Iterable[dict]:
    aligned, seed = align(list(tables.values())), settings["grid"]["seed"]
    complete = ~np.isnan(aligned.ap).any(0)
    n = int(complete.sum())
    table, draws = aligned.ap[:, complete], aligned.draws[:, :, complete]
    own = agreement.interaction(table, draws)
    yield {"effect": INTERACTION, "subject": AP, "value": own.share, "p": own.p, "n": n, "reason": own.reason}
    rng = np.random.default_rng([seed, 10])
    if n < 2:
        return
    truths = np.stack([shrunk(row, drawn, rng) for row, drawn in zip(table, draws, strict=True)])
    found = agreement.one_for_all(table, truths)
    if found is None:
        return
    names = sorted({name for own_table in tables.values() for name in own_table.names})
    names = [name for name, has in zip(names, complete, strict=True) if has]
    for by, unit in (("mean", found.unit), ("z-score", found.by_z), ("rank", found.by_rank)):
        row = {"effect": ONE_FOR_ALL, "subject": names[unit], "other": by, "n": n}
        yield (
            {**row, "value": found.regret, "low": found.interval[0], "high": found.interval[1]} if by == "mean" else row
        )
    yield {"effect": OWN, "value": found.own_regret, "n": n}


def _by_measure(settings: Mapping, bases: list[str], performance: list[dict], panel: str) -> Iterable[dict]:
    """Yield how alike bases rank the teachers on AP, and on each score of a suite by a judge."""
    values: dict[str, dict[tuple[str, str], float]] = {}
    for row in performance:
        is_score = row["measure"] == AP or (row["measure"].count("/") == 1 and ":" not in row["measure"])
        if (
            is_score
            and row["kind"] == "student"
            and row["panel"] == panel
            and row["teacher"]
            and row.get("value") is not None
        ):
            values.setdefault(row["measure"], {})[row["base"], row["unit"]] = row["value"]
    for measure, by_cell in values.items():
        units = sorted({unit for _, unit in by_cell})
        table = np.array([[by_cell.get((base, unit), np.nan) for unit in units] for base in bases])
        found = agreement.kendall_w(table, settings["grid"]["seed"])
        row = {"effect": CONCORDANCE, "subject": measure, "p": found.p, "n": found.n, "reason": found.reason}
        yield {**row, "value": found.w}
