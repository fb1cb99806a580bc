"""What came of each operator in each round: how many instructions were kept, why others were not, how long and how alike they are.

And what the models took that made a set, so that evolvers can be compared at equal cost; how hard a model finds the instructions; and
what rewards say of the answers to them.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ..cost.saved_estimates import finished
from ..data.contamination import normal
from ..evolution.grading import graded
from ..metrics.diversity import Texts, compression, distinct
from ..spec.ids import Responses
from ..store import artifacts, origin

TEXTS = ("words", "distinct_2", "compression", "ways", "distinct_ways")
COLUMNS = ("instructions", "round", "operator", "asked", "kept", "left_out", *TEXTS)
COSTS = ("instructions", "rows", "jobs", "gpu_s", "cpu_s", "usd", "unknown", "share")
MEANS = ("instructions", "round", "operator", "n", "mean", "low", "high")
GRADES = (*MEANS, "graded_by", "unclear", "levels")
SCORES = (*MEANS, "answered_by", "reward")
# an entry of the list with which Auto Evol-Instruct begins: ways to make a task harder, before its plan
_WAY = re.compile(r"^\s*(?:[-*\u2022]|\(?\d{1,2}[.):])\s+(\S.*)$", re.M)
_PLAN = re.compile(r"^[#*\s]*plan[#*\s]*:", re.M | re.I)
# {folder of results: the rule whose jobs load models, or ask endpoints, to make what lies there}
_RULES = {"responses": "generate", "methods": "optimise"}
Paid = Callable[[str, str, str], float | None]
ALL = "all"  # in the place of an operator: all rows of a round


def summary(path: str) -> list[dict]:
    """Return one row for each round and operator of an instruction set; none for a set that no model has evolved.

    `asked` and `left_out` ({reason: rows}) are None where the set was joined from others, whose tables say it. words: mean number.
    `distinct_2` and `compression` are those of metrics.diversity, over the last turns; both fall as a group grows.
    ways: that the evolver listed before it rewrote, in all texts together (Auto Evol-Instruct); `distinct_ways`: which share is not said
    before. None where it listed none.

    Args:
        path: of the set. Its lineage lies beside it.
    """
    # most sets were read from a source: their texts are not read for this
    operators = artifacts.read(path, artifacts.INSTRUCTIONS, ["operator"])["operator"]
    if operators.null_count == len(operators):
        return []
    rows = artifacts.read(path, artifacts.INSTRUCTIONS, ["messages", "operator", "round"]).to_pylist()
    kept: dict[tuple[int, str], list[str]] = defaultdict(list)
    for row in rows:
        if row["operator"] is not None:
            kept[row["round"], row["operator"]].append(row["messages"][-1]["content"])
    beside = Path(f"{path}.lineage")
    fates = artifacts.read(beside, artifacts.EVOLVED).to_pylist() if beside.exists() else []
    reasons: dict[tuple[int, str], Counter[str | None]] = defaultdict(Counter)
    for fate in fates:
        if fate["operator"] is not None:
            reasons[fate["round"], fate["operator"]][fate["reason"]] += 1
    wrote: dict[tuple[int, str], list[str]] = defaultdict(list)
    for fate in fates:
        wrote[fate["round"], fate["operator"]].append(fate["text"])
    return [
        {**_row(Path(path).stem, key, kept[key], reasons.get(key)), **_ways(wrote[key])}
        for key in sorted({*kept, *reasons})
    ]


def _ways(texts: list[str]) -> dict:
    found = [" ".join(normal(way)) for text in texts for way in _WAY.findall(_PLAN.split(text)[0])]
    if not found:
        return {"ways": None, "distinct_ways": None}
    return {"ways": len(found), "distinct_ways": len({*found}) / len(found)}


def _nothing(_results: str, _rule: str, _cell: str) -> float | None:
    return None


def cost(path: str, results: str, parts: Sequence[str] = (), paid_by: Paid = _nothing) -> dict | None:
    """Return what the models took that made an evolved set; None for a set that no model has evolved.

    Their jobs are found by the origins of the files, so all rounds before count.

    Args:
        parts: names of the sets that it was joined from. The sets that it is only paired with cost it nothing, though it reads them.
        paid_by: of (results, rule, cell): USD that a job paid at endpoints, None where it asked none (engines.request_log.paid_by).
    Returns: "instructions", "rows", "jobs", "gpu_s" (GPU-seconds of jobs on GPUs), "cpu_s" (seconds of all others), "usd" (paid at
        endpoints; None where none was asked), "unknown" (jobs
        that went on after a kill, or whose line is gone: their time is in none of the sums), "share" (of the rows of its parts that it
        takes: so much of the time is that of its own rows; None where a part is gone).
    """
    origins = [f"{results}/instructions/{name}.parquet" for name in parts] or [path]
    answers, seen, waiting = list[tuple[str, str]](), set[str](), [*origins]
    while waiting:
        if (current := waiting.pop()) in seen:
            continue
        seen.add(current)
        if rule := _RULES.get(Path(current).parent.relative_to(results).as_posix()):
            answers.append((rule, Path(current).stem))
        inputs = (origin.read(current) or {}).get("inputs", {})
        waiting += [one for one in inputs if one.startswith(f"{results}/")]
    if not answers:
        return None
    rows = artifacts.read(path, artifacts.INSTRUCTIONS, ["id"]).num_rows
    whole = [_rows(one) for one in origins]
    jobs = [job for job in finished(results, sorted(answers)) if job]
    paid = [usd for job in answers if (usd := paid_by(results, *job)) is not None]
    return {
        "instructions": Path(path).stem,
        "rows": rows,
        "jobs": len(answers),
        "gpu_s": sum(job.seconds * job.gpus for job in jobs if job.gpus),
        "cpu_s": sum(job.seconds for job in jobs if not job.gpus),
        "usd": sum(paid) if paid else None,
        "unknown": len(answers) - len(jobs),
        "share": None if None in whole else min(1.0, rows / sum(filter(None, whole))),
    }


def _rows(path: str) -> int | None:
    return artifacts.read(path, artifacts.INSTRUCTIONS, ["id"]).num_rows if Path(path).exists() else None


def _row(name: str, key: tuple[int, str], texts: list[str], reasons: Counter[str | None] | None) -> dict:
    found = Texts(pa.chunked_array([pa.array(texts, pa.string())]))
    left_out = {reason: number for reason, number in sorted(reasons.items(), key=str) if reason} if reasons else None
    return {
        "instructions": name,
        "round": key[0],
        "operator": key[1],
        "asked": reasons.total() if reasons else None,
        "kept": len(texts),
        "left_out": left_out,
        "words": _number(found.counts.mean()) if texts else None,
        "distinct_2": _number(distinct(found, 2)),
        "compression": _number(compression(found)),
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


# --- how hard instructions are, and what rewards say of the answers, by round and operator


class _One(NamedTuple):
    """A value of one instruction. value: None where there is none."""

    round: int
    operator: str | None
    value: float | None
    level: str | None = None


def grades(path: str, of: str, by: str) -> list[dict]:
    """Return rows of GRADES: what a model said about the difficulty of a set, 0 to 100, by round and operator.

    levels: {level: instructions}. unclear: how many have no clear grade; they are not among `n`.

    Args:
        path: of the graded set (evolution.grading). Its lineage lies beside it, with what the model said.
        of: the set whose instructions it graded. by: the teacher that did.
    """
    found = []
    for row in artifacts.read(Path(f"{path}.lineage"), artifacts.EVOLVED).to_pylist():
        grade = graded(row["text"])
        found.append(_One(row["round"], row["operator"], *(grade.score, grade.level) if grade else (None,)))

    def more(group: list[_One]) -> dict:
        levels = Counter(one.level for one in group if one.level)
        return {"graded_by": by, "unclear": sum(one.value is None for one in group), "levels": dict(levels)}

    return _means(of, found, more)


def scores(path: str, rewards: Mapping[tuple[str, str], str]) -> list[dict]:
    """Return rows of SCORES: the mean of each reward over the answers to a set, by round and operator.

    With a checker it says how often the answer is right; with `similarity: {measure: nearest}` how far apart the instructions are.

    Args:
        path: of the set.
        rewards: {(reward, responses id): path} of all sets; those of this one are read.
    """
    name = Path(path).stem
    rows = artifacts.read(path, artifacts.INSTRUCTIONS, ["id", "operator", "round"]).to_pylist()
    about = {row["id"]: row for row in rows}
    result = []
    for (reward, responses), where in sorted(rewards.items()):
        of = Responses.parse(responses)
        if of.instructions == name:
            values = artifacts.read(where, artifacts.REWARDS).to_pylist()
            found = [
                _One(about[row["id"]]["round"], about[row["id"]]["operator"], row["reward"])
                for row in values
                if row["id"] in about
            ]
            more = {"answered_by": of.teacher, "reward": reward}
            result += [{**row, **more} for row in _means(name, found)]
    return result


def _means(name: str, found: Iterable[_One], more: Callable[[list[_One]], dict] | None = None) -> list[dict]:
    """Return one row for each round and operator, and one for all of a round where it has several. The intervals are normal, 95 %."""
    groups: dict[tuple[int, str], list[_One]] = defaultdict(list)
    for one in found:
        groups[one.round, one.operator or ""].append(one)
    for number in {number for number, _ in groups}:
        parts = [group for (other, _), group in groups.items() if other == number]
        if len(parts) > 1:
            groups[number, ALL] = [one for group in parts for one in group]
    rows = []
    for (number, operator), group in sorted(groups.items()):
        values = np.array([one.value for one in group if one.value is not None], float)
        mean = _number(values.mean()) if len(values) else None
        half = 1.96 * values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
        row = {"instructions": name, "round": number, "operator": operator, "n": len(values), "mean": mean}
        ends = {"low": mean - half, "high": mean + half} if mean is not None and np.isfinite(half) else {}
        rows.append({**dict.fromkeys(MEANS), **row, **ends, **(more(group) if more else {})})
    return rows
