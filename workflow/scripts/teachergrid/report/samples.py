"""Read what a report shows in addition to the grid's tables: samples, times of jobs, and how good the rewards are.

A source is the path of a table, or the table itself.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike

from ..store import artifacts
from ..store.artifacts import Source, read

# in the order of the workflow
STAGES = (
    *(
        "load_instructions",
        "optimise",
        "generate",
        "check",
        "gate",
        "reward",
        "likelihood",
        "select",
        "finetune",
        "answer",
    ),
    *("verify", "judge", "loss", "ask", "score", "metric", "pilot", "correlate", "report"),
)
N_RESPONSES, N_ITEMS = 4, 6  # how many instructions and items a page shows


# --- samples


def samples(
    instructions: Iterable[Source],
    responses: Mapping[tuple[str, str], Source],
    rewards: Mapping[tuple[str, str], Source],
    prompts: Mapping[str, pa.Table],
    answers: Mapping[tuple[str, str], Source],
    scores: Mapping[tuple[str, str], Source],
) -> dict[str, list[dict]]:
    """Return the samples that the page shows side by side: {"responses": [...], "answers": [...]}.

    instructions: sources of the sets. responses: {(instructions, teacher): source}. rewards: {(instructions, teacher):
    source} of one reward. prompts: {task: table of artifacts.INSTRUCTIONS}. answers: {(model, suite): source}. scores: the
    same of one judge. Instructions and items are those with the smallest sha256 of their id, whatever their content; of several
    samples the first is shown.
    """
    tables = [read(source, artifacts.INSTRUCTIONS, ["id", "messages"]) for source in instructions]
    ids = sorted({id for table in tables for id in table["id"].to_pylist()}, key=digest)[:N_RESPONSES]
    instruction_rows = {row["id"]: row for table in tables for row in _rows_of(ids, table)}
    return {
        "responses": _responses({id: instruction_rows[id] for id in ids}, responses, rewards),
        "answers": _answers(prompts, answers, scores),
    }


def _rows_of(ids: Iterable[str], table: pa.Table) -> list[dict]:
    """Return the rows of these ids; a table may have 100,000 others."""
    return table.filter(pc.is_in(table["id"], pa.array(ids, pa.string()))).to_pylist()


def _responses(
    instruction_rows: Mapping[str, dict],
    responses: Mapping[tuple[str, str], Source],
    rewards: Mapping[tuple[str, str], Source],
) -> list[dict]:
    answers_of: dict[str, list[dict]] = {id: [] for id in instruction_rows}
    for (instructions, teacher), source in responses.items():
        reward = _first(rewards.get((instructions, teacher)), artifacts.REWARDS, ["reward"], answers_of)
        for id, row in _first(source, artifacts.RESPONSES, ["response", "finish_reason"], answers_of).items():
            shown = {"text": row["response"], "finish_reason": row["finish_reason"]}
            answers_of[id].append({"teacher": teacher, "reward": reward.get(id, {}).get("reward"), **shown})
    return [
        {"id": id, "question": question(instruction_rows[id]), "answers": rows}
        for id, rows in answers_of.items()
        if rows
    ]


def _answers(
    prompts: Mapping[str, pa.Table],
    answers: Mapping[tuple[str, str], Source],
    scores: Mapping[tuple[str, str], Source],
) -> list[dict]:
    items = {(task, row["id"]): row for task, table in prompts.items() for row in table.to_pylist()}
    shown = sorted(items, key=lambda key: digest("/".join(key)))[:N_ITEMS]
    answers_of: dict[tuple[str, str], list[dict]] = {key: [] for key in shown}
    for (model, suite), source in answers.items():
        score = _first(scores.get((model, suite)), artifacts.SCORES, ["score"], answers_of, task=True)
        for key, row in _first(source, artifacts.ANSWERS, ["answer"], answers_of, task=True).items():
            answers_of[key].append({"model": model, "text": row["answer"], "score": score.get(key, {}).get("score")})
    return [
        {
            "task": task,
            "id": id,
            "question": question(row),
            "reference_answer": row["answer"],
            "answers": answers_of[task, id],
        }
        for (task, id), row in ((key, items[key]) for key in answers_of)
        if answers_of[task, id]
    ]


def _first(
    source: Source | None, schema: pa.Schema, columns: list[str], keys: Collection, task: bool = False
) -> dict[Any, dict]:
    """Return {id: row}, or {(task, id): row}, of the first sample of each key."""
    if source is None:
        return {}
    key = ["task", "id"] if task else ["id"]
    ids = [name[1] if task else name for name in keys]
    rows = _rows_of(ids, read(source, schema, [*key, "sample", *columns]))
    first_rows: dict[Any, dict] = {}
    for row in sorted(rows, key=lambda row: row["sample"]):
        name = (row["task"], row["id"]) if task else row["id"]
        if name in keys:
            first_rows.setdefault(name, row)
    return first_rows


def digest(name: str) -> str:
    """Return the sha256 of a name, by which samples are drawn."""
    return hashlib.sha256(name.encode()).hexdigest()


def question(row: dict) -> str:
    """Return an instruction as text; the turns of a conversation with their roles."""
    turns = row["messages"]
    return turns[0]["content"] if len(turns) == 1 else "\n\n".join(f"{t['role']}: {t['content']}" for t in turns)


def with_questions(rows: list[dict], prompts: Mapping[str, pa.Table]) -> list[dict]:
    """Return rows with a task and an id, each with the item's `question`; None where the prompts do not hold it."""
    asked: dict[tuple[str, str], str] = {}
    for task in {row["task"] for row in rows} & set(prompts):
        ids = [row["id"] for row in rows if row["task"] == task]
        asked |= {(task, row["id"]): question(row) for row in _rows_of(ids, prompts[task])}
    return [{**row, "question": asked.get((row["task"], row["id"]))} for row in rows]


