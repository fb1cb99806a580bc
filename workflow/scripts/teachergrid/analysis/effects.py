"""What the students' performance says about teachers, whatever the metrics: whether bigger siblings teach better, whether
kinship helps, and how small a difference this grid can find."""

import numpy as np

from ..stats import comparison, families
from .correlations import POOLED, by_panel, family_of, performance_draws
from .performance import Key, Unit

OTHERS = "own_family"  # effect of teachers of the base's family that do not descend from it
StepName = tuple[str, str, str]  # family, smaller teachers, larger teachers


def effects(settings: dict, units: list[Unit], ap: dict[Key, float], items: dict[Key, np.ndarray]) -> list[dict]:
    """Return the rows of artifacts.EFFECTS: per base and panel, then pooled over bases.

    Siblings and kinship are about teachers: a grid that compares something else has only the detectable difference.

    Args:
        ap: AP of each unit, in points.
        items: [seeds, items] behind AP of each unit, 0..1.
    """
    rows = []
    for panel, by_base in by_panel(units, ap).items():
        draws = {base: performance_draws(settings, base_units, items) for base, base_units in by_base.items()}
        panel_rows = [_detectable(base, draws[base], n_items(by_base[base], items)) for base in by_base]
        if settings["grid"]["compare"] == "teacher":
            panel_rows += _siblings(settings, by_base, ap, items, draws)
            panel_rows += _kinship(settings, by_base, ap)
        rows += [{"panel": panel, **row} for row in panel_rows]
    return rows


def n_items(base_units: list[Unit], items: dict[Key, np.ndarray]) -> int:
    """Return the number of items behind AP, which all units of a base share."""
    return items[base_units[0].key].shape[1]


def _detectable(base: str, draws: np.ndarray, n: int) -> dict:
    """Return the row of the smallest detectable difference, from draws of AP [rounds, units]."""
    value = comparison.detectable_difference(draws)
    reason = "one unit only" if value is None else None
    return {"base": base, "effect": "detectable", "value": value, "n": n, "reason": reason}


# --- siblings


def _siblings(
    settings: dict,
    by_base: dict[str, list[Unit]],
    ap: dict[Key, float],
    items: dict[Key, np.ndarray],
    draws: dict[str, np.ndarray],
) -> list[dict]:
    """Return the steps of every base and their summary, then the summary of the mean over bases.

    The mean is over the steps that all bases have. draws: {base: AP [rounds, units]}.
    """
    rows: list[dict] = []
    differences: dict[StepName, list[float]] = {}  # one per base that has the step
    for base, base_units in by_base.items():
        steps = _steps(settings, base_units, ap, draws[base], n_items(base_units, items))
        rows += _step_rows(base, steps, n_items(base_units, items))
        rows.append(_rises(base, {name: step.difference for name, step in steps.items()}))
        for name, step in steps.items():
            differences.setdefault(name, []).append(step.difference)
    if len(by_base) > 1:
        shared = {name: float(np.mean(own)) for name, own in differences.items() if len(own) == len(by_base)}
        rows.append(_rises(POOLED, shared))
    return rows


def _steps(
    settings: dict, base_units: list[Unit], ap: dict[Key, float], draws: np.ndarray, n: int
) -> dict[StepName, families.Step]:
    """Return the steps from each teacher to its next larger sibling on one base."""
    performance = np.array([ap[unit.key] for unit in base_units])
    sizes = [settings["teachers"].get(unit.teacher, {}).get("parameters") for unit in base_units]
    steps = {}
    for family, small, large in families.siblings([family_of(settings, unit) for unit in base_units], sizes):
        name = family, _names(base_units, small), _names(base_units, large)
        steps[name] = families.step(small, large, performance, draws, n)
    return steps


def _names(base_units: list[Unit], indices: list[int]) -> str:
    return ", ".join(base_units[i].unit for i in indices)


def _step_rows(base: str, steps: dict[StepName, families.Step], n: int) -> list[dict]:
    rows = []
    p_holm = comparison.holm([step.p for step in steps.values()]).tolist()
    for ((family, smaller, larger), step), holm in zip(steps.items(), p_holm, strict=True):
        low, high = step.interval
        row = {"base": base, "effect": "step", "family": family, "smaller": smaller, "larger": larger, "n": n}
        rows.append({**row, "value": step.difference, "low": low, "high": high, "p": step.p, "p_holm": holm})
    return rows


def _rises(base: str, differences: dict[StepName, float]) -> dict:
    """Return the row on the share of steps in which the larger sibling is the better teacher."""
    by_family: dict[str, list[float]] = {}
    for (family, _, _), difference in differences.items():
        by_family.setdefault(family, []).append(round(difference, 9))
    result = families.rises(by_family)
    row = {"base": base, "effect": "rises", "n": result.steps, "p": result.p}
    if not result.steps:
        return {**row, "reason": "no family with two sizes"}
    return {**row, "value": result.rises / result.steps}


# --- kinship


def _kinship(settings: dict, by_base: dict[str, list[Unit]], ap: dict[Key, float]) -> list[dict]:
    """Return whether teachers that descend from a base, and others of its family, teach it better than the others do."""
    names = list(dict.fromkeys(unit.unit for base_units in by_base.values() for unit in base_units))
    shape = len(by_base), len(names)
    table, self_pair, own_family = np.full(shape, np.nan), np.zeros(shape, bool), np.zeros(shape, bool)
    for i, (base, base_units) in enumerate(by_base.items()):
        family = settings["bases"].get(base, {}).get("family")
        for unit in base_units:
            cell = i, names.index(unit.unit)
            table[cell] = ap[unit.key]
            self_pair[cell] = unit.self_pair
            own_family[cell] = family is not None and family_of(settings, unit) == family and not unit.self_pair
    seed = settings["grid"]["seed"]
    return [_kinship_row("self_pair", table, self_pair, seed), _kinship_row(OTHERS, table, own_family, seed)]


def _kinship_row(effect: str, table: np.ndarray, kin: np.ndarray, seed: int) -> dict:
    result = families.kinship(table, kin, seed=seed)
    row = {"base": POOLED, "effect": effect, "value": result.mean, "p": result.p, "n": result.cells}
    return {**row, "reason": result.reason}
