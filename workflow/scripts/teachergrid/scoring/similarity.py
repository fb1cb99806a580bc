"""How alike a teacher's responses are: the mean cosine of their embeddings over all pairs, by an encoder. Or how far each one is from
the one that is most like it (`nearest`).

With unit vectors x_i and their sum T, the sum of x_i.x_j over all i != j is |T|^2 - n, and the sum over j for one i is
x_i.T - 1. So the work is O(n), and no pair is formed. (The code uses |x_i|^2 instead of 1, because rounded vectors are not exactly of unit length.)

The reward of response i is 2 r_i - s, with r_i its mean cosine to the others and s the mean over all pairs. This is the
first-order (Hoeffding) term of s, which is a U-statistic of degree 2: the mean of the rewards is s, and a bootstrap over the
rewards gives the interval of s. A bootstrap over r_i would give half of its width. Source: Hoeffding 1948, A class of
statistics with asymptotically normal distribution (Annals of Mathematical Statistics 19).
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ..errors import BadInput
from ..models import batching, prompts
from ..models.chat import Message
from ..store import artifacts

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from .entry import RewardEntry

# shards hold the vectors (as `reward`); they are compared once all shards are complete
VECTORS = pa.schema([*artifacts.REWARDS.remove(2)]).insert(2, pa.field("reward", pa.list_(pa.float32())))
ALONE = "fewer than two responses have text"
AT_ONCE = 2**24  # cosines that are in memory together (64 MB)


def check(where: str, reward: dict) -> None:
    """Raise BadInput if a reward's `similarity` does not fit its other keys. where: the config key, for the message."""
    if reward["similarity"] is None:
        return
    if reward["model"] is None or reward["rating"] is not None:
        raise BadInput(f"{where}.similarity: needs the key 'model', an encoder, and no 'rating'")
    if reward["scale"] != "raw":
        raise BadInput(f"{where}.scale: a similarity is a cosine; leave 'scale' out")
    prompts.check(f"{where}.similarity.text", reward["similarity"]["text"])


class Encoder:
    """A loaded encoder that embeds texts (a `reward.Scorer`)."""

    MODEL_KIND = "encoder"

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", model: "PreTrainedModel", reward: "RewardEntry") -> None:
        """reward: the config's entry."""
        from ..models import loading

        self._tokenizer, self._model, self._similarity = tokenizer, model, reward["similarity"]
        # the tokenizer's limit too: some encoders do not use their first positions, so they take fewer tokens than positions
        self._max_length = int(min(reward["max_length"], loading.context(model), tokenizer.model_max_length))
        batching.check(model, batching.hidden(model, masked=True, padding=tokenizer.pad_token_id))

    def tokens(self, messages: list[Message], response: str, finished: bool = True) -> list[int]:  # noqa: ARG002
        """Return the ids of a text, cut to the encoder's limit as is usual with encoders; none for a blank response."""
        if not response.strip():
            return []
        text = prompts.fill(self._similarity["text"], messages, response)
        return self._tokenizer(text, truncation=True, max_length=self._max_length)["input_ids"]

    def score(self, batch: list[list[int]]) -> list[np.ndarray]:
        """Return a unit vector [dimensions], float32, for each text."""
        return [vector for part in batching.parts(self._model, batch) for vector in self._score(part)]

    def _score(self, batch: list[list[int]]) -> list[np.ndarray]:
        import torch

        pooling = self._similarity["pooling"]
        tokens, mask = batching.padded(batch, self._tokenizer.pad_token_id, self._model.device)
        with torch.inference_mode():
            # [batch, positions, dimensions]
            states = self._model(input_ids=tokens, attention_mask=mask).last_hidden_state.float()
            lengths = mask.sum(1)
            if pooling == "mean":
                vectors = (states * mask[..., None]).sum(1) / lengths[:, None]
            else:
                vectors = states[torch.arange(len(batch), device=states.device), (lengths - 1) * (pooling == "last")]
            return list(torch.nn.functional.normalize(vectors, dim=1).cpu().numpy())


def compare(shards: Iterable[pa.Table]) -> pa.Table:
    """Return artifacts.REWARDS from tables of VECTORS. Goes through the tables twice, one at a time."""
    total: np.ndarray | float = 0.0  # [dimensions], the sum of all vectors
    n, squares = 0, 0.0
    for vectors in filter(len, map(_matrix, shards)):
        total, n, squares = total + vectors.sum(0), n + len(vectors), squares + float((vectors**2).sum())
    mean = float((np.dot(total, total) - squares) / (n * (n - 1))) if n > 1 else None
    rewards = [_rewards(table, total, n, mean) for table in shards]
    return pa.concat_tables([artifacts.REWARDS.empty_table(), *rewards])


def _rewards(table: pa.Table, total: np.ndarray | float, n: int, mean: float | None) -> pa.Table:
    """Return artifacts.REWARDS of one table of VECTORS. mean: of the cosine over all pairs; None where there is no pair."""
    with_vector = table["reward"].is_valid().to_numpy()
    values, reasons = np.full(len(with_vector), np.nan), table["reason"].to_pylist()
    if mean is None:
        reasons = [reason or ALONE for reason in reasons]
    elif with_vector.any():
        vectors = _matrix(table)
        values[with_vector] = 2 * (vectors @ total - (vectors**2).sum(1)) / (n - 1) - mean
    rewards = pa.array(values, from_pandas=True)
    return pa.table([table["id"], table["sample"], rewards, pa.array(reasons, pa.string())], schema=artifacts.REWARDS)


def nearest(shards: Iterable[pa.Table]) -> pa.Table:
    """Return artifacts.REWARDS from tables of VECTORS: 1 minus the cosine to the nearest embedding of another instruction.

    All vectors are in memory, in float32, and each is compared with each: 50,000 of 768 numbers take 150 MB and seconds.
    """
    table = pa.concat_tables([VECTORS.empty_table(), *shards])
    with_vector, reasons = table["reward"].is_valid().to_numpy(zero_copy_only=False), table["reason"].to_pylist()
    values = np.full(len(with_vector), np.nan)
    if with_vector.any():
        groups = table["id"].combine_chunks().dictionary_encode().indices.to_numpy()[with_vector]
        values[with_vector] = np.concatenate([*_distances(_matrix(table).astype(np.float32), groups)])
    reasons = [
        reason or (ALONE if np.isnan(value) else None) for reason, value in zip(reasons, values.tolist(), strict=True)
    ]
    rewards = pa.array(values, from_pandas=True)
    return pa.table([table["id"], table["sample"], rewards, pa.array(reasons, pa.string())], schema=artifacts.REWARDS)


def _distances(vectors: np.ndarray, groups: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the distance of each row to the nearest one of another group, in blocks; NaN where there is none."""
    rows = max(1, AT_ONCE // len(vectors))
    for start in range(0, len(vectors), rows):
        cosines = vectors[start : start + rows] @ vectors.T
        cosines[groups[start : start + rows, None] == groups] = -np.inf
        best = cosines.max(1).astype(float)
        # rounded vectors are not exactly of unit length
        yield np.where(np.isinf(best), np.nan, np.maximum(1 - best, 0))


def _matrix(table: pa.Table) -> np.ndarray:
    """Return the vectors that are not null, [rows, dimensions], in float64."""
    column = table["reward"].drop_null()
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(float)
    return flat.reshape(len(column), -1 if len(column) else 0)


# what a reward's `similarity` measures
MEASURES = {"mean": compare, "nearest": nearest}
