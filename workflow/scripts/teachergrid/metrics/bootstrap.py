"""The bootstrap over instructions: sums over the responses to each, then means and medians over drawn instructions."""

import hashlib
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from . import terms
from .rows import JoinedRows
from .variants import Metric

BLOCK = 2**22  # counts in memory at once


class Part(NamedTuple):
    """A metric's share of the sums that a Pool holds."""

    columns: list[int]  # where the sums of its terms are, and last the number of its responses
    medians: dict[int, tuple[np.ndarray, np.ndarray]]  # {term: (its values, sorted; the instruction of each)}
    left_out: terms.LeftOut
    instructions: int  # with at least one of its responses


class Pool:
    """The sums of metrics over the responses to each instruction; a sum that several metrics share is stored once.

    The bootstrap draws instructions, each with all of its samples; the same draws serve all metrics.
    """

    def __init__(self, rows: JoinedRows) -> None:
        self.rows = rows
        self.first = np.flatnonzero(np.r_[True, rows.id[1:] != rows.id[:-1]])  # the rows are in the order of id
        self.member = np.repeat(np.arange(len(self.first)), np.diff(np.r_[self.first, len(rows.id)]))
        self.positions: dict[bytes, int] = {}  # of a column, by the hash of its values
        self.sums: list[np.ndarray] = []  # [instructions] each

    def part(self, metric: Metric) -> Part:
        """Add the sums of a metric, and return where they are."""
        values, left_out = terms.term_values(metric, self.rows)
        if metric.settings["below"] is not None:
            terms.response_values(metric, values, left_out)
        counted, medians = ~left_out.rows, {}
        for term in metric.expression.medians if metric.expression else ():
            term_values, member = values[counted, term], self.member[counted]
            order = np.argsort(term_values, kind="stable")
            medians[term] = term_values[order], member[order]
        values[~counted] = 0
        positions = [self.add(column) for column in (*values.T, counted.astype(float))]
        return Part(positions, medians, left_out, int(np.count_nonzero(self.sums[positions[-1]])))

    def add(self, column: np.ndarray) -> int:
        """Add the sums of a column [n] over the responses of each instruction, and return their position."""
        column = np.ascontiguousarray(column)
        position = self.positions.setdefault(hashlib.blake2b(column.data).digest(), len(self.sums))
        if position == len(self.sums):
            self.sums.append(np.add.reduceat(column, self.first))
        return position

    def table(self) -> np.ndarray:
        """Return the sums [instructions, columns] and free them here. Call it once, after the last `part`."""
        table = np.empty((len(self.first), len(self.sums)))
        while self.sums:
            column = self.sums.pop()  # one by one: all of them twice would take much memory
            table[:, len(self.sums)] = column
        return table

    def draw(self, parts: dict[str, Part], rounds: int, seed: int) -> dict[str, np.ndarray]:
        """Return {metric: means of its terms [1 + rounds, terms]}: first of the corpus itself, then of drawn instructions."""
        table = self.table()
        blocks_of: dict[str, list[np.ndarray]] = {name: [] for name in parts}
        for counts in _counts(len(table), rounds, seed) if parts else ():
            totals = counts @ table
            for name, part in parts.items():
                with np.errstate(all="ignore"):
                    means = totals[:, part.columns[:-1]] / totals[:, part.columns[-1:]]
                for term, (values, member) in part.medians.items():
                    means[:, term] = weighted_medians(values, member, counts)
                blocks_of[name].append(means)
        return {name: np.concatenate(blocks) for name, blocks in blocks_of.items()}


def _counts(n: int, rounds: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each of n instructions is drawn, [some rounds, n]; the first draw takes each once."""
    rng, size = np.random.default_rng(seed), max(1, BLOCK // n)
    yield np.ones((1, n))
    for start in range(0, rounds, size):
        counts = np.empty((min(size, rounds - start), n))
        for row in counts:
            row[:] = np.bincount(rng.integers(n, size=n, dtype=np.int32), minlength=n)
        yield counts


def weighted_medians(values: np.ndarray, member: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the medians [rounds] of values that each draw repeats; NaN of a draw without any.

    Args:
        values: [k], sorted.
        member: [k], the instruction of each.
        counts: [rounds, instructions], how often each draw repeats the values of an instruction.

    Searches the middle of the values only, unless the median of a draw is elsewhere.
    """
    if not len(values):
        return np.full(len(counts), np.nan)
    n, half = len(values), counts @ np.bincount(member, minlength=counts.shape[1]) / 2
    for reach in (8 * math.isqrt(n), n):
        start, stop = max(n // 2 - reach, 0), min(n // 2 + reach, n)
        before = counts @ np.bincount(member[:start], minlength=counts.shape[1])
        running = before[:, None] + counts[:, member[start:stop]].cumsum(1)
        if ((before < half) & (running[:, -1] > half)).all():
            break
    # the median of an even number of values is the mean of the two in the middle
    positions = (running < half[:, None]).sum(1), (running <= half[:, None]).sum(1)
    low, high = (values[np.minimum(start + position, n - 1)] for position in positions)
    return np.where(half > 0, (low + high) / 2, np.nan)
