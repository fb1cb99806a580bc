"""Score answers to benchmark items: against the reference answer (the judge `verify`), or against a fixed opponent's answers. Or score
a model by how likely it finds the reference answers (`losses`).

The pairwise judge is a reward: the answer with the higher reward wins. A reward reads one answer at a time, so the order of
the two answers has no effect.
"""

import math
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypedDict

import pyarrow as pa

from ..errors import BadInput
from ..scoring import finite, likelihood, reward
from ..spec.settings import LikelihoodSettings
from ..store import artifacts
from ..tasks import checkers
from ..tasks.checkers import Asked, Checked
from ..tasks.verify import Verdict
from . import measures

_PROMPT_TOO_LONG = Verdict(None, None, "prompt too long")
CUT = "reference answer cut"


class Answer(TypedDict):
    """One row of artifacts.ANSWERS, as far as a judge reads it."""

    task: str
    id: str
    sample: int
    category: str | None
    answer: str
    finish_reason: str


def verify_answers(answers: pa.Table, items: dict[str, pa.Table], tasks: dict[str, dict]) -> pa.Table:
    """Return artifacts.SCORES of the answers to tasks with a checker, 1 right and 0 wrong; other tasks give no rows.

    Args:
        answers: artifacts.ANSWERS.
        items: {task: its prompts (artifacts.INSTRUCTIONS)}.
        tasks: {task: {"checker": the config's, or None}}.
    Raises:
        BadInput: when an answer's item is not among the prompts, and as the checkers do.
    """
    references = {row["id"]: row["answer"] for row in _prompts(items).to_pylist()}
    by_task: dict[str, list[Answer]] = {}
    for row in answers.to_pylist():
        if tasks[row["task"]]["checker"]:
            by_task.setdefault(row["task"], []).append(row)
    scores: list[dict] = []
    for task, rows in by_task.items():
        scores += _checked(rows, [_reference(references, row) for row in rows], tasks[task]["checker"])
    return artifacts.table(scores, artifacts.SCORES)


def _checked(rows: list[Answer], references: list[str | None], checker: dict) -> list[dict]:
    """Return rows of artifacts.SCORES of answers to one task."""
    asked = {i: Asked(row["id"], row["answer"], references[i]) for i, row in enumerate(rows) if not _too_long(row)}
    found = dict(zip(asked, checkers.check([*asked.values()], checker), strict=True))
    results = [found.get(i) or Checked(*_PROMPT_TOO_LONG) for i in range(len(rows))]
    scores = [_score(row, Verdict(*result[:3])) for row, result in zip(rows, results, strict=True)]
    measures.add(scores, [result.measures for result in results], checker.get("pass_at", []))
    return scores


def compare(
    answers: pa.Table,
    baseline: pa.Table,
    items: dict[str, pa.Table],
    settings: dict,
    work: Path | None,
    kept: Path | None = None,
) -> pa.Table:
    """Return artifacts.SCORES of the answers against the baseline's answers to the same items: 1 won, 0.5 tie, 0 lost.

    Equal texts are a tie and an empty answer loses, whatever the rewards are. If the baseline has no answer, or a reward is
    undefined, the score is null with a reason. The columns `first` and `second` both hold the score.

    Args:
        answers, baseline: artifacts.ANSWERS.
        items: {task: its prompts (artifacts.INSTRUCTIONS)}.
        settings: {"judge": {"tie": difference of rewards up to which they are a tie}, "reward": the config's entry,
            "model": its model, unless the reward is a verifier}.
        work: folder of unfinished shards.
        kept: file with the rewards of all answers of the baseline; written where it is not there. None: they are not kept. Its name
            must contain a digest of all that decides them (store.unfinished.of_opponent).
    Raises:
        BadInput: when an answer's item is not among the prompts, and as reward.score does.
    """
    opponents = {_key(row): row for row in baseline.to_pylist()}
    rows = answers.to_pylist()
    verdicts: dict[int, Verdict] = {}  # by the row's number
    undecided: dict[int, tuple[Answer, Answer]] = {}
    for number, row in enumerate(rows):
        opponent = opponents.get(_key(row))
        if opponent is None:
            verdicts[number] = Verdict(None, None, "the baseline has no answer")
        elif result := _verdict_without_reward(row, opponent):
            verdicts[number] = result
        else:
            undecided[number] = (row, opponent)
    if undecided:
        scorer = _Scorer(_prompts(items), settings, work)
        rewards = scorer.of_opponent([*opponents.values()], kept)
        pairs = zip(scorer.of([answer for answer, _ in undecided.values()], "answers"), undecided.values(), strict=True)
        sides = [(own, rewards[_key(opponent)]) for own, (_, opponent) in pairs]
        verdicts |= zip(undecided, _verdicts_by_reward(sides, settings), strict=True)
    scores = [
        {**_score(row, verdicts[number]), "first": verdicts[number].score, "second": verdicts[number].score}
        for number, row in enumerate(rows)
    ]
    return artifacts.table(scores, artifacts.SCORES)


