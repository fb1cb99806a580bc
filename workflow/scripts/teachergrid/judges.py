"""Score answers to benchmark items: against the reference answer (the judge `verify`), or against a fixed opponent's answers.

The pairwise judge here is a reward: the higher one wins. It reads one answer at a time, so it has no order to prefer.
"""

import pyarrow as pa

from . import artifacts, rewards
from .errors import BadInput
from .verify import Verdict, verdict


def verify_answers(answers: pa.Table, items: dict[str, pa.Table], tasks: dict[str, dict]) -> pa.Table:
    """Return artifacts.SCORES of the answers to tasks with a checker, 1 right and 0 wrong; tasks without give no rows.

    items: task -> its prompts as artifacts.INSTRUCTIONS. tasks: task -> {"checker": {extract, compare} or None}.
    Raises BadInput when an answered item is not there.
    """
    references = {row["id"]: row["answer"] for row in _prompts(items).to_pylist()}
    scores = []
    for row in answers.to_pylist():
        checker = tasks[row["task"]]["checker"]
        if checker:
            reference = _reference(references, row)
            checked = _PROMPT_TOO_LONG if _too_long(row) else verdict(row["answer"], reference, checker)
            scores.append(_scored(row, checked))
    return artifacts.table(scores, artifacts.SCORES)


def compare(answers: pa.Table, baseline: pa.Table, items: dict[str, pa.Table], settings: dict, work) -> pa.Table:
    """Return artifacts.SCORES of the answers against the baseline's to the same items: 1 won, 0.5 tie, 0 lost.

    settings: {"judge": {"tie": difference up to which rewards are a tie}, "reward": the config's entry, "model": its model,
    for a reward model}. work: folder of unfinished shards. Equal texts are a tie and an empty answer loses, without a look
    at the reward. Where the baseline has no answer, or a reward is undefined, the score is null with a reason. `first` and
    `second` are both the score. Raises BadInput when an item is not there.
    """
    opponents = {(row["task"], row["id"], row["sample"]): row for row in baseline.to_pylist()}
    pairs = [(row, opponents.get((row["task"], row["id"], row["sample"]))) for row in answers.to_pylist()]
    verdicts = [_at_a_glance(*pair) for pair in pairs]
    undecided = [pair for pair, seen in zip(pairs, verdicts, strict=True) if seen is None]
    by_reward = iter(_by_reward(undecided, items, settings, work))
    verdicts = [seen or next(by_reward) for seen in verdicts]
    return artifacts.table(
        [_scored(row, found, pairwise=True) for (row, _), found in zip(pairs, verdicts, strict=True)], artifacts.SCORES
    )


_PROMPT_TOO_LONG = Verdict(None, None, "prompt too long")


def _at_a_glance(mine: dict, other: dict | None) -> Verdict | None:
    """Return the verdict where it needs no reward, else None."""
    if other is None:
        return Verdict(None, None, "the baseline has no answer")
    if _too_long(mine) or _too_long(other):
        return _PROMPT_TOO_LONG
    texts = mine["answer"].strip(), other["answer"].strip()
    if texts[0] == texts[1]:
        return Verdict(0.5, "identical", None)
    if not all(texts):
        return Verdict(1.0, "baseline empty", None) if texts[0] else Verdict(0.0, "empty", None)
    return None


def _by_reward(pairs: list[tuple[dict, dict]], items: dict[str, pa.Table], settings: dict, work) -> list[Verdict]:
    """Return the verdicts on pairs of answers; one model load scores both sides."""
    rows = [mine for mine, _ in pairs] + [other for _, other in pairs]
    responses = pa.table(
        {
            "id": pa.array((_item(row["task"], row["id"]) for row in rows), pa.string()),
            "sample": pa.array((row["sample"] for row in rows), pa.int32()),
            "response": pa.array((row["answer"] for row in rows), pa.string()),
            "finish_reason": pa.array((row["finish_reason"] for row in rows), pa.string()),
        }
    )
    given = rewards.score(responses, _prompts(items), settings, work).to_pylist()
    sides = zip(given[: len(pairs)], given[len(pairs) :], strict=True)
    return [_higher(mine, other, settings["judge"]["tie"]) for mine, other in sides]


def _higher(mine: dict, other: dict, tie: float) -> Verdict:
    for side, row in (("answer", mine), ("baseline", other)):
        if row["reward"] is None:
            return Verdict(None, None, f"{side}: {row['reason']}")
    difference = mine["reward"] - other["reward"]
    if abs(difference) <= tie:
        return Verdict(0.5, "tie", None)
    return Verdict(1.0, "won", None) if difference > 0 else Verdict(0.0, "lost", None)


def _item(task: str, id: str) -> str:
    return f"{task}/{id}"


def _prompts(items: dict[str, pa.Table]) -> pa.Table:
    """Return the prompts of all tasks in one table; ids then begin with the task."""
    rows = [
        {"id": _item(task, row["id"]), "messages": row["messages"], "answer": row["answer"]}
        for task, prompts in items.items()
        for row in prompts.to_pylist()
    ]
    fields = [artifacts.INSTRUCTIONS.field(name) for name in ("id", "messages", "answer")]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def _reference(references: dict[str, str | None], row: dict) -> str | None:
    item = _item(row["task"], row["id"])
    if item not in references:
        raise BadInput(f"an answer to {item}, which is not among the task's prompts; answer the suite again")
    return references[item]


def _too_long(row: dict) -> bool:
    return row["finish_reason"] == "prompt_too_long"


def _scored(row: dict, found: Verdict, pairwise: bool = False) -> dict:
    """Return one row of SCORES."""
    order = {"first": found.score, "second": found.score} if pairwise else {}
    kept = {key: row[key] for key in ("task", "id", "sample", "category")}
    return {**kept, "score": found.score, "verdict": found.verdict, "reason": found.reason, **order}
