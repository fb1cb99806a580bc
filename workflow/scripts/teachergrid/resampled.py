"""Sums over the responses of each instruction, and the means and medians over instructions drawn again and again."""

import hashlib
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from . import columns
from .expressions import compiled

BLOCK = 2**22  # counts that are held at once


class Part(NamedTuple):
    """A metric in a pool."""

    columns: list[int]  # the sums of its terms, then the number of its responses
    medians: dict  # {term: (values, sorted; the instruction of each)}
    left: columns.LeftOut
    instructions: int  # that any of its responses answers


class Pool:
    """What metrics sum over the responses of each instruction; what several sum alike is held once.

    The unit of the bootstrap is the instruction: its samples are drawn together, and the same draws serve all metrics.
    """

    def __init__(self, frame):
        self.frame = frame
        self.first = np.flatnonzero(np.r_[True, frame.id[1:] != frame.id[:-1]])  # a frame is in the order of id
        self.member = np.repeat(np.arange(len(self.first)), np.diff(np.r_[self.first, len(frame.id)]))
        self.known, self.sums = {}, []

    def part(self, entry: dict, value: float | None) -> Part:
        """Add a metric at a value of its parameter."""
        filled, left = columns.columns(entry, self.frame, value)
        if entry["below"] is not None:
            columns.single(entry, filled, left, value)
        kept, medians = ~left.rows, {}
        for term in compiled(entry).medians:
            values, member = filled[kept, term], self.member[kept]
            order = np.argsort(values, kind="stable")
            medians[term] = values[order], member[order]
        filled[~kept] = 0
        places = [self.add(column) for column in (*filled.T, kept.astype(float))]
        return Part(places, medians, left, np.count_nonzero(self.sums[places[-1]]))

    def add(self, column: np.ndarray) -> int:
        column = np.ascontiguousarray(column)
        place = self.known.setdefault(hashlib.blake2b(column).digest(), len(self.sums))
        if place == len(self.sums):
            self.sums.append(np.add.reduceat(column, self.first))
        return place

    def table(self) -> np.ndarray:
        """Return [instructions, columns]; no metric can be added any more."""
        table = np.empty((len(self.first), len(self.sums)))
        while self.sums:
            column = self.sums.pop()  # one by one, since all of them twice would be much
            table[:, len(self.sums)] = column
        return table

    def drawn(self, parts: dict[str, Part], rounds: int, seed: int) -> dict[str, np.ndarray]:
        """Return {metric: values of its terms [1 + rounds, terms]}: of the corpus itself, then of drawn instructions."""
        table, found = self.table(), {name: [] for name in parts}
        for counts in _counts(len(table), rounds, seed) if parts else ():
            totals = counts @ table
            for name, part in parts.items():
                with np.errstate(all="ignore"):
                    means = totals[:, part.columns[:-1]] / totals[:, part.columns[-1:]]
                for term, (values, member) in part.medians.items():
                    means[:, term] = _median(values, member, counts)
                found[name].append(means)
        return {name: np.concatenate(blocks) for name, blocks in found.items()}


def _counts(n: int, rounds: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each of n instructions is drawn [some rounds, n]; first each once."""
    rng, size = np.random.default_rng(seed), max(1, BLOCK // n)
    yield np.ones((1, n))
    for start in range(0, rounds, size):
        counts = np.empty((min(size, rounds - start), n))
        for row in counts:
            row[:] = np.bincount(rng.integers(n, size=n, dtype=np.int32), minlength=n)
        yield counts


def _median(values: np.ndarray, member: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the medians [rounds] of sorted values [k], each as often as counts [rounds, instructions] has its member; NaN of
    none. Only the middle of the values is looked at, unless the median of a draw lies elsewhere.
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
    # of an even number the two in the middle
    places = (running < half[:, None]).sum(1), (running <= half[:, None]).sum(1)
    low, high = (values[np.minimum(start + place, n - 1)] for place in places)
    return np.where(half > 0, (low + high) / 2, np.nan)
