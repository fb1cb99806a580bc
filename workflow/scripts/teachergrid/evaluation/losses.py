"""Score a model by its held-out loss: how likely it finds the reference answers of a suite, given the questions alone."""

import math
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from ..scoring import likelihood
from ..spec.settings import LikelihoodSettings
from ..store import artifacts
from ..tasks.verify import Verdict
from . import judge, measures

CUT = "reference answer cut"


def score(
    items: dict[str, pa.Table], settings: LikelihoodSettings | None, work: Path, weights: Path | None = None
) -> pa.Table:
    """Return artifacts.SCORES of a model: how likely it finds the reference answers of items, given the questions alone.

    The score is the geometric mean of the probabilities of an answer's tokens and end, 0 to 1: the exponential of minus their mean
    loss. The mean of the measure `log_probability` over a task is that of all its tokens, in nats: minus the held-out loss. Of an answer
    longer than likelihood.max_length the beginning counts, without an end; its verdict is CUT.

    Args:
        items: {task: its prompts (artifacts.INSTRUCTIONS)}.
        settings: as of likelihoods, with one format; None for published answers, which have no model: all scores are null.
        work: folder of unfinished shards.
        weights: folder of a student's weights and tokenizer.
    Raises:
        BadInput: as likelihood.score does.
    """
    rows = [(task, row) for task, prompts in items.items() for row in prompts.to_pylist()]
    told = [(task, row) for task, row in rows if row["answer"] and settings]
    found = iter(_likelihoods(told, judge.prompts_of(items), settings, work, weights) if settings and told else ())
    nothing = {"reason": "no reference answer" if settings else "published answers have no model"}
    scores, parts = [], []
    for task, row in rows:
        values = next(found) if row["answer"] and settings else nothing
        known = values.get("answer_given_question") is not None
        total, tokens = _summed(values) if known else (0.0, 0)
        parts.append({"log_probability": (total, float(tokens))} if known else {})
        cut = CUT if known and values["truncated"] else None
        verdict = Verdict(math.exp(total / tokens) if known else None, cut, None if known else values["reason"])
        answer: judge.Answer = {
            "task": task,
            "id": row["id"],
            "sample": 0,
            "category": row["category"],
            "answer": "",
            "finish_reason": "",
        }
        scores.append(judge.score_row(answer, verdict))
    for task in items:
        places = [i for i, score in enumerate(scores) if score["task"] == task]
        of_task = [scores[i] for i in places]
        if cut_rows := sum(score["verdict"] == CUT for score in of_task):
            print(
                f"{task}: {cut_rows} of {len(of_task)} reference answers are longer than likelihood.max_length and cut",
                flush=True,
            )
        measures.add(of_task, [parts[i] for i in places])
    return artifacts.table(scores, artifacts.SCORES)


def _likelihoods(
    told: list[tuple[str, dict]], prompts: pa.Table, settings: LikelihoodSettings, work: Path, weights: Path | None
) -> Iterator[dict]:
    """Yield the columns of artifacts.LIKELIHOODS of the reference answers of items. told: (task, item) of those that have one."""
    answers = pa.table(
        {
            "id": pa.array((judge.item(task, row["id"]) for task, row in told), pa.string()),
            "sample": pa.array([0] * len(told), pa.int32()),
            "response": pa.array((row["answer"] for _, row in told), pa.string()),
            "finish_reason": pa.array(["stop"] * len(told), pa.string()),
        }
    )
    [format] = settings["likelihood"]["formats"]
    for table in likelihood.score(answers, prompts, settings, work, weights)[format]:
        yield from table.to_pylist()


def _summed(values: dict) -> tuple[float, int]:
    """Return the log-probability of an answer with its end, in nats, and the number of tokens."""
    return values["answer_given_question"] + (values["end_given_question"] or 0.0), values["n_answer"] + values["n_end"]
