"""Log-probabilities and ranks of tokens under a causal model, in batches of sequences of similar length."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ..models import batching, logits

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

PADDING = 0.04  # largest share of padding in a batch, so that a small shard wastes no more than a large one
LOGITS = 2**26  # computed at once (256 MB in float32), so that a large vocabulary needs no matrix over all positions
SURE = (
    0.99  # above this probability of the likeliest token a model is sure of it (arXiv 2412.11231 cuts its plots here)
)
LEAST = -1e4  # nats: a smaller log-probability has p = 0 in float32
# logits that are normalised at once: on a CPU as many as fit into its cache
NORMALISED = {"cuda": 2**24, "cpu": 2**18}


class Scores(NamedTuple):
    """The scored tokens of one sequence."""

    logprobs: list[float]  # in nats
    ranks: list[int]  # 1 + the number of tokens with a larger logit
    # of the whole distribution at each token; empty unless `score` was asked for them
    squares: list[float]  # sum of p squared
    entropies: list[float]  # in nats
    tops: list[float] = []  # noqa: RUF012 (never changed): probability of the likeliest token; empty unless asked for


def score(
    model: "PreTrainedModel",
    sequences: list[list[int]],
    positions: list[list[int]],
    batch_tokens: int,
    distributions: bool = False,
    top: bool = False,
) -> list[Scores]:
    """Return the scores of some tokens of each sequence, each token given all tokens before it.

    Padding is on the right and there is no cache, so that causal attention needs no mask. Logits are computed at the
    scored positions only, in chunks, and normalised in float32.

    Args:
        sequences: token ids of each sequence.
        positions: of each sequence, the positions of the tokens to score; none is 0.
        batch_tokens: tokens in a batch with padding, at most, unless a single sequence has more.
        distributions: also return the squares and entropies of the distributions. top: and the probability of the likeliest token.
    """
    import torch

    scores: dict[int, Scores] = {}
    # one sequence fills any batch
    batch_tokens = batching.rows(model, batch_tokens)
    with torch.inference_mode():
        for rows in batches([len(ids) for ids in sequences], batch_tokens):
            width = len(sequences[rows[0]])
            ids = torch.tensor([sequences[i] + [0] * (width - len(sequences[i])) for i in rows], device=model.device)
            hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state  # [batch, width, hidden size]
            line = torch.tensor([number for number, i in enumerate(rows) for _ in positions[i]], device=hidden.device)
            column = torch.tensor([position for i in rows for position in positions[i]], device=hidden.device)
            # a token is predicted from the position before it
            targets = ids.to(hidden.device)[line, column]
            columns = _score_targets(model, hidden[line, column - 1], targets, distributions, top)
            counts = [len(positions[i]) for i in rows]
            for i, *values in zip(rows, *(column.split(counts) for column in columns), strict=True):
                logprob, rank, *more = (value.tolist() for value in values)
                scores[i] = Scores(logprob, rank, *(more or ([], [])))
    return [scores[i] for i in range(len(sequences))]


def batches(lengths: list[int], batch_tokens: int) -> Iterator[list[int]]:
    """Yield the numbers of sequences in batches, longest sequence first.

    A batch has as many sequences as fit into `batch_tokens` when padded, with a share of PADDING at most; at least one.
    """
    batch: list[int] = []
    tokens = 0  # of the batch, without padding
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        padded = lengths[batch[0]] * (len(batch) + 1) if batch else 0
        if padded > min(batch_tokens, (tokens + lengths[i]) / (1 - PADDING)):
            yield batch
            batch, tokens = [], 0
        batch.append(i)
        tokens += lengths[i]
    if batch:
        yield batch


def _score_targets(
    model: "PreTrainedModel", hidden: "torch.Tensor", targets: "torch.Tensor", distributions: bool, top: bool
) -> "list[torch.Tensor]":
    """Return the columns of Scores [tokens] of target tokens, on the CPU: the first two, those of `distributions`, and that of `top`.

    hidden: [tokens, hidden size], the last hidden state before each target. targets: [tokens], ids.
    """
    import torch

    head = model.get_output_embeddings()
    vocabulary = head.weight.shape[0]
    chunks = math.ceil(len(hidden) * vocabulary / LOGITS)
    normalised = max(1, NORMALISED["cuda" if hidden.is_cuda else "cpu"] // vocabulary)
    parts: list[list[torch.Tensor]] = []
    for states, chunk in zip(hidden.tensor_split(chunks), targets[:, None].tensor_split(chunks), strict=True):
        for raw, target in zip(head(states).split(normalised), chunk.split(normalised), strict=True):
            scaled = logits.scaled(model, raw)
            values = scaled.log_softmax(1)
            parts.append([values.gather(1, target)[:, 0], 1 + (scaled > scaled.gather(1, target)).sum(1)])
            if distributions:
                p = values.exp()
                # a token that is impossible has p log p = 0, and not NaN
                parts[-1] += [p.square().sum(1), -(p * values.clamp(min=LEAST)).sum(1)]
                parts[-1] += [p.max(1).values] if top else []
    return [torch.cat(column).cpu() for column in zip(*parts, strict=True)]
