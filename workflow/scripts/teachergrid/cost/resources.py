"""The resources that a job requests: GPUs, memory and time limit, by rule, rows, model size and attempt.

Only this module decides them. Requests are generous, since a job that is killed by its limit costs more than a limit that was too
high. Each further attempt adds the same amount again. A site can override a rule in its profile (`set-resources`). A `row` is one
of the table of cells (grid.rows).
"""

import math
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from . import machines, throughput, workload

MODEL_RULES, USUAL_TOKENS, UNKNOWN_PARAMETERS = workload.MODEL_RULES, workload.USUAL_TOKENS, workload.UNKNOWN_PARAMETERS
# factor on the time of an H100: an A100 has about 40 % of its speed, and rows may be longer than most
SLACK = 4
# passes over a row: in two text formats, each with and without the question
LIKELIHOOD_PASSES = 4
# minutes that most partitions allow; a job that needs longer is killed and continues from its last shard or checkpoint
LONGEST = 24 * 60
# on jobs that take longer than that, less slack: partitions with a longer limit are few and small
SLACK_OF_LONG = 1.5
# jobs that ask an endpoint at a time, unless Snakemake's --resources says otherwise: `at_once` requests of one job are then all that
# the endpoint sees, and no job waits on a node for the limits that it shares with others
ENDPOINT_JOBS = 1


def minutes(rule: str, row: dict, attempt: int) -> int:
    """Return the time that a job needs in minutes: several times what an H100 takes for long rows, with less slack above a day."""
    if rule not in MODEL_RULES:
        # tables and statistics: a minute per 10,000 rows is ten times what they take
        return attempt * (20 + row["rows"] // 10_000)
    if row.get("endpoint"):
        return attempt * _asking(rule, row)
    if not row["gpus"]:
        return attempt * (20 + row["rows"] // 1_000)
    job = workload.of_row(rule, row)
    long = job._replace(written=job.written / workload.MEAN)
    # weights come from a shared file system at 0.2 GB a second or faster
    loading = 10 + job.parameters / 6
    generous = loading + SLACK * throughput.seconds(long, reference()).work / 60
    usual = loading + throughput.seconds(job, reference()).work / 60
    return math.ceil(min(attempt * generous, max(LONGEST, attempt * SLACK_OF_LONG * usual)))


def _asking(rule: str, row: dict) -> int:
    """Return the minutes of a job that asks an endpoint; what it was answered stays where they do not suffice."""
    if row["endpoint"]["batch"]:
        return LONGEST  # the endpoint promises a day
    job = workload.of_row(rule, row)
    long = throughput.seconds(job._replace(written=job.written / workload.MEAN), reference()).work / 60
    by_limit = job.rows / (row["endpoint"]["requests_per_minute"] or math.inf)
    return math.ceil(20 + SLACK * max(long, by_limit))


@cache
def reference() -> machines.Device:
    """Return the device for which time limits are computed."""
    return machines.read().device("h100")


def megabytes(rule: str, row: dict, attempt: int) -> int:
    """Return the host memory of a job on one node, in MB."""
    # two Snakemake processes of 260 MB are part of each job on a cluster; tables take up to 30 kB a row
    tables = 2_000 + row["rows"] * 30 // 1_000
    if rule not in MODEL_RULES:
        return attempt * tables
    if rule in ("optimise", "generate", "answer", "ask"):
        engine = dict(workload.settings(rule, row["spec"])).get("engine")
        # a process on each GPU
        tables += throughput.decoder(engine).host_mb * max(row["gpus"], 1)
    if not row["gpus"]:
        return attempt * tables
    size = workload.parameters(row)
    # weights pass through host memory in 2 bytes a parameter; for SFT each process loads them in 4
    weights = 4_200 * size * row["gpus"] / row["nodes"] if rule == "finetune" else 2_200 * size
    offloaded = 16_000 * size if row.get("deepspeed") == "zero3_offload" else 0
    return attempt * math.ceil(tables + 2_000 + weights + offloaded)


def named(rule: str, endpoints: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the names of the resources that a rule states. endpoints: that its jobs ask."""
    devices: tuple[str, ...] = ("gpu", "gpu_model", "nodes") if rule in MODEL_RULES else ()
    devices += ("gres", "deepspeed") if rule == "finetune" else ()
    return (*devices, *sorted({of_endpoint(name) for name in endpoints}), "mem_mb", "runtime")


def of_endpoint(name: str) -> str:
    """Return the name of the resource that jobs hold which ask an endpoint. Snakemake allows letters, digits and _."""
    return f"endpoint_{re.sub(r'[^a-z0-9]', '_', name)}"


def need(rule: str, resource: str, row: dict, attempt: int, longest: int = LONGEST) -> int | str | None:
    """Return one resource of a job; None leaves it to the profile.

    runtime is in minutes and mem_mb in MB. gpu counts the GPUs of all nodes, gres those of one, with their type. longest: the
    minutes that a job may have; cost.limits knows more where the partitions are known.
    """
    if resource == "runtime":
        return min(longest, minutes(rule, row, attempt))
    if resource == "mem_mb":
        return megabytes(rule, row, attempt)
    if resource == "deepspeed":
        return row["deepspeed"]
    if resource.startswith("endpoint_"):
        asked = row.get("endpoint")
        return 1 if asked and of_endpoint(asked["name"]) == resource else 0
    if row["nodes"] > 1:
        # SLURM's executor starts a job's step with all of its `gpu`, which no single node has
        kind = ["gpu", row["gpu_model"], str(row["gpus"] // row["nodes"])]
        return {"nodes": row["nodes"], "gres": ":".join(filter(None, kind))}.get(resource)
    if not row["gpus"]:
        return row["gpus"] if resource == "gpu" else None
    # without a number of nodes, SLURM may take the GPUs of a job from several
    return {"gpu": row["gpus"], "gpu_model": row["gpu_model"], "nodes": 1}.get(resource)


def gpus(resources: Mapping[str, Any]) -> int:
    """Return how many GPUs a job has over all nodes, from its resources as `need` gives them."""
    per_node = (resources.get("gres") or "gpu:0").split(":")[-1]
    return resources.get("gpu") or (resources.get("nodes") or 1) * int(per_node)
