"""What came of each operator in each round: how many instructions were kept, why others were not, how long and how alike they are.

And what the models took that made a set, so that evolvers can be compared at equal cost.
"""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa

from ..cost.saved_estimates import finished
from ..metrics.diversity import Texts, compression, distinct
from ..store import artifacts, origin

COLUMNS = ("instructions", "round", "operator", "asked", "kept", "left_out", "words", "distinct_2", "compression")
COSTS = ("instructions", "rows", "jobs", "gpu_s", "cpu_s", "unknown")


def summary(path: str) -> list[dict]:
    """Return one row for each round and operator of an instruction set; none for a set that no model has evolved.

    `asked` and `left_out` ({reason: rows}) are None where the set was joined from others, whose tables say it. words: mean number.
    `distinct_2` and `compression` are those of metrics.diversity, over the last turns; both fall as a group grows.

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
    return [_row(Path(path).stem, key, kept[key], reasons.get(key)) for key in sorted({*kept, *reasons})]


def cost(path: str, results: str) -> dict | None:
    """Return what the models took that made an evolved set; None for a set that no model has evolved.

    Their jobs are found by the origins of the files, so all rounds before count, and all sets that were joined.

    Returns: "instructions", "rows", "jobs", "gpu_s" (GPU-seconds of jobs on GPUs), "cpu_s" (seconds of all others), "unknown" (jobs
        that went on after a kill, or whose line is gone: their time is in none of the sums).
    """
    answers, seen, waiting = list[str](), set[str](), [path]
    while waiting:
        if (current := waiting.pop()) in seen:
            continue
        seen.add(current)
        if Path(current).parent == Path(results, "responses"):
            answers.append(Path(current).stem)
        inputs = (origin.read(current) or {}).get("inputs", {})
        waiting += [one for one in inputs if one.startswith(f"{results}/")]
    if not answers:
        return None
    jobs = [job for job in finished(results, [("generate", name) for name in sorted(answers)]) if job]
    return {
        "instructions": Path(path).stem,
        "rows": artifacts.read(path, artifacts.INSTRUCTIONS, ["id"]).num_rows,
        "jobs": len(answers),
        "gpu_s": sum(job.seconds * job.gpus for job in jobs if job.gpus),
        "cpu_s": sum(job.seconds for job in jobs if not job.gpus),
        "unknown": len(answers) - len(jobs),
    }


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
