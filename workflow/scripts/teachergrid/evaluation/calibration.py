"""How far a judge can be trusted: its stored verdicts against themselves in the other order, against length, and against another judge's.

All numbers come from verdicts that are there; nothing is asked. A number that cannot be computed is None. Shares lie in 0..1.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..stats.rank import spearman
from .protocols import Verdict

WON, TIE, LOST = "won", "tie", "lost"
Item = tuple[str, str, str]  # model, task, id: what two judges both judged


class Agreement(NamedTuple):
    """How two judges agree on the same items."""

    n: int
    agreement: float | None = None  # share of items with the same of won, tie, lost
    kappa: float | None = (
        None  # agreement above that of chance, over what is left above it; None where chance alone agrees always
    )
    decided: float | None = None  # agreement on the items that neither calls a tie
    n_decided: int = 0


class Position(NamedTuple):
    """What the order of the answers does, over cases that were judged in both orders."""

    n: int
    flips: float | None = None  # share of cases whose winner changes with the order
    changes: float | None = None  # share of cases whose verdict does, so that a win may become a tie
    to_first: float | None = None  # of the flips, the share that favours the answer shown first


class Length(NamedTuple):
    """What the length of the answers does, over cases with a winner and unequal lengths in characters."""

    n: int
    longer: float | None = None  # share of cases that the longer answer wins


class Correct(NamedTuple):
    """Whether a judge prefers the right answer, over cases of which a checker calls one answer right and the other wrong."""

    n: int
    right: float | None = None  # share of cases that the right answer wins; a tie counts half, and a half is chance


class Repeats(NamedTuple):
    """What a judge says when it is asked the same again."""

    n: int  # cases that were judged several times
    changes: float | None = None  # share of pairs of repeats with another verdict
    deviation: float | None = None  # standard deviation of a case's score over repeats, root mean square


class Cost(NamedTuple):
    """What the verdicts cost."""

    n: int
    usd: float | None = None  # in all; None: no price is known
    usd_each: float | None = None
    unknown: int = 0  # verdicts without a price


def word(score: float) -> str:
    """Return won, tie or lost."""
    return WON if score > 0.5 else LOST if score < 0.5 else TIE


def agreement(one: Mapping[Item, float | None], other: Mapping[Item, float | None]) -> Agreement:
    """Return how two judges agree. one, other: {item: score}; items that either has no score for are left out.

    Cohen's kappa is (p_o - p_e) / (1 - p_e): where nearly all answers lose, two judges agree by chance, and agreement alone says little.
    """
    pairs = [(word(a), word(b)) for item, a in one.items() if a is not None and (b := other.get(item)) is not None]
    if not pairs:
        return Agreement(0)
    n = len(pairs)
    same = sum(a == b for a, b in pairs) / n
    chance = sum(
        (sum(a == value for a, _ in pairs) / n) * (sum(b == value for _, b in pairs) / n) for value in (WON, TIE, LOST)
    )
    clear = [(a, b) for a, b in pairs if TIE not in (a, b)]
    return Agreement(
        n,
        same,
        (same - chance) / (1 - chance) if chance < 1 else None,
        sum(a == b for a, b in clear) / len(clear) if clear else None,
        len(clear),
    )


def position(verdicts: Sequence[Verdict]) -> Position:
    """Return what the order does to a judge. Verdicts that needed no judge have equal scores by definition: leave them out."""
    both = [(word(one.first), word(one.second)) for one in verdicts if one.first is not None and one.second is not None]
    if not both:
        return Position(0)
    flipped = [first for first, second in both if {first, second} == {WON, LOST}]
    return Position(
        len(both),
        len(flipped) / len(both),
        sum(first != second for first, second in both) / len(both),
        # the model wins where it is shown first, and loses where it is shown second
        flipped.count(WON) / len(flipped) if flipped else None,
    )


def length(more: Sequence[int], scores: Sequence[float | None]) -> Length:
    """Return how often the longer answer wins. A share above a half may be right: longer answers may be better.

    Args:
        more: by how many characters the model's answer is longer than its opponent's, of each case.
        scores: of the same cases.
    """
    known = [(a, score) for a, score in zip(more, scores, strict=True) if a and score is not None and score != 0.5]
    return Length(len(known), sum((a > 0) == (score > 0.5) for a, score in known) / len(known) if known else None)


def correct(truth: Sequence[float], scores: Sequence[float | None]) -> Correct:
    """Return how often a judge prefers the right answer.

    Args:
        truth: by how much a checker's score of the model's answer is above that of its opponent's, of each case: 1, 0 or -1.
        scores: the judge's, of the same cases.
    """
    known = [(sign, score) for sign, score in zip(truth, scores, strict=True) if abs(sign) == 1 and score is not None]
    won = [(word(score) == TIE) / 2 + (word(score) == (WON if sign > 0 else LOST)) for sign, score in known]
    return Correct(len(won), sum(won) / len(won) if won else None)


def repeats(scores: Mapping[Item, Sequence[float | None]]) -> Repeats:
    """Return how a judge's verdicts vary when it is asked the same again. scores: {item: score of each repeat}."""
    known = [several for row in scores.values() if len(several := [x for x in row if x is not None]) > 1]
    if not known:
        return Repeats(0)
    pairs = [(a, b) for several in known for i, a in enumerate(several) for b in several[:i]]
    variances = [sum((x - sum(row) / len(row)) ** 2 for x in row) / (len(row) - 1) for row in known]
    changed = sum(word(a) != word(b) for a, b in pairs) / len(pairs)
    return Repeats(len(known), changed, (sum(variances) / len(variances)) ** 0.5)


def rank_agreement(one: Mapping[str, float], other: Mapping[str, float]) -> tuple[int, float | None]:
    """Return (number of models, Spearman's rho) of two judges' rates {model: rate}, over the models that both have.

    None for fewer than three models, and where all rates of one judge are equal.
    """
    models = [model for model in one if model in other]
    rho = spearman([one[model] for model in models], [other[model] for model in models]) if len(models) > 2 else None
    return len(models), None if rho is None or rho != rho else rho


def cost(usd: Sequence[float | None]) -> Cost:
    """Return what verdicts cost. usd: of each; None: unknown."""
    known = [value for value in usd if value is not None]
    if not known:
        return Cost(len(usd), unknown=len(usd))
    return Cost(len(usd), sum(known), sum(known) / len(known), len(usd) - len(known))
