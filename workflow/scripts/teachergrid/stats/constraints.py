"""Rates of satisfied constraints: instructions in groups, whose members have one constraint more from level to level.

Three figures: how often all constraints of an answer are satisfied (hard), which share of them is (soft), and up to which level all are
(consistent, as a share of the levels). Each is a mean over groups. The answers of a group are about one instruction, so the group is the
unit of the noise, and the values of its answers are stretched to show just that noise.

Source: Jiang et al. 2024, FollowBench (arXiv:2310.20410), section 3.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

LEVELS = 5
Satisfied = tuple[bool, ...]  # whether each constraint of an answer is


class Answered(NamedTuple):
    """One answer. satisfied: None where that is unknown; a rule gives one value for all constraints."""

    group: int
    level: int  # from 1
    satisfied: Satisfied | None


def hard(satisfied: Satisfied) -> float:
    """Return 1 where all constraints of an answer are satisfied, else 0."""
    return float(all(satisfied))


def soft(satisfied: Satisfied) -> float:
    """Return the share of an answer's constraints that are satisfied."""
    return sum(satisfied) / len(satisfied)


def rates(answers: Sequence[Answered]) -> dict[str, np.ndarray]:
    """Return {figure: values [answers]} of answers to one kind of constraints: hard, soft, consistent, and hard_1 to hard_5 of a level.

    The mean of a figure's values is the figure, a share of 1, and their standard deviation over the root of their number is its standard
    error. All answers of a group have the same value; NaN where nothing can be said of the group.

    An answer of which nothing is known is left out of its group's rates; the consistent levels of a group are unknown where the first
    answer that might end them is.
    """
    groups: dict[int, list[int]] = {}
    for i, one in enumerate(answers):
        groups.setdefault(one.group, []).append(i)

    def figure(of_group: Callable[[list[Answered]], float | None]) -> np.ndarray:
        found = {group: of_group([answers[i] for i in members]) for group, members in groups.items()}
        known = {group: value for group, value in found.items() if value is not None}
        return _stretched(known, groups, len(answers))

    found = {"hard": figure(_mean_of(hard)), "soft": figure(_mean_of(soft)), "consistent": figure(_consistent)}
    return found | {f"hard_{level}": figure(_mean_of(hard, level)) for level in sorted({one.level for one in answers})}


def _mean_of(rate: Callable[[Satisfied], float], level: int | None = None) -> Callable[[list[Answered]], float | None]:
    """Return what gives the mean rate of a group's answers (of one level), None where nothing is known of them."""

    def mean(members: list[Answered]) -> float | None:
        values = [rate(one.satisfied) for one in members if one.satisfied is not None and level in (None, one.level)]
        return sum(values) / len(values) if values else None

    return mean


def _consistent(members: list[Answered]) -> float | None:
    """Return up to which level all constraints of a group are satisfied, as a share of LEVELS."""
    by_level = {one.level: one.satisfied for one in members}
    for level in range(1, LEVELS + 1):
        satisfied = by_level.get(level)
        if satisfied is None:
            return None
        if not all(satisfied):
            return (level - 1) / LEVELS
    return 1.0


def _stretched(known: dict[int, float], groups: dict[int, list[int]], n: int) -> np.ndarray:
    """Return the values [n answers] of a figure of groups.

    Independent answers with the group's own value would say that a figure of 20 groups of 5 has the noise of 100 items. So a
    group's distance from the mean is multiplied by the root of the answers a group.
    """
    values = np.full(n, np.nan)
    answers = sum(len(groups[group]) for group in known)
    if known:
        mean = sum(known.values()) / len(known)
        usual = answers / len(known)  # answers of a group
        for group, value in known.items():
            members = groups[group]
            values[members] = mean + math.sqrt(usual) * usual / len(members) * (value - mean)
    return values