# --- cost


def stages(folder: str | Path) -> list[dict]:
    """Return {"rule", "jobs", "wall_s", "cpu_s", "max_rss_mb"} of every rule, from Snakemake's benchmarks
    `{folder}/{rule}/....jsonl`, in the order of the workflow.

    Snakemake writes "NA" for what it could not sample, as in a job of less than half a second: such a job counts with its wall
    time only, and a rule with only such jobs has null CPU time and memory.
    """
    by_rule: dict[str, dict[str, Any]] = {}
    for rule, cell in timed(folder):
        row = by_rule.setdefault(rule, {"jobs": 0, "s": [], "cpu_time": [], "max_rss": []})
        row["jobs"] += 1
        path = Path(folder, rule, f"{cell}.jsonl")
        for run in map(json.loads, path.read_text().splitlines()):
            for key in ("s", "cpu_time", "max_rss"):
                if isinstance(run.get(key), int | float):
                    row[key].append(run[key])
    return [
        {
            "rule": rule,
            "jobs": row["jobs"],
            "wall_s": sum(row["s"]),
            "cpu_s": sum(row["cpu_time"]) if row["cpu_time"] else None,
            "max_rss_mb": max(row["max_rss"], default=None),
        }
        for rule, row in by_rule.items()
    ]


def timed(folder: str | Path) -> list[tuple[str, str]]:
    """Return the (rule, cell) of the benchmarks in a folder, in the order of the workflow."""
    order = {rule: i for i, rule in enumerate(STAGES)}
    paths = (path.relative_to(folder).with_suffix("") for path in Path(folder).rglob("*.jsonl"))
    cells = ((path.parts[0], "/".join(path.parts[1:])) for path in paths)
    return sorted(cells, key=lambda item: (order.get(item[0], len(order)), item))


# --- rewards


