"""What the students say about the teachers whatever the metrics: siblings of different sizes, kinship, and how small a
difference this grid could have found."""

import numpy as np

from . import families, standings
from .correlations import POOLED, by_panel, drawn, family_of
from .performance import Unit

OTHERS = "own_family"  # teachers of the base's family that do not descend from it


def effects(settings: dict, units: list[Unit], ap: dict, items: dict) -> list[dict]:
    """Return the rows of artifacts.EFFECTS: per base and panel, then pooled over bases.

    ap: {(base, corpus, recipe): AP}; items: {(base, corpus, recipe): [seeds, items] behind AP}. Siblings and kinship are
    about teachers: a grid that compares something else has only what is detectable.
    """
    rows = []
    for panel, by_base in by_panel(units, ap).items():
        draws = {base: drawn(settings, same, items) for base, same in by_base.items()}
        found = [_detectable(base, draws[base], n_items(by_base[base], items)) for base in by_base]
        if settings["grid"]["compare"] == "teacher":
            found += _siblings(settings, by_base, ap, items, draws)
            found += _kinship(settings, by_base, ap)
        rows += [{"panel": panel, **row} for row in found]
    return rows


def n_items(same: list[Unit], items: dict) -> int:
    return items[same[0].base, same[0].corpus, same[0].recipe].shape[1]


def _detectable(base: str, draws: np.ndarray, n: int) -> dict:
    value = standings.detectable_difference(draws)
    reason = "one unit only" if value is None else None
    return {"base": base, "effect": "detectable", "value": value, "n": n, "reason": reason}


# --- siblings


def _siblings(settings: dict, by_base: dict, ap: dict, items: dict, draws: dict) -> list[dict]:
    """The steps of every base and their summary, then those of the mean over bases, where all bases have both sides."""
    found, by_step = [], {}
    for base, same in by_base.items():
        performance = np.array([ap[unit.base, unit.corpus, unit.recipe] for unit in same])
        sizes = [settings["teachers"].get(unit.teacher, {}).get("parameters") for unit in same]
        steps = families.siblings([family_of(settings, unit) for unit in same], sizes)
        names = [(family, _names(same, small), _names(same, large)) for family, small, large in steps]
        n = n_items(same, items)
        tested = [families.step(small, large, performance, draws[base], n) for _, small, large in steps]
        found += _rows(
            base, names, [step.difference for step in tested], [s.interval for s in tested], [s.p for s in tested], n
        )
        for name, step in zip(names, tested, strict=True):
            by_step.setdefault(name, []).append(step.difference)
    shared = {name: float(np.mean(own)) for name, own in by_step.items() if len(own) == len(by_base)}
    if len(by_base) > 1:
        found.append(_rises(POOLED, list(shared), list(shared.values())))
    return found


def _names(same: list[Unit], indices: list[int]) -> str:
    return ", ".join(same[i].unit for i in indices)


def _rows(base, names, differences, intervals, p, n) -> list[dict]:
    adjusted = standings.holm(p) if p else []
    rows = [
        {
            **{"base": base, "effect": "step", "family": family, "smaller": smaller, "larger": larger, "n": n},
            **{"value": value, "low": interval[0], "high": interval[1], "p": own, "p_holm": float(holm)},
        }
        for (family, smaller, larger), value, interval, own, holm in zip(
            names, differences, intervals, p, adjusted, strict=True
        )
    ]
    return [*rows, _rises(base, names, differences)]


def _rises(base: str, names: list[tuple], differences: list[float]) -> dict:
    by_family = {}
    for (family, _, _), value in zip(names, differences, strict=True):
        by_family.setdefault(family, []).append(round(value, 9))
    found = families.rises(by_family)
    row = {"base": base, "effect": "rises", "n": found.steps, "p": found.p}
    if not found.steps:
        return {**row, "reason": "no family with two sizes"}
    return {**row, "value": found.rises / found.steps}


# --- kinship


def _kinship(settings: dict, by_base: dict, ap: dict) -> list[dict]:
    """Whether teachers that descend from a base, and others of its family, teach it better than they teach the rest."""
    names = list(dict.fromkeys(unit.unit for same in by_base.values() for unit in same))
    table, descend, family = (
        np.full((len(by_base), len(names)), np.nan),
        *np.zeros((2, len(by_base), len(names)), bool),
    )
    for i, (base, same) in enumerate(by_base.items()):
        own = settings["bases"].get(base, {}).get("family")
        for unit in same:
            at = i, names.index(unit.unit)
            table[at] = ap[unit.base, unit.corpus, unit.recipe]
            descend[at] = unit.self_pair
            family[at] = own is not None and family_of(settings, unit) == own and not unit.self_pair
    return [
        _kin(effect, table, kin, settings["grid"]["seed"]) for effect, kin in (("self_pair", descend), (OTHERS, family))
    ]


def _kin(effect: str, table: np.ndarray, kin: np.ndarray, seed: int) -> dict:
    found = families.kinship(table, kin, seed=seed)
    return {
        "base": POOLED,
        "effect": effect,
        "value": found.mean,
        "p": found.p,
        "n": found.cells,
        "reason": found.reason,
    }
