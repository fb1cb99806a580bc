"""Read what a report shows beside the grid's tables: samples, benchmark files, and how good the rewards are.

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
    *("load_instructions", "generate", "check", "gate", "reward", "likelihood", "select", "finetune", "answer"),
    *("verify", "judge", "metric", "pilot", "correlate", "report"),
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
    """Return what page.build shows side by side: {"responses": [...], "answers": [...]}.

    instructions: sources of the sets. responses: {(instructions, teacher): source}. rewards: {(instructions, teacher):
    source} of one reward. prompts: {task: table of artifacts.INSTRUCTIONS}. answers: {(model, suite): source}. scores: the
    same of one judge. Instructions and items are those with the smallest sha256 of their id, whatever they show; of several
    samples the first is taken.
    """
    tables = [read(source, artifacts.INSTRUCTIONS, ["id", "messages"]) for source in instructions]
    ids = sorted({id for table in tables for id in table["id"].to_pylist()}, key=digest)[:N_RESPONSES]
    asked = {row["id"]: row for table in tables for row in _of(ids, table)}
    return {
        "responses": _responses({id: asked[id] for id in ids}, responses, rewards),
        "answers": _answers(prompts, answers, scores),
    }


def _of(ids: Iterable[str], table: pa.Table) -> list[dict]:
    """Return the rows of these ids; a table may have 100,000 others."""
    return table.filter(pc.is_in(table["id"], pa.array(ids, pa.string()))).to_pylist()


def _responses(
    asked: Mapping[str, dict],
    responses: Mapping[tuple[str, str], Source],
    rewards: Mapping[tuple[str, str], Source],
) -> list[dict]:
    found: dict[str, list[dict]] = {id: [] for id in asked}
    for (instructions, teacher), source in responses.items():
        reward = _first(rewards.get((instructions, teacher)), artifacts.REWARDS, ["reward"], found)
        for id, row in _first(source, artifacts.RESPONSES, ["response", "finish_reason"], found).items():
            given = {"text": row["response"], "finish_reason": row["finish_reason"]}
            found[id].append({"teacher": teacher, "reward": reward.get(id, {}).get("reward"), **given})
    return [{"id": id, "question": question(asked[id]), "answers": rows} for id, rows in found.items() if rows]


def _answers(
    prompts: Mapping[str, pa.Table],
    answers: Mapping[tuple[str, str], Source],
    scores: Mapping[tuple[str, str], Source],
) -> list[dict]:
    asked = {(task, row["id"]): row for task, table in prompts.items() for row in table.to_pylist()}
    shown = sorted(asked, key=lambda key: digest("/".join(key)))[:N_ITEMS]
    found: dict[tuple[str, str], list[dict]] = {key: [] for key in shown}
    for (model, suite), source in answers.items():
        score = _first(scores.get((model, suite)), artifacts.SCORES, ["score"], found, task=True)
        for key, row in _first(source, artifacts.ANSWERS, ["answer"], found, task=True).items():
            found[key].append({"model": model, "text": row["answer"], "score": score.get(key, {}).get("score")})
    return [
        {
            "task": task,
            "id": id,
            "question": question(row),
            "reference_answer": row["answer"],
            "answers": found[task, id],
        }
        for (task, id), row in ((key, asked[key]) for key in found)
        if found[task, id]
    ]


def _first(
    source: Source | None, schema: pa.Schema, columns: list[str], wanted: Collection, task: bool = False
) -> dict[Any, dict]:
    """Return {id: row}, or {(task, id): row}, of the first sample of the rows that are wanted."""
    if source is None:
        return {}
    key = ["task", "id"] if task else ["id"]
    ids = [name[1] if task else name for name in wanted]
    rows = _of(ids, read(source, schema, [*key, "sample", *columns]))
    found: dict[Any, dict] = {}
    for row in sorted(rows, key=lambda row: row["sample"]):
        name = (row["task"], row["id"]) if task else row["id"]
        if name in wanted:
            found.setdefault(name, row)
    return found


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def question(row: dict) -> str:
    """Return an instruction as text; the turns of a conversation with their roles."""
    turns = row["messages"]
    return turns[0]["content"] if len(turns) == 1 else "\n\n".join(f"{t['role']}: {t['content']}" for t in turns)


# --- cost


def stages(folder: str | Path) -> list[dict]:
    """Return {"rule", "jobs", "wall_s", "cpu_s", "max_rss_mb"} of every rule, from Snakemake's benchmarks
    `{folder}/{rule}/....jsonl`, in the order of the workflow.

    Snakemake writes "NA" for what it could not sample, as in a job of less than half a second: such a job counts its wall
    time, and a rule of such jobs alone has null CPU time and memory.
    """
    found: dict[str, dict[str, Any]] = {}
    for rule, cell in timed(folder):
        row = found.setdefault(rule, {"jobs": 0, "s": [], "cpu_time": [], "max_rss": []})
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
        for rule, row in found.items()
    ]


def timed(folder: str | Path) -> list[tuple[str, str]]:
    """Return the (rule, cell) of the benchmarks in a folder, in the order of the workflow."""
    order = {rule: i for i, rule in enumerate(STAGES)}
    paths = (path.relative_to(folder).with_suffix("") for path in Path(folder).rglob("*.jsonl"))
    found = ((path.parts[0], "/".join(path.parts[1:])) for path in paths)
    return sorted(found, key=lambda item: (order.get(item[0], len(order)), item))


# --- rewards


def reward_means(rewards: Mapping[tuple[str, str], Source]) -> dict[str, dict[str, float | None]]:
    """Return {responses: {reward: mean}} over the rewards that there are. rewards: {(reward, responses): source}."""
    found: dict[str, dict[str, float | None]] = {}
    for (reward, responses), source in rewards.items():
        values = read(source, artifacts.REWARDS, ["reward"])["reward"].drop_null().to_numpy()
        found.setdefault(responses, {})[reward] = float(values.mean()) if len(values) else None
    return found


def reward_quality(verdicts: Mapping[str, Source], rewards: Mapping[str, Mapping[str, Source]]) -> list[dict]:
    """Return how well each reward tells right from wrong: the rows of `reward_quality` of page.build.

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
    """Tell right from wrong responses by a reward. All arrays [responses].

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
    easy, known = _success_of_others(right, instruction, teacher)
    return {
        "same_prompt_accuracy": float(won / pairs) if pairs else None,
        "auc": auc(reward, right),
        "auc_difficulty_only": auc(easy[known], right[known]),
        "n_pairs": int(pairs),
    }


def _success_of_others(
    right: np.ndarray, instruction: np.ndarray, teacher: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The share of right responses to the same instruction by other teachers, and where there are any."""
    cell = instruction * (teacher.max(initial=0) + 1) + teacher
    of_all, of_own = np.bincount(instruction, right), np.bincount(cell, right)
    n_all, n_own = np.bincount(instruction), np.bincount(cell)
    others = n_all[instruction] - n_own[cell]
    return (of_all[instruction] - of_own[cell]) / np.maximum(others, 1), others > 0


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
