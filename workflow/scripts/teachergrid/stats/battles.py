"""Arena-Hard: verdicts of a judge on two games a question become battles, battles a win rate, and that one value a question.

In game 1 the baseline is A and the model is B, in game 2 they change places. With one baseline for all models the Bradley-Terry
model has a closed form: a model's chance to win is the share of its battles that it wins. So no fit is needed, but where style is
held fixed.

Source: lmarena/arena-hard-auto. Its own intervals resample battles, and are about half as wide as they should be: the games of a
question, and the three battles of a strong verdict, move together. Here the unit is the question.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

STRONG = 3  # battles that a verdict "much better" counts for
# what A gains in the battles of a label
LABELS: dict[str, tuple[float, ...]] = {
    "A>>B": (1.0,) * STRONG,
    "A>B": (1.0,),
    "A=B": (0.5,),
    "A<B": (0.0,),
    "A<<B": (0.0,) * STRONG,
}
LABELS |= {label[::-1].translate(str.maketrans("<>", "><")): gains for label, gains in LABELS.items()}  # B<<A is A>>B
_STEPS = 50  # of Newton's method
_TOLERANCE = 1e-10
_LONGEST = 2.0  # step of a weight; a longer one may lead away
_FARTHEST = 25.0  # log-odds; beyond, the fit runs away


class Rate(NamedTuple):
    """A win rate as a share of 1.

    values [questions]: pseudo-values whose mean is `rate`, and whose standard deviation over the root of their number is its standard
    error; NaN for a question without battles. None, with a reason, where it is undefined.
    """

    rate: float | None
    values: np.ndarray
    reason: str | None = None


def battles(first: str | None, second: str | None, both: bool) -> list[float]:
    """Return what a model gains in each battle of a question: 1 won, 0.5 tie, 0 lost.

    Args:
        first, second: labels of game 1 and game 2; None: the judge gave none.
        both: whether a question counts only with both labels (v2); otherwise a game without a label is left out alone (v0.1).
    """
    if both and None in (first, second):
        return []
    gains = list(LABELS[second]) if second else []
    return gains + [1 - gain for gain in LABELS[first]] if first else gains


def win_rate(questions: Sequence[Sequence[float]]) -> Rate:
    """Return the share of battles that a model wins, from its gains in the battles of each question."""
    total = np.array([sum(gains) for gains in questions], float)
    count = np.array([len(gains) for gains in questions], float)
    if not count.sum():
        return Rate(None, np.full(len(count), np.nan), "no battles")
    rate, asked = total.sum() / count.sum(), count > 0
    # the ratio of two means, linearised
    values = np.full(len(count), np.nan)
    values[asked] = rate + (total[asked] - rate * count[asked]) / count[asked].mean()
    return Rate(float(rate), values)


def elo(rate: float, baseline: float = 1000.0) -> float:
    """Return the Elo rating of a model that beats the baseline with the chance `rate`, which is above 0 and below 1."""
    return float(baseline + 400 * np.log10(rate / (1 - rate)))


# --- style


class Style(NamedTuple):
    """What of an answer has nothing to do with its content."""

    length: int  # tokens
    headers: int
    lists: int  # items of lists
    bold: int


FEATURES = ("length", "headers", "lists", "bold")


def difference(model: Style, baseline: Style) -> np.ndarray:
    """Return how far the model's style is from the baseline's, between -1 and 1 for each of FEATURES; 0 is the same."""
    a, b = np.array(model, float), np.array(baseline, float)
    result = np.zeros(len(a))
    if both := a[0] + b[0]:
        result[0] = (a[0] - b[0]) / both
    a, b = a[1:] / (a[0] + 1), b[1:] / (b[0] + 1)
    result[1:] = (a - b) / (a + b + 1)
    return result


def style_controlled(questions: Sequence[Sequence[float]], differences: np.ndarray) -> Rate:
    """Return the win rate of one model, had its answers the style of the baseline's.

    A logistic regression of the battles on a constant and on the differences of style; the rate is its prediction where these are 0.
    It needs no other model, so it stays when models are added, unlike `joint_style`.

    Args:
        questions: the model's gains in the battles of each question.
        differences: [questions, FEATURES], see `difference`.
    """
    none = np.full(len(questions), np.nan)
    y, rows = _flat(questions)
    if not len(y):
        return Rate(None, none, "no battles")
    scaled, varying = _by_spread(differences[rows])
    x = np.column_stack([np.ones(len(y)), scaled[:, varying]])
    weights = _logistic(x, y)
    if weights is None:
        return Rate(None, none, "no finite fit: all battles end alike, or style tells how they end")
    p, rate = _sigmoid(x @ weights), float(_sigmoid(weights[0]))
    # how much one more battle like each would change the constant
    moved = (x * (y - p)[:, None]) @ np.linalg.pinv((x * (p * (1 - p))[:, None]).T @ x)[0]
    values = np.bincount(rows, moved, len(questions)) * rate * (1 - rate)
    values[~np.isin(np.arange(len(questions)), rows)] = np.nan
    asked = ~np.isnan(values)
    values = rate + values * asked.sum()
    return Rate(rate, values + rate - values[asked].mean())


class Joint(NamedTuple):
    """Style-controlled win rates of several models, as shares of 1, with 90 % intervals; in the order of the models."""

    rates: list[float]
    low: list[float]
    high: list[float]
    weights: list[float]  # of FEATURES, for a difference of one standard deviation


def joint_style(
    questions: Sequence[Sequence[Sequence[float]]], differences: Sequence[np.ndarray], rounds: int = 100, seed: int = 0
) -> Joint | None:
    """Return the leaderboard's way to control style: one fit over all models, at the mean style difference of all their battles.

    Whatever model is added, all rates move: read it as a table of this set of models. The fit goes to the optimum, where the
    leaderboard's stops after 50 steps, and questions are resampled, not battles. None where the fit runs away.

    Args:
        questions: for each model, its gains in the battles of each question; the questions are the same for all.
        differences: for each model, [questions, FEATURES].
        rounds: of the bootstrap over questions.
    """
    flat = [_flat(of_model) for of_model in questions]
    y = np.concatenate([gains for gains, _ in flat])
    rows = np.concatenate([rows for _, rows in flat])
    model = np.repeat(np.arange(len(flat)), [len(gains) for gains, _ in flat])
    style = np.concatenate([of_model[rows] for of_model, (_, rows) in zip(differences, flat, strict=True)])
    scaled, _ = _by_spread(style - style.mean(0))
    x = np.column_stack([np.eye(len(flat))[model], scaled])
    weights = _logistic(x, y)
    if weights is None:
        return None
    rng, n, draws = np.random.default_rng(seed), len(questions[0]), []
    for _ in range(rounds):
        times = np.bincount(rng.integers(n, size=n), minlength=n)[rows]
        drawn = _logistic(x, y, times)
        if drawn is not None:
            draws.append(_sigmoid(drawn[: len(flat)]))
    low, high = np.percentile(draws, [5, 95], axis=0).tolist()
    return Joint(_sigmoid(weights[: len(flat)]).tolist(), low, high, weights[len(flat) :].tolist())


def _flat(questions: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the gains of all battles, and the number of each one's question."""
    count = [len(gains) for gains in questions]
    return np.array([gain for gains in questions for gain in gains], float), np.repeat(np.arange(len(count)), count)


def _by_spread(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return columns over their standard deviation (ddof 1), and which of them vary at all."""
    spread = x.std(0, ddof=1) if len(x) > 1 else np.zeros(x.shape[1])
    varying = spread > 0
    return x / np.where(varying, spread, 1), varying


def _logistic(x: np.ndarray, y: np.ndarray, times: np.ndarray | None = None) -> np.ndarray | None:
    """Return the weights of a logistic regression without penalty, by Newton's method; None where it has no finite optimum.

    y may be between 0 and 1; times: how often each row counts. Of weights that give the same predictions, the shortest.
    """
    weight = np.ones(len(y)) if times is None else times
    weights = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        p = _sigmoid(x @ weights)
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x
        step = np.linalg.lstsq(hessian, x.T @ (weight * (y - p)), rcond=None)[0]
        weights = weights + step * min(1, _LONGEST / max(np.abs(step).max(), _TOLERANCE))
        if np.abs(weights).max() > _FARTHEST:
            return None
        if np.abs(step).max() < _TOLERANCE:
            return weights
    return None


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
