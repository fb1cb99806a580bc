"""Score responses: by rule against the reference answer (a verifier), with a model, or by rewards that were published with them.

There are three kinds of models. A reward model gives a logit (classifier.py, armorm.py), which has no fixed scale: the config's scale
`raw` leaves it as it is, `sigmoid` turns it into a probability above 0, which the metric CAR needs. A chat model rates (ratings.py).
An encoder compares responses with each other (similarity.py).
"""

import math
from collections.abc import Mapping, Sequence, Set
from functools import cache
from pathlib import Path
from typing import NamedTuple, Protocol, TypedDict

import numpy as np
import pyarrow as pa

from ..errors import BadInput
from ..models.chat import Message
from ..store import artifacts, shards
from ..tasks import checkers
from ..tasks.verify import Asked
from . import armorm, classifier, finite, ratings, similarity
from .entry import RewardEntry

SHARD = 1024  # rows after which a model's scores are written: a killed job loses no more (a probe sets its own `shard`)
# reasons by the finish reason of a response that could not be asked for
NO_PROMPT = {"prompt_too_long": "prompt too long", "prompt_refused": "prompt refused by the teacher's template"}
REFUSED = "the chat template refuses the conversation"
NOT_STORED = "no reward stored with the response"
NOT_FINITE = "the reward is NaN or infinite"


class Scorer(Protocol):
    """A loaded model that scores responses: classifier.Classifier, ratings.Rater or similarity.Encoder.

    Each is built from (tokenizer, model, reward's entry) and names, as MODEL_KIND, the kind that loading.load_model loads.
    """

    def tokens(self, messages: list[Message], response: str, finished: bool = True) -> list[int]:
        """Return the ids that the model reads; none where it has nothing to read. finished: False where max_tokens ended it."""
        ...

    def score(self, batch: list[list[int]]) -> Sequence[float | np.ndarray]:
        """Return the score of each text of a batch: a number, or a vector [dimensions] of an encoder."""
        ...


class LimitedScorer(NamedTuple):
    """A scorer with the length up to which it reads texts."""

    scorer: Scorer
    limit: float  # tokens of the longest text that it reads


class Response(TypedDict):
    """A response with its instruction."""

    id: str
    sample: int
    response: str
    finish_reason: str
    messages: list[Message]
    answer: str | None  # the reference answer


def score(
    responses: pa.Table,
    instructions: pa.Table,
    settings: dict,
    work: Path | None,
    loaded: list[LimitedScorer] | None = None,
) -> pa.Table:
    """Return artifacts.REWARDS, one row per response in their order.

    A verifier gives 1 or 0, also to a response that was cut off. What cannot be scored is null with a reason: no reference
    answer, a prompt that was too long to be answered, prompt and response over max_length or the model's context, NaN.

    Args:
        responses: artifacts.RESPONSES.
        instructions: artifacts.INSTRUCTIONS.
        settings: {"reward": the config's entry, "model": its model, unless it is a verifier}.
        work: folder of unfinished shards; a verifier needs none.
        loaded: copies of the model, for several calls with the same settings. The first call that needs them fills an empty list.
    Raises:
        BadInput: when a response has no instruction, or when a model gives no finite number at all.
    """
    rows = join(responses, instructions)
    checker = settings["reward"]["checker"]
    if checker:
        return artifacts.table(_verified(rows, checker), artifacts.REWARDS)
    assert work is not None, "scores by a model need a folder for their shards"
    return _score_by_model(rows, settings["reward"], settings["model"], work, [] if loaded is None else loaded)


def stored(responses: pa.Table, values: Mapping[tuple[str, int], float | None], reward: RewardEntry) -> pa.Table:
    """Return artifacts.REWARDS, one row per response in their order, from rewards that were published with the responses.

    Args:
        responses: artifacts.RESPONSES.
        values: {(id, sample): reward}, None for a response without one.
        reward: the config's entry; its `scale` counts.
    Raises:
        BadInput: no response has a reward, or a reward has no response.
    """
    result = []
    there = set(zip(responses["id"].to_pylist(), responses["sample"].to_pylist(), strict=True))
    if alone := sorted(key for key, value in values.items() if value is not None and key not in there):
        raise BadInput(
            f"column '{reward['column']}': {len(alone)} rewards belong to no response, such as number {alone[0][1] + 1} of "
            f"{alone[0][0]}; it has to hold one for each response"
        )
    for row in responses.select(["id", "sample"]).to_pylist():
        value = values.get((row["id"], row["sample"]))
        scored = (None, NOT_STORED) if value is None else _scaled(value, reward["scale"])
        result.append({**row, "reward": scored[0], "reason": scored[1]})
    known = sum(row["reward"] is not None for row in result)
    print(f"{known} of {len(result)} responses have a stored reward")
    if not known:
        raise BadInput(
            f"column '{reward['column']}': holds no reward of these {len(result)} responses; name another one"
        )
    return artifacts.table(result, artifacts.REWARDS)


def join(responses: pa.Table, instructions: pa.Table) -> list[Response]:
    """Return the responses with messages and reference answer of their instructions. Raises BadInput as `score` does."""
    items = {row["id"]: row for row in instructions.select(["id", "messages", "answer"]).to_pylist()}
    rows = responses.select(["id", "sample", "response", "finish_reason"]).to_pylist()
    unknown = [row["id"] for row in rows if row["id"] not in items]
    if unknown:
        raise BadInput(
            f"{len(unknown)} of {len(rows)} responses answer instructions that are not in the set, such as {unknown[0]}; "
            "take the set they were made from, or generate them again"
        )
    return [items[row["id"]] | row for row in rows]


