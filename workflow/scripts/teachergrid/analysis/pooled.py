"""How well the metrics of a grid predict performance over all bases together."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..stats import nested_bootstrap, pooling, rank
from .columns import Label, Table, family_columns, family_p_columns, family_range, nested_columns, row_names, signed

BORROWED = "borrowed"  # the metric that is performance itself, on the other bases


class Aligned(NamedTuple):
    """The tables of several bases over all units that any of them has; NaN where a base lacks one."""

    ap: np.ndarray  # [bases, units]
    draws: np.ndarray  # [bases, rounds, units]
    self_pair: np.ndarray  # [bases, units], bool
    families: list[str | None]  # [units]
    values: dict[str, np.ndarray]  # {metric: [bases, units]}


def align(tables: Sequence[Table]) -> Aligned:
    """Return the tables of several bases, with their units in one order."""
    names = sorted({name for table in tables for name in table.names})
    index = {name: i for i, name in enumerate(names)}
    positions = [[index[name] for name in table.names] for table in tables]

    def spread(arrays: Sequence[np.ndarray | None]) -> np.ndarray:
        """Return [bases, ..., units] from one array [..., own units] per base; None is a base without any."""
        shape = next(array.shape[:-1] for array in arrays if array is not None)
        aligned = np.full((len(tables), *shape, len(names)), np.nan)
        for own, columns, array in zip(aligned, positions, arrays, strict=True):
            if array is not None:
                own[..., columns] = array
        return aligned

    family = {name: own for table in tables for name, own in zip(table.names, table.families, strict=True)}
    metrics = dict.fromkeys(metric for table in tables for metric in table.values)
    return Aligned(
        ap=spread([table.ap for table in tables]),
        draws=spread([table.draws for table in tables]),
        self_pair=spread([table.self_pair for table in tables]) == 1,
        families=[family[name] for name in names],
        values={metric: spread([table.values.get(metric) for table in tables]) for metric in metrics},
    )


def pooled_rows(by_base: Mapping[str, Table], labels: Mapping[str, Label], rounds: int, seed: int) -> list[dict]:
    """Return the rows over bases: the same units on each, missing ones NaN.

    tau-b, regret and pairwise accuracy are the means over bases; in each base a metric's own values choose.
    """
    aligned = align(list(by_base.values()))
    weights = nested_bootstrap.teacher_weights(aligned.ap.shape[1], rounds, seed)
    drawn = [nested_bootstrap.DrawnRanks(draws, weights) for draws in aligned.draws]
    own = {metric: values for metric, values in aligned.values.items() if labels[metric].columns["own"]}
    p_max_t = pooling.max_t(own, aligned.ap, frozenset({BORROWED}), seed)
    ceiling = _pooled_ceiling([table.ceiling for table in by_base.values()])
    rows = []
    for name, metric, excluded in row_names(aligned.values, labels, aligned.self_pair):
        sign = labels[metric].sign
        x, y = sign * aligned.values[metric], np.where(excluded, np.nan, aligned.ap)
        pooled = rank.pooled(x, y, seed, rounds, names=list(by_base))
        used = [base for base, rho in enumerate(pooled.rhos) if rho is not None]
        without = rank.leave_one_out(x[used], y[used], aligned.families) if used else {}
        nested = nested_bootstrap.nested_rho(x[used], y[used], [drawn[base] for base in used]) if used else None
        low, high = signed(pooled.bca, sign)
        rho = None if pooled.rho is None else sign * pooled.rho + 0.0  # + 0.0: no -0.0
        p = pooling.borrowed_p(y, seed) if metric == BORROWED and pooled.rho is not None else pooled.p
        rows.append(
            labels[metric].row(name)
            | {"n": pooled.n or 0, "rho": rho, "low": low, "high": high, "p": p, "reason": pooled.reason}
            | {"p_max_t": p_max_t.get(name), "ceiling": ceiling}
            | _means_over_bases(x, y, used, sign)
            | nested_columns(nested_bootstrap.NestedIntervals(nested), sign)
            | family_columns(family_range(pooled.rho, without), sign)
            | (
                family_p_columns(x[used], y[used], aligned.families, rounds, seed, sign)
                if metric != BORROWED and used
                else {}
            )
        )
    return rows


def _pooled_ceiling(ceilings: Sequence[float | None]) -> float | None:
    """Return the ceiling of the pooled rho, from those of the bases; None where any is undefined."""
    known = [value for value in ceilings if value is not None]
    if not known or len(known) < len(ceilings):
        return None
    return float(np.tanh(np.arctanh(np.minimum(known, 1 - 1e-9)).mean()))


def _means_over_bases(x: np.ndarray, y: np.ndarray, used: Sequence[int], sign: int) -> dict:
    """Return the columns that are means over the bases whose rho is defined. x, y: [bases, units]."""
    if not used:
        return {}
    columns: dict[str, float] = {}
    each = [(x[base][both], y[base][both]) for base in used for both in [~np.isnan(x[base]) & ~np.isnan(y[base])]]
    columns["tau_b"] = sign * float(np.mean([rank.kendall_b(*pair) for pair in each])) + 0.0
    columns["pairwise_accuracy"] = float(np.mean([rank.pairwise_accuracy(*pair) for pair in each]))
    for k in (1, 3):
        if all(len(own) > k for own, _ in each):
            columns[f"regret_{k}"] = float(np.mean([rank.regret(x[base], y[base], k) for base in used]))
    return columns
