"""Length-controlled win rate of AlpacaEval 2: the win rate that a model would have if its answers were as long as its opponent's.

A logistic regression without intercept explains the share of a win of each item by three features: tanh of the scaled difference
of lengths, the difficulty of the instruction, and a constant for the model. The controlled win rate is the mean prediction with
the first feature set to 0. Rows of two baselines that are made to be short or long, the anchor, are added with a small weight, so
that the weight of length cannot be anything. Judgments are joined with the benchmark by instruction, so order does not matter, and
a missing judgment costs itself only.

Source: Dubois et al. 2024 (arXiv:2404.04475), and tatsu-lab/alpaca_eval, `length_controlled_v1`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

CHOICES = tuple(np.logspace(-4, 4, 10).tolist())  # of C, the inverse strength of the L1 penalty
FOLDS = 5
ANCHOR_WEIGHT = 0.2  # of all baselines of the anchor together
_SEED = 123  # of the solver, as in the source
_SMALLEST = 1e-15  # a probability is at least this far from 0 and 1 before its logarithm is taken


class Judged(NamedTuple):
    """A judgment of one item."""

    instruction: str
    score: float  # share of a win over the opponent: 1 won, 0.5 tie, 0 lost
    length: int  # characters of the model's answer


class Anchor(NamedTuple):
    """Judgments of the baselines that keep the weight of length in place; all [rows]."""

    length: (
        np.ndarray
    )  # scaled difference: opponent's length minus own, over the standard deviation of these differences
    difficulty: np.ndarray
    score: np.ndarray  # share of a win
    baselines: int = 2  # that the rows come from


class Benchmark(NamedTuple):
    """What is the same for all models that are judged; the instructions stand in the benchmark's order."""

    difficulty: Mapping[str, float]  # {instruction: difficulty}
    length: Mapping[str, int]  # {instruction: characters of the opponent's answer}
    anchor: Anchor


class Controlled(NamedTuple):
    """A length-controlled win rate, as a share of 1.

    values [items]: one pseudo-value for each item. Their mean is `rate`, and their standard deviation over the root of their number
    is its standard error: they differ between items by what an item adds to the fit, too. The standard deviation of the predictions
    alone, which the leaderboard shows, leaves out that the weights were fitted to the same items, and is about half as large.
    """

    rate: float
    values: np.ndarray
    instructions: list[str]  # [items], in the benchmark's order
    c: float  # inverse strength of the penalty, chosen or given
    weights: tuple[float, float, float]  # of length, difficulty and the model
    missing: int  # instructions of the benchmark without a judgment


def length_controlled(judged: Sequence[Judged], benchmark: Benchmark, c: float | None = None) -> Controlled:
    """Return the length-controlled win rate of one model.

    Args:
        judged: at most one judgment for each instruction, in any order.
        c: inverse strength of the L1 penalty; None: the best of CHOICES in a cross-validation over FOLDS parts. A near tie there
            moves the rate by a tenth of a point, so compare models with their c at hand.
    Raises:
        ValueError: an instruction that the benchmark has not, or that is judged twice; fewer judgments than FOLDS.
    """
    by_instruction = _by_instruction(judged, benchmark)
    # the folds follow the order of the benchmark
    instructions = [text for text in benchmark.difficulty if text in by_instruction]
    rows = [by_instruction[text] for text in instructions]
    difficulty = np.array([benchmark.difficulty[text] for text in instructions], float)
    shorter = np.array([benchmark.length[row.instruction] - row.length for row in rows], float)
    own = np.column_stack([np.tanh(_scaled(shorter)), difficulty, np.ones(len(rows))])
    anchor = benchmark.anchor
    fixed = np.column_stack([np.tanh(anchor.length), anchor.difficulty, np.zeros(len(anchor.score))])
    x = np.vstack([fixed, own])
    y = np.concatenate([anchor.score, [row.score for row in rows]])
    weight = np.concatenate([np.full(len(fixed), ANCHOR_WEIGHT / anchor.baselines), np.ones(len(own))])
    if shorter.any() or any(row.score != 0.5 for row in rows):
        chosen = _best_c(x, y, weight) if c is None else c
        weights = _fit(x, y, weight, chosen)
    else:  # the opponent itself is a half by definition, whatever the anchor says
        chosen, weights = c or CHOICES[-1], np.zeros(3)
    predicted = _sigmoid(own[:, 1:] @ weights[1:])
    values = predicted + _influence(x, y, weight, weights)[len(fixed) :] @ _slope(difficulty, predicted) * len(own)
    values += predicted.mean() - values.mean()  # one step of Newton's method does not end exactly at the optimum
    missing = len(benchmark.difficulty) - len(rows)
    of_length, of_difficulty, of_model = map(float, weights)
    return Controlled(
        float(predicted.mean()), values, instructions, chosen, (of_length, of_difficulty, of_model), missing
    )


