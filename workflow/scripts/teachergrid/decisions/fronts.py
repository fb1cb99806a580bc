"""What quality costs: on each base the teachers that no other one beats for as little, and what a longer pilot would be worth.

The cost of a teacher is what it takes to write its responses: its parameters times the tokens of them all, so five samples of each
instruction cost five times as much. Hours are not used, so that the same results give the same tables. The rows are of artifacts.EFFECTS.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from ..analysis.columns import Label, Table
from ..analysis.performance import Unit
from ..stats import rank, variance
from ..stats.shrinkage import shrunk
from .components import AFTER, POOLED, TRAINED, VARIANCE

COST, FRONT, PILOT = "cost", "front", "pilot_rows"
MORE_RESPONSES = "twice the responses"
TIE = 1e-9  # points; less is no difference
Cell = tuple[str, str, str]  # base, panel, unit


def tokens_of(units: Iterable[Unit], students: Mapping[str, dict]) -> dict[Cell, float]:
    """Return {(base, panel, unit): tokens of all responses of a teacher, over all epochs}; a mean over its students.

    A panel has one recipe and one set of instructions, so its units have the same epochs, and differ in their responses alone. Those that
    no student was trained on count as the others do: they were written, too. students: {student: its student.json}.
    """
    found: dict[Cell, float] = {}
    for unit in units:
        made = [students[name] for name in unit.students.values() if name in students]
        tokens = [
            own["trained_tokens"] / own["examples"] * _written(own)
            for own in made
            if own.get("trained_tokens") and own.get("examples")
        ]
        if tokens:
            found[unit.base, unit.panel, unit.unit] = float(np.mean(tokens))
    return found


def _written(facts: Mapping) -> int:
    """Return how many responses there were for a student. facts: its student.json."""
    refused = (facts.get(key, 0) for key in ("prompt_refused", "prompt_too_long"))
    return facts["examples"] + sum((facts.get("left_out") or {}).values()) + sum(refused)


def front_rows(settings: Mapping, panel: str, tables: Mapping[str, Table], tokens: Mapping[Cell, float]) -> list[dict]:
    """Return the cost of each teacher on each base, and which of them no other one beats for as little.

    Rows of effect `cost`: value is the cost over that of the cheapest. Of effect `front`: `other` is the best teacher that costs no more and
    is better (or as good and cheaper), None where there is none; value is the chance that there truly is none. It is counted
    over draws of true performance, as for P(best).

    Args:
        tokens: of `tokens_of`.
    """
    if settings["grid"]["compare"] != "teacher":
        return []
    rows = []
    for number, (base, table) in enumerate(tables.items()):
        stated = [(settings["teachers"].get(name) or {}).get("parameters") for name in table.names]
        costs = _costs(stated, [tokens.get((base, panel, name)) for name in table.names])
        truths = shrunk(table.ap, table.draws, np.random.default_rng([settings["grid"]["seed"], 12, number]))
        rows += [{"base": base, **row} for row in (*_cost_rows(table.names, costs), *_front_rows(table, costs, truths))]
    return rows


def _costs(sizes: list[float | None], tokens: list[float | None]) -> np.ndarray:
    """Return the cost of each teacher over that of the cheapest one [teachers]; NaN where it is unknown."""
    found = np.array([size * number if size and number else np.nan for size, number in zip(sizes, tokens, strict=True)])
    return found if np.isnan(found).all() else found / np.nanmin(found)


def _cost_rows(names: list[str], costs: np.ndarray) -> Iterable[dict]:
    known = int((~np.isnan(costs)).sum())
    for name, cost in zip(names, costs.tolist(), strict=True):
        row = {"effect": COST, "subject": name, "n": known}
        reason = f"{name}: its model states no `parameters`, or the tokens of its students are unknown"
        yield {**row, "reason": reason} if np.isnan(cost) else {**row, "value": cost}


def _front_rows(table: Table, costs: np.ndarray, truths: np.ndarray) -> Iterable[dict]:
    known = np.flatnonzero(~np.isnan(costs))
    for i in known if len(known) > 1 else ():
        rivals = [j for j in known if j != i and costs[j] <= costs[i]]
        ahead = [
            j
            for j in rivals
            if table.ap[j] > table.ap[i] + TIE or (costs[j] < costs[i] and table.ap[j] > table.ap[i] - TIE)
        ]
        best = max(ahead, key=lambda j: table.ap[j], default=None)
        row = {"effect": FRONT, "subject": table.names[i], "other": None if best is None else table.names[best]}
        alone = (truths[:, rivals] < truths[:, [i]]).all(1)
        yield {**row, "value": float(alone.mean()), "n": len(known)}


# --- what more responses would be worth to a metric that chooses whom to train


def pilot_rows(
    tables: Mapping[str, Table], labels: Mapping[str, Label], metric_rows: list[dict], found: list[dict]
) -> list[dict]:
    """Return what "train the first of the primary metric, take the best seen" loses with the responses there are, and with twice as many.

    More responses make a metric more exact, not more right. Its noise is that of its intervals, as if teachers had answered other
    instructions each, so the gain is the most to expect. `n`: responses behind the metric, of the teacher with the fewest.

    Args:
        metric_rows: of artifacts.GRID_METRICS over all responses. found: the rows of `component_rows`.
    """
    name = next((name for name, label in labels.items() if label.role == "primary"), None)
    spread = sum(
        row["value"] or 0 for row in found if row["effect"] == VARIANCE and row["base"] == POOLED and row.get("value")
    )
    errors = {
        r["base"]: r["value"] for r in found if (r["effect"], r["subject"], r.get("other")) == (AFTER, "now", "error")
    }
    made = []
    for base, table in tables.items():
        cells = {row["unit"]: row for row in metric_rows if (row["base"], row["metric"]) == (base, name)}
        own = [cells[unit] for unit in table.names if unit in cells and _has_interval(cells[unit])]
        if name is None or base not in errors or spread <= 0 or not TRAINED < len(table.names) == len(own):
            continue
        values = labels[name].sign * np.array([row["value"] for row in own])
        rho = rank.spearman(values, table.ap)
        between, noise = float(values.var(ddof=1)), float(np.mean([((r["high"] - r["low"]) / 3.92) ** 2 for r in own]))
        if np.isnan(rho) or between <= noise:
            continue
        exact = 1 - noise / between
        for subject, then in (("now", exact), (MORE_RESPONSES, variance.reliability_after(exact, 2, 1))):
            agrees = float(np.clip(rho / (table.ceiling or 1) * (then / exact) ** 0.5, -1, 1))
            regret = variance.regret_of_the_first(spread, errors[base] ** 2 / 2, agrees, len(own), TRAINED)
            row = {"base": base, "effect": PILOT, "subject": subject, "other": name, "value": regret}
            made.append({**row, "n": min(r["n"] for r in own)})
    return made


def _has_interval(row: dict) -> bool:
    return all(row.get(name) is not None for name in ("value", "low", "high"))