def losses(
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
    found = iter(_likelihoods(told, _prompts(items), settings, work, weights) if settings and told else ())
    nothing = {"reason": "no reference answer" if settings else "published answers have no model"}
    scores, parts = [], []
    for task, row in rows:
        values = next(found) if row["answer"] and settings else nothing
        known = values.get("answer_given_question") is not None
        total, tokens = _summed(values) if known else (0.0, 0)
        parts.append({"log_probability": (total, float(tokens))} if known else {})
        cut = CUT if known and values["truncated"] else None
        verdict = Verdict(math.exp(total / tokens) if known else None, cut, None if known else values["reason"])
        scores.append(_score(row | {"task": task, "sample": 0}, verdict))
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
            "id": pa.array((_item(task, row["id"]) for task, row in told), pa.string()),
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


def _key(row: Answer) -> tuple[str, str, int]:
    return row["task"], row["id"], row["sample"]


def _verdict_without_reward(answer: Answer, opponent: Answer) -> Verdict | None:
    """Return the verdict (identical, baseline empty, empty) if it depends on no reward, else None."""
    if _too_long(answer) or _too_long(opponent):
        return _PROMPT_TOO_LONG
    text, other = answer["answer"].strip(), opponent["answer"].strip()
    if text == other:
        return Verdict(0.5, "identical", None)
    if not other:
        return Verdict(1.0, "baseline empty", None)
    if not text:
        return Verdict(0.0, "empty", None)
    return None


class _Scorer:
    """Gives rewards to answers, with one load of the model. Arguments: as of reward.score."""

    def __init__(self, prompts: pa.Table, settings: dict, work: Path | None) -> None:
        self.prompts, self.settings, self.work = prompts, settings, work
        self.loaded: list[reward.LimitedScorer] = []

    def of(self, rows: list[Answer], side: str) -> list[dict]:
        """Return rows of artifacts.REWARDS in the order of the answers. side: a name for their shards."""
        responses = pa.table(
            {
                "id": pa.array((_item(row["task"], row["id"]) for row in rows), pa.string()),
                "sample": pa.array((row["sample"] for row in rows), pa.int32()),
                "response": pa.array((row["answer"] for row in rows), pa.string()),
                "finish_reason": pa.array((row["finish_reason"] for row in rows), pa.string()),
            }
        )
        folder = self.work and self.work / side
        return reward.score(responses, self.prompts, self.settings, folder, self.loaded).to_pylist()

    def of_opponent(self, rows: list[Answer], kept: Path | None) -> dict[tuple[str, str, int], dict]:
        """Return {key of an answer: its row of artifacts.REWARDS} of all answers of the baseline that have a text.

        They do not depend on the answers of the model under test, so the jobs of other models find them in `kept`.
        """
        rows = [row for row in rows if not _too_long(row) and row["answer"].strip()]
        if kept is not None and kept.exists():
            rewards = artifacts.read(kept, artifacts.REWARDS).to_pylist()
        else:
            rewards = self.of(rows, "baseline")
            if kept is not None:
                # two jobs may do this at the same time, so each writes a file of its own, and renames it
                part = kept.with_name(f"{kept.name}.{socket.gethostname()}-{os.getpid()}")
                artifacts.write(part, artifacts.table(rewards, artifacts.REWARDS), artifacts.REWARDS, None)
                os.replace(part, kept)
        return {_key(row): values for row, values in zip(rows, rewards, strict=True)}


def _verdicts_by_reward(sides: list[tuple[dict, dict]], settings: dict) -> list[Verdict]:
    """Return the verdicts on pairs of rows of artifacts.REWARDS (of the answer, of the opponent's answer)."""
    verdicts = [_higher(answer, opponent, settings["judge"]["tie"]) for answer, opponent in sides]
    broken = sum(reward.NOT_FINITE in (verdict.reason or "") for verdict in verdicts)
    if broken:
        finite.check(settings["model"]["repo"], "comparisons", broken, sum(one.score is not None for one in verdicts))
    return verdicts


def _higher(answer: dict, opponent: dict, tie: float) -> Verdict:
    """Return the verdict (won, tie, lost) from two rows of artifacts.REWARDS."""
    for side, row in (("answer", answer), ("baseline", opponent)):
        if row["reward"] is None:
            return Verdict(None, None, f"{side}: {row['reason']}")
    difference = answer["reward"] - opponent["reward"]
    if abs(difference) <= tie:
        return Verdict(0.5, "tie", None)
    return Verdict(1.0, "won", None) if difference > 0 else Verdict(0.0, "lost", None)


def _item(task: str, id: str) -> str:
    return f"{task}/{id}"


def _prompts(items: dict[str, pa.Table]) -> pa.Table:
    """Return the prompts of all tasks in one table; an id is then `task/id`."""
    rows = [
        {"id": _item(task, row["id"]), "messages": row["messages"], "answer": row["answer"]}
        for task, prompts in items.items()
        for row in prompts.to_pylist()
    ]
    fields = [artifacts.INSTRUCTIONS.field(name) for name in ("id", "messages", "answer")]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def _reference(references: Mapping[str, str | None], row: Answer) -> str | None:
    item = _item(row["task"], row["id"])
    if item not in references:
        raise BadInput(f"an answer to {item}, which is not among the task's prompts; answer the suite again")
    return references[item]


def _too_long(row: Answer) -> bool:
    return row["finish_reason"] in ("prompt_too_long", "prompt_refused")


def _score(row: Answer, result: Verdict) -> dict:
    """Return one row of artifacts.SCORES."""
    return {
        "task": row["task"],
        "id": row["id"],
        "sample": row["sample"],
        "category": row["category"],
        "score": result.score,
        "verdict": result.verdict,
        "reason": result.reason,
    }
