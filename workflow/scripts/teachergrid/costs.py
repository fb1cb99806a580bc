"""What a job asks of the machine: GPUs, memory and walltime by rule, rows, model size and attempt.

The one place that knows. Asked for is the high end (a job killed by its limit costs more than a limit that was too wide),
and each further attempt gets as much again. A site that knows better overrides a rule in its profile (`set-resources`).
"""

import json
import math
from functools import cache
from pathlib import Path

# Tokens a second and GPU for a model of one billion parameters. Generation: published vLLM runs on an H100 (3,900 at 8 B,
# 445 at 70 B); scoring and SFT: 2 and 6 FLOPs a parameter and token at 40 % of 989 TFLOP/s, SFT less a third for packing
# and checkpointing.
TOKENS_PER_SECOND = {
    "generate": 30_000,
    "answer": 30_000,
    "reward": 200_000,
    "judge": 200_000,
    "likelihood": 200_000,
    "finetune": 45_000,
}
# no model is so small that a job goes faster than this
FASTEST = 8_000
# an A100 has about 40 % of an H100's speed; rows that are longer than most are the rest
SLACK = 4
# rows rarely reach the longest length; the mean of real responses is 500 to 1,000
USUAL_TOKENS = 1_500
# question and response in two text formats, and the response alone
LIKELIHOOD_PASSES = 4
# what most partitions allow; a job that needs longer is killed there and goes on from its last shard or checkpoint
LONGEST = 24 * 60
UNKNOWN_ROWS = 100_000
UNKNOWN_PARAMETERS = 8.0


def minutes(rule: str, row: dict, attempt: int) -> int:
    """Return the walltime of a job. row: rows, tokens (a row's longest), parameters (billions or None), gpus."""
    if rule not in TOKENS_PER_SECOND:
        # tables and statistics: a minute per 10,000 rows is ten times what they take
        return min(LONGEST, attempt * (20 + row["rows"] // 10_000))
    size = UNKNOWN_PARAMETERS if row["parameters"] is None else row["parameters"]
    if not row["gpus"]:
        return min(LONGEST, attempt * (20 + row["rows"] // 1_000))
    speed = min(FASTEST, TOKENS_PER_SECOND[rule] / size) * row["gpus"]
    tokens = row["rows"] * row["tokens"]
    # weights come from a shared file system at 0.2 GB a second or faster
    loading = 10 + size / 6
    return min(LONGEST, math.ceil(attempt * (loading + SLACK * tokens / speed / 60)))


def megabytes(rule: str, row: dict, attempt: int) -> int:
    """Return the host memory of a job on one node."""
    # two Snakemake processes of 260 MB are part of each job on a cluster; tables take up to 30 kB a row
    tables = 2_000 + row["rows"] * 30 // 1_000
    if rule not in TOKENS_PER_SECOND or not row["gpus"]:
        return attempt * tables
    size = UNKNOWN_PARAMETERS if row["parameters"] is None else row["parameters"]
    # weights pass through host memory in 2 bytes a parameter; for SFT each process loads them in 4
    weights = 4_200 * size * row["gpus"] / row["nodes"] if rule == "finetune" else 2_200 * size
    offloaded = 16_000 * size if row.get("deepspeed") == "zero3_offload" else 0
    return attempt * math.ceil(tables + 2_000 + weights + offloaded)


def need(rule: str, resource: str, row: dict, attempt: int):
    """Return one resource of a job; None leaves it to the profile. runtime is in minutes, gpu counts all nodes, gres one."""
    if resource == "runtime":
        return minutes(rule, row, attempt)
    if resource == "mem_mb":
        return megabytes(rule, row, attempt)
    if resource == "deepspeed":
        return row["deepspeed"]
    if row["nodes"] > 1:
        # SLURM's executor starts a job's step with all of its `gpu`, which no single node has
        kind = ["gpu", row["gpu_model"], str(row["gpus"] // row["nodes"])]
        return {"nodes": row["nodes"], "gres": ":".join(filter(None, kind))}.get(resource)
    alone = {"gpu": row["gpus"], "gpu_model": row["gpu_model"] if row["gpus"] else None}
    return alone.get(resource)


def gpus(resources) -> int:
    """Return how many GPUs a job has over all nodes, from its resources as `need` gives them."""
    per_node = (resources.get("gres") or "gpu:0").split(":")[-1]
    return resources.get("gpu") or (resources.get("nodes") or 1) * int(per_node)


@cache
def count(source: str, sample: int | None) -> int:
    """Return how many rows a set of instructions has, without reading more than it must."""
    if sample is not None:
        return sample
    path = Path(source)
    if not path.is_file():
        return UNKNOWN_ROWS
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return pq.read_metadata(path).num_rows
    if path.suffix == ".json":
        return len(json.loads(path.read_text()))
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
