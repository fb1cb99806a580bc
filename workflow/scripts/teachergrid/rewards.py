"""Score responses: by rule against the reference answer (a verifier), or with a model.

A reward model (classifier.py) gives a logit, which has no fixed scale: `raw` keeps it, `sigmoid` makes it a probability
above 0, which CAR needs. A chat model rates (ratings.py), and an encoder compares responses with each other (similarity.py).
"""

import math

import numpy as np
import pyarrow as pa

from . import artifacts, classifier, ratings, similarity, verify
from .errors import BadInput

SHARD = 1024  # rows after which a reward model's scores are written; what a kill loses at most (a probe sets its own `shard`)
NOT_FINITE = "the reward is NaN or infinite"


def score(responses: pa.Table, instructions: pa.Table, settings: dict, work) -> pa.Table:
    """Return artifacts.REWARDS, one row per response in their order.

    settings: {"reward": the config's entry, "model": its model, for a reward model}. work: folder of unfinished shards.
    A verifier gives 1 or 0, also to a response that was cut off. What cannot be scored is null with a reason: no reference
    answer, a prompt that was too long to be answered, prompt and response over max_length or the model's context, NaN.
    Raises BadInput when a response has no instruction, or when a reward model gives no finite number at all.
    """
    rows = _joined(responses, instructions)
    checker = settings["reward"]["checker"]
    if checker:
        return artifacts.table([_row(row, *_checked(row, checker)) for row in rows], artifacts.REWARDS)
    return _by_model(rows, settings["reward"], settings["model"], work)


def _joined(responses: pa.Table, instructions: pa.Table) -> list[dict]:
    """Return the responses with messages and reference answer of their instructions."""
    asked = {row["id"]: row for row in instructions.select(["id", "messages", "answer"]).to_pylist()}
    rows = responses.select(["id", "sample", "response", "finish_reason"]).to_pylist()
    strangers = [row["id"] for row in rows if row["id"] not in asked]
    if strangers:
        raise BadInput(
            f"{len(strangers)} of {len(rows)} responses answer instructions that are not in the set, such as {strangers[0]}; "
            "take the set they were made from, or generate them again"
        )
    return [asked[row["id"]] | row for row in rows]


def _row(row: dict, reward: float | None, reason: str | None) -> dict:
    return {"id": row["id"], "sample": row["sample"], "reward": reward, "reason": reason}


def _checked(row: dict, checker: dict) -> tuple[float | None, str | None]:
    if row["finish_reason"] == "prompt_too_long":
        return None, "prompt too long"
    verdict = verify.verdict(row["response"], row["answer"], checker)
    return verdict.score, verdict.reason


def _by_model(rows: list[dict], reward: dict, model: dict, work) -> pa.Table:
    from . import shards

    kind = similarity if reward["similarity"] else ratings if reward["rating"] else classifier
    bounds = shards.bounds(len(rows), reward.get("shard", SHARD))

    def make(i: int, *copy) -> list[dict]:
        return _shard(rows[slice(*bounds[i])], reward, *copy)

    schema = similarity.VECTORS if kind is similarity else artifacts.REWARDS
    tables = shards.made(work, len(bounds), make, schema, "rewards", lambda: _load(kind, model, reward))
    table = similarity.compared(tables) if kind is similarity else pa.concat_tables([schema.empty_table(), *tables])
    reasons = table["reason"].to_pylist()
    if NOT_FINITE in reasons and None not in reasons:
        raise BadInput(
            f"{model['repo']}: all {reasons.count(NOT_FINITE)} rewards are NaN or infinite; try `dtype: float32`, and look "
            "whether the model's files are whole"
        )
    return table


def _load(kind, model: dict, reward: dict) -> list[tuple]:
    """Return, for each copy of the model (models.copies), what a kind of reward opens it to, and the longest text it reads."""
    from . import models

    found = []
    for tokenizer, net in models.copies(model, reward, kind=kind.KIND):
        limit = min(reward["max_length"], models.context(net))
        found.append((*kind.opened(tokenizer, net, reward, limit), limit))
    return found


def _shard(rows: list[dict], reward: dict, tokens, read, limit: float) -> list[dict]:
    """Return the rows of one shard. Its batches are a fixed function of the shard: sorted by length."""
    ids = [tokens(row) for row in rows]
    scored = [_row(row, None, _unscorable(row, len(text), limit)) for row, text in zip(rows, ids, strict=True)]
    fitting = sorted((k for k, row in enumerate(scored) if row["reason"] is None), key=lambda k: len(ids[k]))
    for start in range(0, len(fitting), reward["batch"]):
        batch = fitting[start : start + reward["batch"]]
        for k, value in zip(batch, read([ids[k] for k in batch]), strict=True):
            scored[k] = _row(rows[k], *_scaled(value, reward["scale"]))
    return scored


def _unscorable(row: dict, tokens: int, limit: float) -> str | None:
    if row["finish_reason"] == "prompt_too_long":
        return "prompt too long"
    if not tokens:
        return "no text"
    return f"too long ({tokens} tokens)" if tokens > limit else None


def _scaled(logit, scale: str) -> tuple:
    if not np.isfinite(logit).all():
        return None, NOT_FINITE
    if scale == "raw":
        return logit, None
    small = math.exp(-abs(logit))  # this form never overflows, and rounds to 0 below -745 only
    return (1 if logit >= 0 else small) / (1 + small), None
