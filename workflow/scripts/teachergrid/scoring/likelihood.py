"""Log-probabilities of responses under one model: log p(A given Q), log p(A) and log p(Q), with Q the question and A the
answer. Metrics such as CAR, perplexity and IFD are computed from them later.

For each response two sequences are scored, with the same answer tokens: [prompt, answer, end] and [header, answer, end].
The ids are those of training (chat.answer).
The header is what comes before an answer that has no prompt (chat.header). Both begin with BOS if prompts do.

Source: Li et al. 2024 (IFD, arXiv:2308.12032, section 2) and its reference code, tianyi-lab/Cherry_LLM. Two points differ:
the answer's tokens are selected by their positions and not by matching text, and a long answer is cut alike in both
sequences.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from ..models import logits
from ..spec.settings import LikelihoodSettings
from ..store import artifacts, inputs, shards
from . import finite, logprobs
from .given import Responses, Row

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from ..models.chat import Message
    from ..spec.settings import ChatSettings

FORMATS = ("chat", "plain")
# the columns of both tables, which one pass makes
BOTH = pa.schema(list(dict.fromkeys([*artifacts.LIKELIHOODS, *artifacts.DISTRIBUTIONS])))


class Pair(NamedTuple):
    """The two sequences of one response."""

    with_prompt: list[int]  # prompt, answer, end
    without_prompt: list[int]  # header, answer, end
    # positions of the question's tokens in `with_prompt`; never 0, since that token has no log-probability
    question: list[int]
    n_answer: int
    n_end: int
    truncated: bool


def score(
    responses: pa.Table,
    instructions: pa.Table,
    settings: LikelihoodSettings,
    work: Path,
    weights: Path | None = None,
) -> dict[str, Iterator[pa.Table]]:
    """Return for each text format one row of artifacts.LIKELIHOODS per response, in their order, as one table per shard.

    With the option `distributions` there is also {inputs.DISTRIBUTIONS + format: rows of artifacts.DISTRIBUTIONS} of the same pass.

    Sums are in nats over the counted tokens. n_question does not count the first token of a sequence, which has no log-probability. If a text is
    longer than max_length or the model's context, the answer is cut alike in both sequences, its end token is not scored
    (n_end 0), and the row is marked as truncated. An answer that max_tokens ended (finish reason `length`) has no end token
    either (n_end 0, with a reason). What the template writes before an answer, such as a header, counts as part of the prompt.
    Values are null, with a reason, for an empty answer; a question that leaves no room for an answer; a question that the
    template alters; log-probabilities that are not finite; a format that is not among the settings' formats; an instruction
    outside the subset.

    All scores exist when this returns; the tables are read one by one. One model load serves all formats; with several GPUs
    there is one on each (loading.load_copies).

    Args:
        responses: artifacts.RESPONSES.
        instructions: artifacts.INSTRUCTIONS.
        settings: {"scorer": entry with the chat settings, "model": its model, "likelihood": the config's options}.
        work: folder of unfinished shards.
        weights: folder of a student's weights and tokenizer; then `model` is its base.
    Raises:
        BadInput: when a response has no instruction, and as models.chat and models.loading do. A table raises it at its end where
            no row is finite.
    """
    scorer, options = settings["scorer"], settings["likelihood"]
    rows = Responses(responses, instructions, options)

    @cache
    def refused(format: str) -> set[str]:
        from ..models import checks, loading

        words = loading.load_tokenizer(settings["model"], scorer, weights)
        return checks.check_prompts(
            rows.prompts(), checks.reader(words, scorer, format), scorer, settings["model"]["repo"]
        )

    @cache
    def load() -> "list[tuple[PreTrainedTokenizerFast, PreTrainedModel]]":
        from ..models import chat, loading

        # before the model is loaded
        for format in options["formats"]:
            refused(format)
        copies = loading.load_copies(settings["model"], scorer, folder=weights)
        for _, model in copies:
            logits.check(model)
        for format in options["formats"]:
            chat.report(copies[0][0], scorer, format)
        return copies

    schema = BOTH if options.get("distributions") else artifacts.LIKELIHOODS

    def tables(format: str) -> Iterable[pa.Table]:
        if format not in options["formats"]:
            return [_other_format(rows.keys(i), schema) for i in range(len(rows))]

        def make(i: int, tokenizer: "PreTrainedTokenizerFast", model: "PreTrainedModel") -> list[dict]:
            without = refused(format)
            values = iter(score_rows(tokenizer, model, rows.texts(i, without), scorer, format, options))
            nothing = {id: _undefined("the chat template refuses the prompt") for id in without}
            return [
                key
                | (
                    nothing.get(key["id"]) or next(values)
                    if key["id"] in rows.subset
                    else _undefined("not in the subset")
                )
                for key in rows.keys(i)
            ]

        return shards.ensure(Path(work, format), len(rows), make, schema, f"likelihoods, {format}", load)

    return _by_table({format: tables(format) for format in FORMATS}, schema, settings["model"]["repo"])


def score_rows(
    tokenizer: "PreTrainedTokenizerFast",
    model: "PreTrainedModel",
    rows: "Sequence[Row | tuple[list[Message], str]]",
    chat_settings: "ChatSettings",
    format: str,
    options: dict,
) -> list[dict]:
    """Return the values of artifacts.LIKELIHOODS (with `distributions`, of BOTH), without id and sample, for responses with questions.

    The same rows always make the same batches.
    """
    from ..models import loading

    limit = int(min(options["max_length"], loading.context(model)))
    pairs = tokenized_pairs(tokenizer, rows, chat_settings, format, limit)
    sequences, positions = [], []
    for pair in pairs:
        if pair is not None:
            for ids, question in ((pair.with_prompt, pair.question), (pair.without_prompt, [])):
                sequences.append(ids)
                positions.append(question + list(range(len(ids) - pair.n_answer - pair.n_end, len(ids))))
    asked = options.get("distributions", False), options.get("top", False)
    scores = iter(logprobs.score(model, sequences, positions, options["batch_tokens"], *asked))
    return [
        _undefined("question too long") if pair is None else _values(pair, next(scores), next(scores), options)
        for pair in pairs
    ]


def tokenized_pairs(
    tokenizer: "PreTrainedTokenizerFast",
    rows: "Sequence[Row | tuple[list[Message], str]]",
    chat_settings: "ChatSettings",
    format: str,
    limit: int,
) -> list[Pair | None]:
    """Return both sequences of each response; None where there is no room for a token of the answer.

    limit: tokens of a sequence, at most.
    """
    from ..models import chat

    bare_header = chat.header(tokenizer, chat_settings, format)
    pairs: list[Pair | None] = []
    for messages, text, finished in (Row(*row) for row in rows):
        prompt, (lead, answer, last) = chat.answer(tokenizer, messages, text, chat_settings, format, finished)
        header = bare_header + lead
        before = (prompt.ids or bare_header) + lead
        room = limit - max(len(before), len(header))
        truncated = len(answer) + len(last) > room
        if truncated:
            answer, last = answer[: max(room, 0)], []
        # an answer that max_tokens cut off before its first token leaves nothing to score
        if not answer + last and (truncated or finished):
            pairs.append(None)
            continue
        question = [position for position, holds in enumerate(prompt.question) if holds and position > 0]
        pairs.append(Pair(before + answer + last, header + answer + last, question, len(answer), len(last), truncated))
    return pairs


def _values(pair: Pair, with_prompt: logprobs.Scores, without_prompt: logprobs.Scores, options: dict) -> dict:
    """Return the columns of artifacts.LIKELIHOODS (with `distributions`, of BOTH) without the key. A sum over no tokens is null.

    with_prompt: scores of the question's tokens, then of answer and end. without_prompt: of answer and end.
    """
    values, bare = with_prompt.logprobs, without_prompt.logprobs
    q, a = len(pair.question), pair.n_answer
    if not all(map(math.isfinite, values + bare)):
        return _undefined(finite.LOG_PROBABILITIES, pair.truncated)
    reasons = {
        "empty answer": a == 0,
        "question not found in the prompt": q == 0,
        "answer cut, no end token": pair.truncated,
        "answer ended by max_tokens, no end token": not pair.truncated and not pair.n_end,
    }
    tokens = options["tokens"]
    return {
        "n_question": q,
        "n_answer": a,
        "n_end": pair.n_end,
        "question": _sum(values[:q]),
        "answer_given_question": _sum(values[q : q + a]),
        "end_given_question": _sum(values[q + a :]),
        "answer": _sum(bare[:a]),
        "end": _sum(bare[a:]),
        "truncated": pair.truncated,
        "token_logprobs": values[q:] if tokens else None,
        "token_ranks": [min(rank, options["rank_cap"]) for rank in with_prompt.ranks[q:]] if tokens else None,
        "reason": "; ".join(reason for reason, holds in reasons.items() if holds) or None,
        **(_distributions(with_prompt, q, a, tokens) if options.get("distributions") else {}),
    }


def _distributions(scores: logprobs.Scores, q: int, a: int, tokens: bool) -> dict:
    """Return the columns that artifacts.DISTRIBUTIONS has of its own.

    scores: of q tokens of the question, then a of the answer, then of the end. tokens: with the lists.
    """
    columns = {
        "probability": [math.exp(value) for value in scores.logprobs],
        "squares": scores.squares,
        "entropy": scores.entropies,
    }
    if scores.tops:
        columns |= {"top": scores.tops, "sure": [float(value > logprobs.SURE) for value in scores.tops]}
    sums = {name: _sum(values[q : q + a]) for name, values in columns.items()}
    ends = {f"end_{name}": _sum(values[q + a :]) for name, values in columns.items()}
    lists = {"token_squares": scores.squares[q:], "token_entropies": scores.entropies[q:]}
    return sums | ends | (lists if tokens else {})


def _sum(values: list[float]) -> float | None:
    return math.fsum(values) if values else None


def _undefined(reason: str, truncated: bool = False) -> dict:
    return {"truncated": truncated, "reason": reason}


def _other_format(keys: list[dict], schema: pa.Schema) -> pa.Table:
    """Return the rows of a format that the settings do not ask for."""
    return artifacts.table([key | _undefined("format not asked for") for key in keys], schema)


def _by_table(made: Mapping[str, Iterable[pa.Table]], schema: pa.Schema, repo: str) -> dict[str, Iterator[pa.Table]]:
    """Return what `score` does. made: {format: tables of the schema}."""
    result: dict[str, Iterator[pa.Table]] = {}
    for format, tables in made.items():
        likelihoods = _columns(tables, artifacts.LIKELIHOODS)
        result[format] = finite.checked(likelihoods, repo, f"likelihoods, {format}")
        if schema is BOTH:
            result[inputs.DISTRIBUTIONS + format] = _columns(tables, artifacts.DISTRIBUTIONS)
    return result


def _columns(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield those columns of tables that a schema has."""
    return (table.select(schema.names) for table in tables)
