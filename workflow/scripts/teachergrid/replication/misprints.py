"""Which printed numbers cannot be right, or look copied: an accuracy over n items is k/n for a whole number k.

A number is impossible where no k/n rounds to it. That says that something differs from what the paper states (the
number of items, a mean of several runs, an edit by hand), not what.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

# items of each benchmark: IFEval counts prompts (Pr.) and instructions (In.)
ITEMS = {
    ("IFEval", "Pr.(S)"): 541,
    ("IFEval", "Pr.(L)"): 541,
    ("IFEval", "In.(S)"): 834,
    ("IFEval", "In.(L)"): 834,
    ("GSM8K", "acc"): 1319,
    ("MATH", "acc"): 5000,
    ("HumanEval", "pass@1"): 164,
    ("MBPP", "pass@1"): 500,
}
MANY, FEW = 1000, 500  # items, above which one or two shared values are named
Run = tuple[str, ...]  # table, base, group of evolvers, round, condition


class Printed(NamedTuple):
    """A printed accuracy."""

    run: Run
    benchmark: str
    metric: str
    text: str  # as printed, in percent

    @property
    def items(self) -> int:
        return ITEMS[self.benchmark, self.metric]

    @property
    def column(self) -> str:
        return self.benchmark if self.metric in ("acc", "pass@1") else f"{self.benchmark} {self.metric}"


class Misprint(NamedTuple):
    """A printed accuracy that no number of right answers gives."""

    printed: Printed
    nearest: str  # the possible number next to it, with two decimals
    off: float  # points between the two

    @property
    def by_one_digit(self) -> bool:
        """Whether another rounding of the last digit explains it."""
        return self.off < 0.015


def nearest(text: str, items: int) -> float:
    """Return the share in percent that some number of right answers of so many items gives, next to a printed one."""
    return 100 * round(float(text) * items / 100) / items


def possible(text: str, items: int) -> bool:
    """Return whether a share of so many items rounds to a printed percentage with two decimals; halves both ways."""
    return abs(float(text) - nearest(text, items)) <= 0.005 + 1e-9


def misprints(cells: Iterable[Printed]) -> list[Misprint]:
    """Return what cannot be right, in the order of the tables."""
    found = []
    for cell in cells:
        if not possible(cell.text, cell.items):
            text = f"{nearest(cell.text, cell.items):.2f}"
            found.append(Misprint(cell, text, abs(float(text) - float(cell.text))))
    return found


def swapped(cells: Iterable[Printed]) -> list[tuple[Printed, Printed]]:
    """Return pairs of one run that are both impossible as printed and both possible in each other's column."""
    wrong = [misprint.printed for misprint in misprints(cells)]
    return [
        (a, b)
        for a, b in combinations(wrong, 2)
        if a.run == b.run and possible(a.text, b.items) and possible(b.text, a.items)
    ]


def repeated(cells: Sequence[Printed]) -> list[tuple[Run, Run, list[Printed]]]:
    """Return pairs of runs of one table with the same numbers, and these: one of MANY items, or two of more than FEW.

    Fewer items leave few possible numbers, which repeat by chance. What is named may be chance, too.
    """
    same: dict[tuple[str, str, str, str], list[Printed]] = defaultdict(list)
    for cell in cells:
        if cell.items > FEW:
            same[cell.run[0], cell.benchmark, cell.metric, cell.text].append(cell)
    shared: dict[tuple[Run, Run], list[Printed]] = defaultdict(list)
    for alike in same.values():
        for a, b in combinations(alike, 2):
            shared[a.run, b.run].append(a)
    return [(*runs, of) for runs, of in shared.items() if len(of) > 1 or of[0].items > MANY]
