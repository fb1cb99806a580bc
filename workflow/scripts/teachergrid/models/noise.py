"""What is drawn for a prompt: it depends on the seed, the prompt's id, its sample number and the place in the response only.

They give one random number per token, which selects a token from the cumulated probabilities of the vocabulary (in the order of
token ids, so that it does not matter how nearly equal tokens are sorted). So neither the engine nor the batch, the order or the
number of GPUs changes a draw, except where rounding moves the boundary between two tokens across that number.
"""

import hashlib
import random
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import torch

Key = tuple[str, int]  # id and sample of a prompt
AHEAD = 64  # numbers that are drawn at once


class Filter(TypedDict):
    """What decides the probabilities of tokens: keys of the config's `sampling`."""

    temperature: float
    top_p: float
    top_k: int


class Numbers:
    """The random numbers of one response, uniform in [0, 1), by the place of the token in it."""

    def __init__(self, seed: int | None, key: Key) -> None:
        self._random = random.Random(hashlib.sha256(f"{seed}/{key[0]}/{key[1]}".encode()).digest())
        self._drawn: list[float] = []

    def __getitem__(self, place: int) -> float:
        while len(self._drawn) <= place:
            self._drawn += [self._random.random() for _ in range(AHEAD)]
        return self._drawn[place]


def chosen(scores: "torch.Tensor", numbers: "torch.Tensor", sampling: Filter) -> "torch.Tensor":
    """Return the token that its random number selects for each prompt, [prompts, 1].

    Args:
        scores: logits [prompts, vocabulary].
        numbers: [prompts, 1], float64, uniform in [0, 1).
    """
    cumulated = filtered(scores, sampling).double().softmax(-1).cumsum(-1)
    return (cumulated <= numbers * cumulated[:, -1:]).sum(-1, keepdim=True)


def filtered(scores: "torch.Tensor", sampling: Filter) -> "torch.Tensor":
    """Return logits divided by the temperature, and -inf for the tokens that top_k and then top_p leave out.

    As TopKLogitsWarper and TopPLogitsWarper of transformers (top_p: Holtzman et al. 2020, arXiv:1904.09751), except for
    ties: a token that is as likely as the last one that stays also stays, so that the order of equal tokens has no effect.

    Args:
        scores: logits [prompts, vocabulary].
    Returns: [prompts, vocabulary], float32.
    """
    import torch

    scores = scores.float() / sampling["temperature"]
    if 0 < sampling["top_k"] < scores.shape[-1]:
        least = scores.topk(sampling["top_k"]).values[:, -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if sampling["top_p"] < 1:
        probabilities = scores.softmax(-1)
        descending = probabilities.sort(descending=True).values
        in_nucleus = descending.cumsum(-1) - descending < sampling["top_p"]
        least = descending.masked_fill(~in_nucleus, torch.inf).amin(-1, keepdim=True)
        scores = scores.masked_fill(probabilities < least, -torch.inf)
    return scores
