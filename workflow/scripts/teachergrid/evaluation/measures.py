"""Named measures of answers: figures that are no mean become one value an answer, so that all that averages items is right for them.

The figure is the mean over an item's samples, then over items. The values' spread over items is the figure's noise, so that pairing,
intervals and ranks need to know nothing of where a figure comes from.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import comb

Row = dict  # of artifacts.SCORES


def named(values: Mapping[str, float]) -> list[dict]:
    """Return {measure: value} as the column `measures` of artifacts.SCORES holds it."""
    return [{"measure": name, "value": float(value)} for name, value in values.items()]


def ratio(parts: Sequence[tuple[float, float]]) -> list[float]:
    """Return a value for each answer whose mean is the sum of what was met divided by the sum of what was asked.

    With n answers, C and K the sums and R = C / K, an answer with c of k has R + (c - R k) n / K: the first order of how R moves
    with that answer, so that the spread is its noise. Where all have the same k, it is c / k.

    parts: (met, of) of each answer, such as 2 of 3 instructions.
    """
    asked = sum(of for _, of in parts)
    whole = sum(met for met, _ in parts) / asked
    return [whole + (met - whole * of) * len(parts) / asked for met, of in parts]


def pass_at(k: int, samples: int, right: int) -> float:
    """Return the share of draws of k out of an item's answers that hold a right one (Chen et al. 2021): without bias, also for k < n.

    Args:
        samples: answers to the item. right: of them.
    """
    return 1.0 - comb(samples - right, k) / comb(samples, k)


def add(rows: Sequence[Row], parts: Sequence[Mapping[str, tuple[float, float]]], at: Iterable[int] = ()) -> None:
    """Set the column `measures` of the scores of one task. An answer without a score has no measures.

    Args:
        rows: of artifacts.SCORES, of one task; changed.
        parts: {measure: (met, of)} of each row.
        at: values of k of pass@k; an item with fewer answers that have a score has none.
    """
    values: list[dict[str, float]] = [{} for _ in rows]
    scored = [i for i, row in enumerate(rows) if row["score"] is not None]
    for name in dict.fromkeys(name for i in scored for name in parts[i]):
        having = [i for i in scored if name in parts[i]]
        for i, value in zip(having, ratio([parts[i][name] for i in having]), strict=True):
            values[i][name] = value
    by_item: dict[str, list[int]] = {}
    for i in scored:
        by_item.setdefault(rows[i]["id"], []).append(i)
    for k in at:
        for several in by_item.values():
            if len(several) >= k:
                value = pass_at(k, len(several), sum(rows[i]["score"] == 1 for i in several))
                for i in several:
                    values[i][f"pass@{k}"] = value
    for row, of_row in zip(rows, values, strict=True):
        row["measures"] = named(of_row) if of_row else None