def scorer_class(
    reward: RewardEntry,
) -> type[classifier.Classifier] | type[ratings.Rater] | type[similarity.Encoder]:
    """Return the class of the scorer of a reward that needs a model."""
    if reward["similarity"]:
        return similarity.Encoder
    if reward["rating"]:
        return ratings.Rater
    if reward["head"]:
        return armorm.ArmoRM
    return classifier.Classifier if reward["output"] is None else classifier.Outputs


def score_rows(
    rows: list[Response], reward: RewardEntry, scorer: Scorer, limit: float, refused: Set[str] = frozenset()
) -> list[dict]:
    """Return rows of artifacts.REWARDS (of similarity.VECTORS for an encoder).

    Batches are sorted by length, and the same rows always make the same batches. refused: ids of instructions to leave out.
    """
    ids = [
        []
        if row["id"] in refused
        else scorer.tokens(row["messages"], row["response"], row["finish_reason"] not in artifacts.CUT_OFF)
        for row in rows
    ]
    result = [
        _row(row, None, REFUSED if row["id"] in refused else _unscorable(row, len(text), limit))
        for row, text in zip(rows, ids, strict=True)
    ]
    fitting = sorted((i for i, row in enumerate(result) if row["reason"] is None), key=lambda i: len(ids[i]))
    for start in range(0, len(fitting), reward["batch"]):
        batch = fitting[start : start + reward["batch"]]
        for i, value in zip(batch, scorer.score([ids[i] for i in batch]), strict=True):
            result[i] = _row(rows[i], *_scaled(value, reward["scale"]))
    return result


def _verified(rows: list[Response], checker: dict) -> list[dict]:
    """Return rows of artifacts.REWARDS by rule."""
    answered = [row for row in rows if row["finish_reason"] not in NO_PROMPT]
    asked = [Asked(row["id"], row["response"], row["answer"]) for row in answered]
    results = iter(checkers.check(asked, checker))
    rewards = []
    for row in rows:
        if reason := NO_PROMPT.get(row["finish_reason"]):
            rewards.append(_row(row, None, reason))
        else:
            result = next(results)
            rewards.append(_row(row, result.score, result.reason))
    return rewards


def _score_by_model(
    rows: list[Response], reward: RewardEntry, model: dict, work: Path, loaded: list[LimitedScorer]
) -> pa.Table:
    scorer_of = scorer_class(reward)
    bounds = shards.bounds(len(rows), reward.get("shard", SHARD))

    @cache
    def refused() -> set[str]:
        from ..models import chat, checks, loading

        if not issubclass(scorer_of, classifier.Classifier):
            return set()  # their prompts are one user turn
        words = loading.load_tokenizer(model, reward)
        check_turns = checks.check_turns(words, reward)

        def read(messages: list[Message]) -> None:
            check_turns(messages)
            chat.conversation(words, messages, "Yes", reward)

        asked = ((row["id"], row["messages"]) for row in rows)
        return checks.check_prompts(asked, read, reward, model["repo"])

    def load() -> list[LimitedScorer]:
        from ..models import loading

        refused()  # before the model is loaded
        if not loaded:
            loaded[:] = [
                LimitedScorer(
                    scorer_of(tokenizer, network, reward), min(reward["max_length"], loading.context(network))
                )
                for tokenizer, network in loading.load_copies(model, reward, kind=scorer_of.MODEL_KIND)
            ]
        return loaded

    def make(i: int, scorer: Scorer, limit: float) -> list[dict]:
        return score_rows(rows[slice(*bounds[i])], reward, scorer, limit, refused())

    is_similarity = scorer_of is similarity.Encoder
    schema = similarity.VECTORS if is_similarity else artifacts.REWARDS
    tables = shards.ensure(work, len(bounds), make, schema, "rewards", load)
    if is_similarity:
        table = similarity.MEASURES[reward["similarity"]["measure"]](tables)
    else:
        table = pa.concat_tables([schema.empty_table(), *tables])
    reasons = table["reason"].to_pylist()
    finite.check(model["repo"], "rewards", reasons.count(NOT_FINITE), reasons.count(None))
    return table


def _row(row: Response, reward: float | np.ndarray | None, reason: str | None) -> dict:
    return {"id": row["id"], "sample": row["sample"], "reward": reward, "reason": reason}


def _unscorable(row: Response, tokens: int, limit: float) -> str | None:
    """Return why a response of so many tokens cannot be scored, or None."""
    if reason := NO_PROMPT.get(row["finish_reason"]):
        return reason
    if not tokens:
        return "no text"
    return f"too long ({tokens} tokens)" if tokens > limit else None


def _scaled(value: float | np.ndarray, scale: str) -> tuple[float | np.ndarray | None, str | None]:
    """Return a score on the config's scale (a softmax is taken already), and the reason where there is none."""
    if not np.isfinite(value).all():
        return None, NOT_FINITE
    if scale in ("raw", "softmax") or isinstance(value, np.ndarray):
        return value, None
    small = math.exp(-abs(value))  # this form never overflows, and rounds to 0 below -745 only
    return (1 if value >= 0 else small) / (1 + small), None
