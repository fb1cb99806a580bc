"""The formulas of metrics: numbers on a corpus that hope to predict the student.

A formula is a mean over responses or a function of such means, so it is written once, as the columns that it sums over
responses and what it makes of the sums. The sums of all responses give the corpus' value, those of one response the
value that ranks responses, and those of resampled instructions the interval.
"""

import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Formula(NamedTuple):
    """What a formula is, and how it is computed.

    `needs` says which files it joins. `columns(inputs)` gives what is summed over responses and `combine(sums, beta)`
    what becomes of the sums [..., columns + 1], the last of which counts responses; formulas on the corpus as a whole
    have `whole(responses)` instead; those with neither are computed over a grid (summary.py).
    """

    text: str
    unit: str
    best: str = "highest"  # which value is taken as a promise of a better student
    needs: tuple[str, ...] = ()
    columns: Callable | None = None
    combine: Callable | None = None
    divides_by: tuple[str, ...] = ()  # losses that must not vanish
    whole: Callable | None = None

    @property
    def is_car(self) -> bool:
        return "reward" in self.needs and "likelihood" in self.needs


class Inputs(NamedTuple):
    """What the columns are made of, [responses] each; NaN where undefined."""

    reward: np.ndarray | None = None
    given: np.ndarray | None = None  # -log p(A|Q), summed over the response's tokens (nats)
    tokens: np.ndarray | None = None
    loss: np.ndarray | None = None  # s(A|Q) = given / tokens
    alone: np.ndarray | None = None  # s(A), of the same tokens without the question
    question: np.ndarray | None = None  # s(Q), nats per token
    length: np.ndarray | None = None


def _mean(sums, beta):
    return sums[..., 0] / sums[..., -1]


def _perplexity(sums, beta):
    return np.exp(sums[..., 0] / sums[..., 1])


def _car(sums, beta):
    reward, loss = sums[..., 0] / sums[..., -1], sums[..., 1] / sums[..., -1]
    # with a reward below 0 a larger loss would give a larger CAR
    return np.where(reward >= 0, reward / (1 + beta * loss), np.nan)


def distinct_2(responses) -> float:
    """Distinct pairs of adjacent words over all such pairs (Li et al. 2016); NaN without any pair."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.utf8_trim_whitespace(responses.cast(pa.large_string()).combine_chunks())
    rows = pc.utf8_split_whitespace(text)
    row = pc.list_parent_indices(rows).to_numpy()
    word = rows.flatten().dictionary_encode().indices.to_numpy().astype(np.int64)
    pairs = np.sort((word[:-1] << 32 | word[1:])[row[:-1] == row[1:]])  # 100 times as fast as np.unique
    return (1 + np.count_nonzero(np.diff(pairs))) / len(pairs) if len(pairs) else np.nan


def compression(responses) -> float:
    """Bytes of the responses, one after the other, as zlib (level 1) leaves them over their own number; NaN without text."""
    packer, raw, packed = zlib.compressobj(1), 0, 0
    for text in responses.to_pylist():
        data = f"{text}\n".encode()
        raw, packed = raw + len(data), packed + len(packer.compress(data))
    return (packed + len(packer.flush())) / raw if raw > len(responses) else np.nan


_BOTH = ("reward", "likelihood")
_SCORED = ("likelihood",)
_CAR = "CAR = r / (1 + beta L) (Xu et al. 2024, arXiv 2411.07133), r the mean reward and L the untuned base's loss"
_NATS = "nats per token"
FORMULAS = {
    "reward_mean": Formula("r = mean reward", "reward", "highest", ("reward",), lambda x: (x.reward,), _mean),
    "car_mean": Formula(
        f"{_CAR}: mean over responses of s(A|Q)", "reward", "highest", _BOTH, lambda x: (x.reward, x.loss), _car
    ),
    "car_sum": Formula(
        f"{_CAR} as printed: mean over responses of -log p(A|Q), summed over tokens",
        "reward",
        "highest",
        _BOTH,
        lambda x: (x.reward, x.given),
        _car,
    ),
    "nll_mean": Formula("mean over responses of s(A|Q)", _NATS, "lowest", _SCORED, lambda x: (x.loss,), _mean),
    "ppl": Formula(
        "exp(sum of -log p(A|Q) / number of tokens), over all tokens of the corpus",
        "perplexity",
        "lowest",
        _SCORED,
        lambda x: (x.given, x.tokens),
        _perplexity,
    ),
    "ifd_loss": Formula(
        "mean of s(A|Q) / s(A) (Li et al. 2023, arXiv 2308.12032)",
        "ratio",
        "highest",
        _SCORED,
        lambda x: (x.loss / x.alone,),
        _mean,
        ("alone",),
    ),
    "ifd_ppl": Formula(
        "mean of exp(s(A|Q)) / exp(s(A)) (Li et al. 2024, Superfiltering)",
        "ratio",
        "highest",
        _SCORED,
        lambda x: (np.exp(x.loss - x.alone),),
        _mean,
        ("alone",),
    ),
    "ic_ifd_loss": Formula(
        "mean of s(A|Q) / (s(Q) s(A)) (Hui et al. 2024, equation 2)",
        "1 / nats",
        "highest",
        _SCORED,
        lambda x: (x.loss / x.alone / x.question,),
        _mean,
        ("alone", "question"),
    ),
    "ic_ifd_ppl": Formula(
        "mean of exp(s(A|Q)) / (exp(s(Q)) exp(s(A))), perplexities as the same paper's prose says",
        "ratio",
        "highest",
        _SCORED,
        lambda x: (np.exp(x.loss - x.alone - x.question),),
        _mean,
        ("alone", "question"),
    ),
    "length": Formula(
        "mean response length in the scorer's tokens; without likelihoods in the teacher's, else in words",
        "tokens",
        "highest",
        ("text",),
        lambda x: (x.length,),
        _mean,
    ),
    "distinct_2": Formula(
        "distinct over all pairs of adjacent words (Li et al. 2016); falls with the size of a corpus",
        "share",
        "highest",
        ("text",),
        whole=distinct_2,
    ),
    "compression": Formula(
        "bytes after zlib (level 1) over bytes before; low is repetitive",
        "share",
        "highest",
        ("text",),
        whole=compression,
    ),
    "size": Formula("the teacher's parameters", "billions"),
    "borrowed": Formula("mean AP of the other bases' students of the same unit", "points"),
}