def _by_instruction(judged: Sequence[Judged], benchmark: Benchmark) -> dict[str, Judged]:
    by_instruction: dict[str, Judged] = {}
    for row in judged:
        if row.instruction not in benchmark.difficulty or row.instruction not in benchmark.length:
            raise ValueError(f"the benchmark has no instruction {row.instruction[:80]!r}")
        if row.instruction in by_instruction:
            raise ValueError(f"two judgments of the instruction {row.instruction[:80]!r}")
        by_instruction[row.instruction] = row
    if len(by_instruction) < FOLDS:
        raise ValueError(f"{len(by_instruction)} judgments; a length-controlled win rate needs {FOLDS} or more")
    return by_instruction


def _scaled(difference: np.ndarray) -> np.ndarray:
    """Return differences over their standard deviation; where all are equal they tell nothing, and are 0."""
    spread = difference.std(ddof=1)
    return difference / spread if spread > 0 else np.zeros_like(difference)


def _best_c(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """Return the C of CHOICES with the highest mean log-likelihood of the rows that a fit has not seen."""
    from sklearn.model_selection import GroupKFold

    scores = np.zeros(len(CHOICES))
    # a row is a group of its own: both halves of a soft label are in one fold
    for train, test in GroupKFold(FOLDS).split(x, groups=np.arange(len(x))):
        for i, c in enumerate(CHOICES):
            weights = _fit(x[train], y[train], weight[train], c)
            p = np.clip(_sigmoid(x[test] @ weights), _SMALLEST, 1 - _SMALLEST)
            scores[i] += (weight[test] * (y[test] * np.log(p) + (1 - y[test]) * np.log(1 - p))).mean()
    return CHOICES[int(scores.argmax())]


def _fit(x: np.ndarray, y: np.ndarray, weight: np.ndarray, c: float) -> np.ndarray:
    """Return the weights [features] of a regression on soft labels: each row stands in it as won and as lost."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(l1_ratio=1.0, solver="liblinear", C=c, fit_intercept=False, random_state=_SEED)
    labels = np.repeat([1, 0], len(y))
    model.fit(np.vstack([x, x]), labels, sample_weight=np.concatenate([weight * y, weight * (1 - y)]))
    return np.asarray(model.coef_[0], float)


def _influence(x: np.ndarray, y: np.ndarray, weight: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return by how much one more copy of each row would change the fitted weights: [rows, features].

    One step of Newton's method. The penalty adds nothing, since its slope is constant where no weight is 0; a weight of 0 stays.
    """
    result = np.zeros_like(x)
    active = np.flatnonzero(weights)
    if len(active):
        p = _sigmoid(x @ weights)
        part = x[:, active]
        hessian = (part * (weight * p * (1 - p))[:, None]).T @ part
        result[:, active] = np.linalg.solve(hessian, (part * (weight * (y - p))[:, None]).T).T
    return result


def _slope(difficulty: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the derivative of the mean prediction by the weights [features]; it does not depend on that of length."""
    slope = predicted * (1 - predicted)
    return np.array([0.0, (slope * difficulty).mean(), slope.mean()])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
