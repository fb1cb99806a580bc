"""From what a judge said (artifacts.VERDICTS) to artifacts.SCORES. Nothing here asks a model: a change remakes scores, and costs nothing.

A case whose verdict is missing has a null score with a reason, never a tie. Figures that are no mean become one value for each answer,
whose mean over a task is the figure and whose spread is its noise: Arena-Hard's weighted rate, FollowBench's rates over groups, and the
rates of a derived judge, at equal length or at equal style (see controls).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ..stats import constraints
from ..stats.battles import win_rate
from ..store import artifacts
from . import measures
from .cases import Key, key_of
from .protocols import PROTOCOLS, Case, Protocol, Verdict, asked, decide
from .replies import Reply


class Said(NamedTuple):
    """What a judge said of one case: its replies by order, and what they cost in USD (None: unknown)."""

    replies: dict[str, Reply]
    cost: float | None


class Coverage(NamedTuple):
    """How many verdicts there are, and what the missing ones could make of the mean score."""

    n: int
    missing: int
    low: float | None  # mean score if all that is missing were lost ...
    high: float | None  # ... or won
    reasons: dict[str, int]  # {why a verdict is missing: how often}

    @property
    def share(self) -> float:
        """The share of cases that have a verdict; 1 where there are none."""
        return 1 - self.missing / self.n if self.n else 1.0


# --- what a judge said


def said(rows: pa.Table) -> dict[Key, Said]:
    """Return what a judge said of each case. rows: artifacts.VERDICTS."""
    replies: dict[Key, dict[str, Reply]] = defaultdict(dict)
    costs: dict[Key, list[float | None]] = defaultdict(list)
    for row in rows.to_pylist():
        logprobs = row["logprobs"]
        first = None if logprobs is None else [(one["token"], one["logprob"]) for one in logprobs]
        replies[key_of(row)][row["order"]] = Reply(row["text"], row["finish_reason"], first)
        costs[key_of(row)].append(row["cost"])
    return {key: Said(of_case, _sum(costs[key])) for key, of_case in replies.items()}


def _sum(costs: Iterable[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if known else None


def decided(judged: Sequence[Case], rows: pa.Table, protocol: str, both: bool = False) -> list[Verdict]:
    """Return the verdict on each case. rows: artifacts.VERDICTS; both: the judge was asked in both orders whatever the protocol says."""
    replies, how = said(rows), PROTOCOLS[protocol]
    return [_decided(how, case, replies, both) for case in judged]


def _decided(how: Protocol, case: Case, replies: Mapping[Key, Said], both: bool) -> Verdict:
    of_case = replies.get((case.task, case.id, case.sample), Said({}, None))
    return decide(how, case, of_case.replies, asked(how, case, both))


def coverage(table: pa.Table) -> Coverage:
    """Return how many verdicts a table of artifacts.SCORES has; reasons are counted without what is particular to a row."""
    scores, reasons = table["score"].to_pylist(), table["reason"].to_pylist()
    known = [score for score in scores if score is not None]
    missing, counts = len(scores) - len(known), defaultdict[str, int](int)
    for score, reason in zip(scores, reasons, strict=True):
        if score is None:
            counts[(reason or "no reason").partition(":")[0]] += 1
    low, high = (None, None) if not scores else (sum(known) / len(scores), (sum(known) + missing) / len(scores))
    return Coverage(len(scores), missing, low, high, dict(counts))


# --- scores


def scores(judged: Sequence[Case], verdicts: Sequence[Verdict], rows: pa.Table, protocol: str) -> pa.Table:
    """Return artifacts.SCORES of the verdicts.

    Measures beside the score: `discrete` of the protocols that compare two answers (1 above a half, 0.5 at it, 0 below); FollowBench's
    `hard`, `soft`, `consistent`, and `hard_1` to `hard_5` of each level. An Arena-Hard score is the question's value of the weighted rate of
    its task and category.

    Args:
        judged, verdicts: of the same cases.
        rows: artifacts.VERDICTS, for what was said and paid.
    """
    replies = said(rows)
    values = [verdict.score for verdict in verdicts]
    further = [_discrete(score) if not PROTOCOLS[protocol].alone else {} for score in values]
    if protocol.startswith("arena_hard"):
        values = _weighted(judged, verdicts)
    if protocol == "followbench":
        further = _rates(judged, verdicts)
    made = []
    for case, verdict, value, named in zip(judged, verdicts, values, further, strict=True):
        of_case = replies.get((case.task, case.id, case.sample), Said({}, None))
        made.append(
            {
                **score_row(case, value, verdict.reason),
                "verdict": verdict.verdict,
                "first": verdict.first,
                "second": verdict.second,
                "raw": [reply.text for reply in of_case.replies.values()] or None,
                "cost": of_case.cost,
                "measures": measures.named(named) or None,
            }
        )
    return artifacts.table(made, artifacts.SCORES)


def score_row(case: Case, score: float | None, reason: str | None) -> dict:
    """Return the columns of artifacts.SCORES that say what was scored and how; NaN is a missing score, and needs the reason."""
    known = score is not None and not np.isnan(score)
    return {
        "task": case.task,
        "id": case.id,
        "sample": case.sample,
        "category": case.category,
        "score": score if known else None,
        "reason": None if known else reason,
    }


def _discrete(score: float | None) -> dict[str, float]:
    return {} if score is None else {"discrete": (score > 0.5) + (score == 0.5) / 2}


def _weighted(judged: Sequence[Case], verdicts: Sequence[Verdict]) -> list[float | None]:
    """Return the values of Arena-Hard's weighted rate, within each task and category."""
    values: list[float | None] = [None] * len(judged)
    for part in parts(judged):
        rate = win_rate([verdicts[i].gains for i in part])
        for i, value in zip(part, rate.values.tolist(), strict=True):
            values[i] = None if np.isnan(value) else value
    return values


def parts(judged: Sequence[Case]) -> list[list[int]]:
    """Return the numbers of the cases of each task and category."""
    parts: dict[tuple[str, str | None], list[int]] = {}
    for i, case in enumerate(judged):
        parts.setdefault((case.task, case.category), []).append(i)
    return list(parts.values())


def _rates(judged: Sequence[Case], verdicts: Sequence[Verdict]) -> list[dict[str, float]]:
    """Return FollowBench's measures of each answer."""
    named: list[dict[str, float]] = [{} for _ in judged]
    of_task: dict[tuple[str, int], list[int]] = {}
    for i, case in enumerate(judged):
        of_task.setdefault((case.task, case.sample), []).append(i)
    for members in of_task.values():
        answers = [
            constraints.Answered(judged[i].group, judged[i].level, verdicts[i].satisfied or None) for i in members
        ]
        for name, values in constraints.rates(answers).items():
            for i, value in zip(members, values.tolist(), strict=True):
                if not np.isnan(value):
                    named[i][name] = value
    return named
