"""Log-probabilities of responses under one model: log p(A given Q), log p(A) and log p(Q), from which CAR, PPL, IFD and their
kin are computed later.

Two sequences per response hold the same answer tokens: [prompt, answer, end] and [header, answer, end], where the header is
what stands before an answer to nothing (chat.header). Both carry BOS where prompts do. After Li et al. 2024 (IFD,
arXiv:2308.12032), with the mask by token and not by text, and answers cut alike in both.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from . import artifacts, heads, shards
from .errors import BadInput

FORMATS = ("chat", "plain")
PADDING = 0.04  # of a batch's tokens at most, so that a small shard wastes no more than a large one
LOGITS = 2**26  # made at once (256 MB in float32), so that a vocabulary of 256K needs no matrix of all positions
# of these normalised at once: on a CPU as many as its cache holds
NORMALISED = {"cuda": 2**24, "cpu": 2**18}


class Pair(NamedTuple):
    """One response as the model sees it."""

    given: list[int]  # prompt, answer, end
    bare: list[int]  # header, answer, end
    question: list[int]  # places of the question's tokens in `given` (none at 0, before which nothing stands)
    n_answer: int
    n_end: int
    truncated: bool


def score(responses: pa.Table, instructions: pa.Table, settings: dict, work: Path) -> dict[str, Iterator[pa.Table]]:
    """Return per text format a row of artifacts.LIKELIHOODS for each response in their order, as one table a shard.

    settings: {"scorer": entry with the talk keys, "model": its model, "likelihood": the config's}. work: folder of unfinished
    shards. One model load serves all, or one for each GPU (models.copies). All is scored when this returns; the tables are
    read one by one. Sums are in nats over the counted tokens. n_question leaves out a token that nothing stands before.
    Over max_length, or the model's context, the answer is cut alike in both sequences, its end token is not scored (n_end 0),
    and the row is marked truncated. Null with a reason: an empty answer; a question that leaves no room for an answer; a
    question that the template alters; log-probabilities that are not finite; a format that was not asked for; an
    instruction outside the subset.
    Raises BadInput when a response has no instruction, and as chat and models do.
    """
    place = {key: i for i, key in enumerate(instructions["id"].to_pylist())}
    ids, scorer, options = responses["id"].to_pylist(), settings["scorer"], settings["likelihood"]
    strangers = [key for key in ids if key not in place]
    if strangers:
        raise BadInput(
            f"{len(strangers)} of {len(ids)} responses answer no instruction of this set, such as {strangers[0]}; take the "
            "instructions they were made from"
        )
    drawn = subset(place, options["subset"])
    parts = _parts([i for i, key in enumerate(ids) if key in drawn], len(ids), options["shard"])
    keys = responses.select(["id", "sample"])

    @cache
    def load() -> list[tuple]:
        from . import models

        copies = models.copies(settings["model"], scorer)
        for _, model in copies:
            heads.check(model)
        return copies

    def scored(format: str) -> Iterator[pa.Table]:
        def make(i: int, tokenizer, model) -> list[dict]:
            rows = keys.slice(*parts[i]).to_pylist()
            asked = [row["id"] in drawn for row in rows]
            texts = responses["response"].slice(*parts[i]).filter(pa.array(asked)).to_pylist()
            messages = (
                instructions["messages"].take([place[row["id"]] for row in rows if row["id"] in drawn]).to_pylist()
            )
            pairs = list(zip(messages, texts, strict=True))
            values = iter(score_rows(tokenizer, model, pairs, scorer, format, options))
            return [
                row | (next(values) if one else _nothing("not in the subset"))
                for row, one in zip(rows, asked, strict=True)
            ]

        what = f"likelihoods, {format}"
        return iter(shards.ensure(Path(work, format), len(parts), make, artifacts.LIKELIHOODS, what, load))

    return {
        format: scored(format) if format in options["formats"] else (_not_asked(keys.slice(*part)) for part in parts)
        for format in FORMATS
    }


def subset(ids: Iterable[str], size: int | None) -> set[str]:
    """Return the ids that are scored: the `size` with the smallest sha256, so that all teachers' answers to them are, by
    every scorer, and a larger subset holds a smaller one; None: all."""
    return set(ids if size is None else sorted(ids, key=lambda key: hashlib.sha256(key.encode()).digest())[:size])


def _parts(chosen: list[int], rows: int, size: int) -> list[tuple[int, int]]:
    """Return (first row, number of rows) of each shard: all rows in turn, with `size` chosen ones in each but the last."""
    cuts = [0, *chosen[size::size], rows]
    return [(first, last - first) for first, last in pairwise(cuts)] if rows else []


def score_rows(
    tokenizer, model, rows: list[tuple[list[dict], str]], talk: dict, format: str, options: dict
) -> list[dict]:
    """Return the values of LIKELIHOODS for (messages, response) rows. Batches are a fixed function of the rows given."""
    from . import models

    limit = min(options["max_length"], models.context(model))
    pairs = pairs_of(tokenizer, rows, talk, format, limit)
    fitting = [pair for pair in pairs if pair is not None]
    sequences, places = [], []
    for pair in fitting:
        for ids, question in ((pair.given, pair.question), (pair.bare, [])):
            sequences.append(ids)
            places.append(question + list(range(len(ids) - pair.n_answer - pair.n_end, len(ids))))
    found = iter(token_logprobs(model, sequences, places, options["batch_tokens"]))
    return [
        _nothing("question too long") if pair is None else _values(pair, next(found), next(found), options)
        for pair in pairs
    ]


def pairs_of(tokenizer, rows, talk: dict, format: str, limit: float) -> list[Pair | None]:
    """Return both sequences of each response, at most `limit` tokens each; None where no token of an answer would fit."""
    from . import chat

    header, end = chat.header(tokenizer, talk, format), chat.end(tokenizer, talk, format)
    pairs = []
    for messages, text in rows:
        prompt = chat.prompt(tokenizer, messages, talk, format)
        answer, last = chat.response(tokenizer, text), end
        room = limit - max(len(prompt.ids), len(header))
        truncated = len(answer) + len(last) > room
        if truncated:
            answer, last = answer[: max(room, 0)], []
        question = [place for place, asked in enumerate(prompt.question) if asked and place > 0]
        said, before = answer + last, prompt.ids or header
        pairs.append(Pair(before + said, header + said, question, len(answer), len(last), truncated) if said else None)
    return pairs


def token_logprobs(model, sequences: list[list[int]], places: list[list[int]], batch_tokens: int) -> list[tuple]:
    """Return per sequence (log-probabilities, ranks) of the tokens at its places (> 0), each given all before it.

    Padding stands on the right and there is no cache, so that causal attention needs no mask. Logits are made at these
    places alone, in chunks, and normalised in float32. A rank is 1 + the number of tokens with a larger logit.
    """
    import torch

    found = [None] * len(sequences)
    with torch.inference_mode():
        for rows in _batches([len(ids) for ids in sequences], batch_tokens):
            width = len(sequences[rows[0]])
            ids = torch.tensor([sequences[i] + [0] * (width - len(sequences[i])) for i in rows], device=model.device)
            hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
            line = torch.tensor([number for number, i in enumerate(rows) for _ in places[i]], device=hidden.device)
            place = torch.tensor([place for i in rows for place in places[i]], device=hidden.device)
            values, ranks = _scored(model, hidden[line, place - 1], ids.to(hidden.device)[line, place])
            counts = [len(places[i]) for i in rows]
            for i, value, rank in zip(rows, values.split(counts), ranks.split(counts), strict=True):
                found[i] = value.tolist(), rank.tolist()
    return found


def _batches(lengths: list[int], batch_tokens: int):
    """Yield row numbers, longest first: as many as fit into batch_tokens when padded, with PADDING at most; at least one."""
    batch, real = [], 0
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        padded = lengths[batch[0]] * (len(batch) + 1) if batch else 0
        if padded > min(batch_tokens, (real + lengths[i]) / (1 - PADDING)):
            yield batch
            batch, real = [], 0
        batch.append(i)
        real += lengths[i]
    if batch:
        yield batch


def _scored(model, hidden, targets):
    """Return log-probabilities (float32) and ranks of target tokens [n] after hidden states [n, width]."""
    import torch

    head = model.get_output_embeddings()
    words = head.weight.shape[0]
    chunks, few = (
        math.ceil(len(hidden) * words / LOGITS),
        max(1, NORMALISED["cuda" if hidden.is_cuda else "cpu"] // words),
    )
    values, ranks = [], []
    for states, wanted in zip(hidden.tensor_split(chunks), targets[:, None].tensor_split(chunks), strict=True):
        for raw, target in zip(head(states).split(few), wanted.split(few), strict=True):
            logits = heads.finished(model, raw)
            values.append(logits.log_softmax(1).gather(1, target)[:, 0])
            ranks.append(1 + (logits > logits.gather(1, target)).sum(1))
    return torch.cat(values).cpu(), torch.cat(ranks).cpu()


def _values(pair: Pair, given: tuple, bare: tuple, options: dict) -> dict:
    """Return the columns of LIKELIHOODS beside the key. A sum over no tokens is null."""
    (values, ranks), q, a = given, len(pair.question), pair.n_answer
    if not all(map(math.isfinite, values + bare[0])):
        return _nothing("log-probabilities are not finite", pair.truncated)
    reasons = {
        "empty answer": a == 0,
        "question not found in the prompt": q == 0,
        "answer cut, no end token": pair.truncated,
    }
    tokens = options["tokens"]
    return {
        "n_question": q,
        "n_answer": a,
        "n_end": pair.n_end,
        "question": _sum(values[:q]),
        "answer_given_question": _sum(values[q : q + a]),
        "end_given_question": _sum(values[q + a :]),
        "answer": _sum(bare[0][:a]),
        "end": _sum(bare[0][a:]),
        "truncated": pair.truncated,
        "token_logprobs": values[q:] if tokens else None,
        "token_ranks": [min(rank, options["rank_cap"]) for rank in ranks[q:]] if tokens else None,
        "reason": "; ".join(reason for reason, holds in reasons.items() if holds) or None,
    }


def _sum(values: list[float]) -> float | None:
    return math.fsum(values) if values else None


def _nothing(reason: str, truncated: bool = False) -> dict:
    return {"truncated": truncated, "reason": reason}


def _not_asked(keys: pa.Table) -> pa.Table:
    empty = [row | _nothing("format not asked for") for row in keys.to_pylist()]
    return artifacts.table(empty, artifacts.LIKELIHOODS)
