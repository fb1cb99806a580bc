"""Score responses: by rule against the reference answer (a verifier), or with a reward model through its chat template.

A reward model is a sequence classifier with one output, read at the end token of the response. Its logit has no fixed
scale: `raw` keeps it, `sigmoid` makes it a probability above 0, which CAR needs. A chat model can rate instead (ratings.py).
"""

import math
from collections.abc import Callable
from functools import partial

import pyarrow as pa

from . import artifacts, chat, heads, ratings, verify
from .errors import BadInput

SHARD = 1024  # rows after which a reward model's scores are written; what a kill loses at most
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

    bounds = shards.bounds(len(rows), SHARD)

    def make(i: int, *copy) -> list[dict]:
        return _shard(rows[slice(*bounds[i])], reward, *copy)

    tables = shards.made(work, len(bounds), make, artifacts.REWARDS, "rewards", lambda: _load(model, reward))
    table = pa.concat_tables([artifacts.REWARDS.empty_table(), *tables])
    reasons = table["reason"].to_pylist()
    if NOT_FINITE in reasons and None not in reasons:
        raise BadInput(
            f"{model['repo']}: all {reasons.count(NOT_FINITE)} rewards are NaN or infinite; try `dtype: float32`, and look "
            "whether the model's files are whole"
        )
    return table


def _load(model: dict, reward: dict) -> list[tuple]:
    """Return copies (models.copies) of tokenizer, reward model, which then knows what it is padded with, and the longest
    text it can read."""
    from . import models

    copies = models.copies(model, reward, kind="causal" if reward["rating"] else "reward")
    for tokenizer, net in copies:
        if reward["rating"]:
            heads.check(net)
            ratings.answers(tokenizer, reward)
            continue
        config = net.config.get_text_config()
        if config.pad_token_id is None:
            # the score is read at the last token that is not padding, and every text ends with the same token
            hello = {"messages": [{"role": "user", "content": "Hello"}], "response": "Hello"}
            config.pad_token_id = int(_ids(tokenizer, hello, reward)[-1] == 0)
    return [(tokenizer, net, min(reward["max_length"], models.context(net))) for tokenizer, net in copies]


def _shard(rows: list[dict], reward: dict, tokenizer, net, limit: float) -> list[dict]:
    """Return the rows of REWARDS of one shard. Its batches are a fixed function of the shard: sorted by length."""
    read = _reader(tokenizer, net, reward)
    ids = [_ids(tokenizer, row, reward) for row in rows]
    scored = [_row(row, None, _unscorable(row, len(text), limit)) for row, text in zip(rows, ids, strict=True)]
    fitting = sorted((k for k, row in enumerate(scored) if row["reason"] is None), key=lambda k: len(ids[k]))
    for start in range(0, len(fitting), reward["batch"]):
        batch = fitting[start : start + reward["batch"]]
        for k, value in zip(batch, read([ids[k] for k in batch]), strict=True):
            scored[k] = _row(rows[k], *_scaled(value, reward["scale"]))
    return scored


def _reader(tokenizer, net, reward: dict) -> Callable[[list[list[int]]], list[float]]:
    """Return what reads one number after each text of a batch."""
    if reward["rating"]:
        return partial(
            ratings.rated, net, dict(zip(ratings.answers(tokenizer, reward), reward["rating"]["numbers"], strict=True))
        )
    return partial(_logits, net)


def _ids(tokenizer, row: dict, reward: dict) -> list[int]:
    if reward["rating"]:
        return ratings.asked(tokenizer, row, reward)
    if reward["read_at"] == "template":
        return chat.conversation(tokenizer, row["messages"], row["response"], reward)
    return chat.example(tokenizer, row["messages"], row["response"], reward).input_ids


def _unscorable(row: dict, tokens: int, limit: float) -> str | None:
    if row["finish_reason"] == "prompt_too_long":
        return "prompt too long"
    return f"too long ({tokens} tokens)" if tokens > limit else None


def _logits(net, batch: list[list[int]]) -> list[float]:
    """Return the model's one output for each text; padding stands on the right, where causal attention never looks."""
    import torch

    width = max(map(len, batch))
    padding = net.config.get_text_config().pad_token_id
    tokens = torch.tensor([ids + [padding] * (width - len(ids)) for ids in batch], device=net.device)
    mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids in batch], device=net.device)
    with torch.inference_mode():
        return net(input_ids=tokens, attention_mask=mask).logits[:, 0].double().tolist()


def _scaled(logit: float, scale: str) -> tuple[float | None, str | None]:
    if not math.isfinite(logit):
        return None, NOT_FINITE
    if scale == "raw":
        return logit, None
    small = math.exp(-abs(logit))  # this form never overflows, and rounds to 0 below -745 only
    return (1 if logit >= 0 else small) / (1 + small), None
