"""How alike a teacher's responses are: the cosine of their embeddings by an encoder, over all pairs.

The sum over all pairs of unit vectors follows from their total, so that no pair is looked at:
sum of x_i x_j over j other than i = x_i total - x_i x_i.
"""

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import pyarrow as pa

from . import artifacts, templates
from .errors import BadInput

KIND = "encoder"
# shards hold what is compared once all of them are there
VECTORS = pa.schema([*artifacts.REWARDS.remove(2)]).insert(2, pa.field("reward", pa.list_(pa.float32())))
ALONE = "fewer than two responses have text"


def check(where: str, reward: dict) -> None:
    """Raise BadInput, naming the key, if a similarity cannot be computed."""
    if reward["similarity"] is None:
        return
    if reward["model"] is None or reward["rating"] is not None:
        raise BadInput(f"{where}.similarity: needs the key 'model', an encoder, and no 'rating'")
    if reward["scale"] != "raw":
        raise BadInput(f"{where}.scale: a similarity is a cosine; leave 'scale' out")
    templates.check(f"{where}.similarity.text", reward["similarity"]["text"])


def opened(tokenizer, net, reward: dict, limit: float) -> tuple[Callable, Callable]:
    """Return what turns a row into tokens, cut to the limit as is usual with encoders, and a batch of them into vectors."""
    # positions of some encoders begin after 0, so that they take fewer tokens than they have positions
    longest = int(min(limit, tokenizer.model_max_length))
    text, pooling = reward["similarity"]["text"], reward["similarity"]["pooling"]
    return partial(_ids, tokenizer, text, longest), partial(_vectors, net, pooling, tokenizer.pad_token_id)


def _ids(tokenizer, text: str, longest: int, row: dict) -> list[int]:
    if not row["response"].strip():
        return []
    return tokenizer(templates.filled(text, row), truncation=True, max_length=longest)["input_ids"]


def _vectors(net, pooling: str, padding: int, batch: list[list[int]]) -> list[np.ndarray]:
    """Return a unit vector for each text."""
    import torch

    from . import models

    tokens, mask = models.padded(batch, padding, net.device)
    with torch.inference_mode():
        states = net(input_ids=tokens, attention_mask=mask).last_hidden_state.float()
        lengths = mask.sum(1)
        if pooling == "mean":
            vectors = (states * mask[..., None]).sum(1) / lengths[:, None]
        else:
            vectors = states[torch.arange(len(batch), device=states.device), (lengths - 1) * (pooling == "last")]
        return list(torch.nn.functional.normalize(vectors, dim=1).cpu().numpy())


def compared(shards: Iterable[pa.Table]) -> pa.Table:
    """Return artifacts.REWARDS from VECTORS, gone through twice, a shard at a time.

    A reward is 2 r - s, with r the response's mean cosine to the others and s the mean over all pairs. Their mean is s, and
    as each response is in all pairs of its own, their spread gives the interval of s (Hoeffding's projection), as that of r
    would not.
    """
    total, n, own = 0.0, 0, 0.0
    for vectors in filter(len, map(_matrix, shards)):
        total, n, own = total + vectors.sum(0), n + len(vectors), own + float((vectors**2).sum())
    mean = (total @ total - own) / (n * (n - 1)) if n > 1 else None
    finished = [_finished(table, total, n, mean) for table in shards]
    return pa.concat_tables([artifacts.REWARDS.empty_table(), *finished])


def _finished(table: pa.Table, total, n: int, mean: float | None) -> pa.Table:
    known = table["reward"].is_valid().to_numpy()
    values, reasons = np.full(len(known), np.nan), table["reason"].to_pylist()
    if mean is None:
        reasons = [reason or ALONE for reason in reasons]
    elif known.any():
        vectors = _matrix(table)
        values[known] = 2 * (vectors @ total - (vectors**2).sum(1)) / (n - 1) - mean
    number = pa.array(values, from_pandas=True)
    return pa.table([table["id"], table["sample"], number, pa.array(reasons, pa.string())], schema=artifacts.REWARDS)


def _matrix(table: pa.Table) -> np.ndarray:
    """The vectors that there are [rows, dimensions], in float64."""
    column = table["reward"].drop_null()
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(float)
    return flat.reshape(len(column), -1 if len(column) else 0)