def reward_means(rewards: Mapping[tuple[str, str], Source]) -> dict[str, dict[str, float | None]]:
    """Return {responses: {reward: mean}} of the rewards that are not null. rewards: {(reward, responses): source}."""
    means: dict[str, dict[str, float | None]] = {}
    for (reward, responses), source in rewards.items():
        values = read(source, artifacts.REWARDS, ["reward"])["reward"].drop_null().to_numpy()
        means.setdefault(responses, {})[reward] = float(values.mean()) if len(values) else None
    return means


def reward_quality(verdicts: Mapping[str, Source], rewards: Mapping[str, Mapping[str, Source]]) -> list[dict]:
    """Return how well each reward separates right from wrong responses: the rows of `reward_quality` of page.build.

    verdicts: {responses: source} of a verifier's rewards, 1 for right. rewards: {reward: {responses: source}}. Over the
    responses that have both.
    """
    right = {name: _by_key(source) for name, source in verdicts.items()}
    rows = []
    for reward, sources in rewards.items():
        joined = []
        for name, source in sources.items():
            given = _by_key(source)
            joined += [(key[0], name, truth, given[key]) for key, truth in right.get(name, {}).items() if key in given]
        if joined:
            ids, names, truth, values = (np.array(column) for column in zip(*joined, strict=True))
            rows.append({"reward": reward, **quality(truth > 0.5, values, ids, names)})
    return rows


def quality(right: ArrayLike, reward: ArrayLike, instruction: ArrayLike, teacher: ArrayLike) -> dict[str, float | None]:
    """Return how well a reward separates right from wrong responses. All arguments are arrays [responses].

    same_prompt_accuracy: the share of pairs of a right and a wrong response to one instruction in which the right one has
    the higher reward (a tie counts half). auc: the same over all pairs, whatever their instruction. auc_difficulty_only: of
    a predictor that never sees the response: the verifier's mean over the other teachers' responses to its instruction.
    None where there is no such pair.
    """
    right, reward = np.asarray(right, bool), np.asarray(reward, float)
    instruction, teacher = np.unique(instruction, return_inverse=True)[1], np.unique(teacher, return_inverse=True)[1]
    won = pairs = 0
    order = np.argsort(instruction, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(instruction[order])) + 1):
        good, bad = reward[rows][right[rows]], reward[rows][~right[rows]]
        won += np.sum(np.sign(good[:, None] - bad[None]) + 1) / 2
        pairs += len(good) * len(bad)
    success, has_others = _success_of_others(right, instruction, teacher)
    return {
        "same_prompt_accuracy": float(won / pairs) if pairs else None,
        "auc": auc(reward, right),
        "auc_difficulty_only": auc(success[has_others], right[has_others]),
        "n_pairs": int(pairs),
    }


def _success_of_others(
    right: np.ndarray, instruction: np.ndarray, teacher: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of right responses to the same instruction by other teachers, and where there are any: both [n]."""
    cell = instruction * (teacher.max(initial=0) + 1) + teacher
    right_all, right_own = np.bincount(instruction, right), np.bincount(cell, right)
    n_all, n_own = np.bincount(instruction), np.bincount(cell)
    n_others = n_all[instruction] - n_own[cell]
    return (right_all[instruction] - right_own[cell]) / np.maximum(n_others, 1), n_others > 0


def auc(score: np.ndarray, right: np.ndarray) -> float | None:
    """Return the area under the ROC curve of scores [n] for right [n]: P(score of a right one > score of a wrong one).

    Ties count half: it is the Mann-Whitney U over the number of pairs. None where all are right or all are wrong.
    """
    from scipy.stats import rankdata  # slow to import

    good, bad = np.count_nonzero(right), np.count_nonzero(~right)
    if not good or not bad:
        return None
    u = rankdata(score)[right].sum() - good * (good + 1) / 2
    return float(u / (good * bad))


def _by_key(source: Source) -> dict[tuple[str, int], float]:
    rows = read(source, artifacts.REWARDS, ["id", "sample", "reward"]).to_pylist()
    return {(row["id"], row["sample"]): row["reward"] for row in rows if row["reward"] is not None}
