"""Compare how long each job was expected to take with how long it took.

A run saves its estimates each time before it starts Snakemake, one file in `results/.estimates/` (run.hindsight). Each finished
job adds a line to `results/.jobs/` (store.job_index). This module reads and matches the two.
"""

import gzip
import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..store import origin
from ..store.job_index import index_lines

FOLDER = ".estimates"
MOST = 20  # so many of the latest files are kept
BOUNDS = ("low", "expected", "high")


class Estimate(NamedTuple):
    """Estimated seconds of one job: 90 % of jobs should take between `low` and `high`.

    source: measured (jobs like it), probe (a few rows of one), scaled (either, on another GPU type) or analytic (arithmetic alone).
    gpus: how many it holds, 0 on CPUs.
    """

    low: float
    expected: float
    high: float
    source: str
    gpus: int
    device: str


# {rule: {cell: estimates}}: one for each device type that the job may get, the likeliest first. In a file each estimate is a
# list of its fields.
Estimates = dict[str, dict[str, list[Any]]]


class Finished(NamedTuple):
    """A finished job. began: seconds since 1970. seconds, device, gpus: from its line in the index (job.usage)."""

    rule: str
    cell: str
    began: float
    seconds: float
    device: str
    gpus: int


# --- files of estimates


def save(estimates: Estimates, results: str, now_ns: int | None = None) -> None:
    """Save estimates, unless they equal those saved last, and remove all but the newest MOST files. now_ns: time in ns."""
    text = json.dumps(estimates, separators=(",", ":")).encode()
    before = saved(results)
    if before and os.access(before[-1], os.R_OK) and gzip.decompress(before[-1].read_bytes()) == text:
        return
    path = Path(results, FOLDER, f"{now_ns or time.time_ns()}.json.gz")
    origin.replace_bytes(path, gzip.compress(text, compresslevel=1))
    for old in [*before, path][:-MOST]:
        old.unlink()


def saved(results: str) -> list[Path]:
    """Return the files of estimates, oldest first; each is named by its time in ns."""
    return sorted(Path(results, FOLDER).glob("*.json.gz"), key=_time_ns)


def _time_ns(path: Path) -> int:
    return int(path.name.split(".")[0])


# --- finished jobs and their estimates


def finished(results: str, cells: Iterable[tuple[str, str]]) -> list[Finished | None]:
    """Return the last finished job of each (rule, cell) that has one.

    None stands for a job that resumed a killed one: its seconds would cover only a part of the work, so its line has none.
    """
    last = {(words[1], words[2]): words for words in sorted(index_lines(results), key=lambda words: int(words[0]))}
    return [_finished(*last[key]) for key in cells if key in last]


def _finished(time_ns: str, rule: str, cell: str, _: str, *measured: str) -> Finished | None:
    """Return a job from the fields of its line."""
    if not measured:
        return None
    took = json.loads(measured[0])
    began = int(time_ns) / 1e9 - took["seconds"]
    return Finished(rule, cell, began, took["seconds"], took["device"], took["gpus"])


def paired(
    jobs: Iterable[Finished], starts: Sequence[tuple[float, Estimates]]
) -> list[tuple[Finished, Estimate | None]]:
    """Return each job with the last estimate that was saved before it began, None where there is none.

    Of estimates for several device types that of the device on which the job ran counts, else the likeliest.
    starts: (seconds since 1970, estimates) of each file, oldest first.
    """
    return [(job, _of_device(_before(job, starts), job.device)) for job in jobs]


def _before(job: Finished, starts: Sequence[tuple[float, Estimates]]) -> list[Any]:
    """Return the estimates of a job's cell from the last file that was saved before the job began and has the cell."""
    for made, estimates in reversed(starts):
        if made <= job.began and (offered := estimates.get(job.rule, {}).get(job.cell)):
            return offered
    return []


def _of_device(offered: list[Any], device: str) -> Estimate | None:
    """Return the estimate for a device type, else the first."""
    estimates = [Estimate(*fields) for fields in offered]
    first = estimates[0] if estimates else None
    return next((estimate for estimate in estimates if estimate.device == device), first)


def by_stage(pairs: Iterable[tuple[Finished, Estimate]]) -> list[dict[str, Any]]:
    """Return sums over jobs: a row for each rule, and separate rows for its jobs on GPUs and on CPUs.

    Keys: rule, on_gpus, jobs, estimated_s and actual_s (seconds on CPUs, GPU-seconds on GPUs, both with the number of GPUs that
    the job had), inside (jobs that took between low and high).
    """
    rows: dict[tuple[str, bool], dict[str, Any]] = {}
    for job, estimate in pairs:
        sums = dict.fromkeys(("jobs", "estimated_s", "actual_s", "inside"), 0)
        row = rows.setdefault((job.rule, job.gpus > 0), {"rule": job.rule, "on_gpus": job.gpus > 0, **sums})
        row["jobs"] += 1
        row["estimated_s"] += estimate.expected * max(1, job.gpus)
        row["actual_s"] += job.seconds * max(1, job.gpus)
        row["inside"] += estimate.low <= job.seconds <= estimate.high
    return list(rows.values())


def compared(results: str, cells: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return how the estimates of a results folder compare with its finished jobs.

    Args:
        cells: the (rule, cell) to compare, in the order of the stages. Those without a finished job do not count.
    Returns: "stages": rows of `by_stage`; and numbers of jobs: "unplanned" (had no estimate), "resumed" (continued
        a killed job; both are in no stage), "elsewhere" (ran on another device type than estimated; these are in a stage).
    """
    jobs = finished(results, cells)
    # another user's file may be unreadable
    readable = [path for path in saved(results) if os.access(path, os.R_OK)]
    starts = [(_time_ns(path) / 1e9, json.loads(gzip.decompress(path.read_bytes()))) for path in readable]
    pairs = paired(filter(None, jobs), starts)
    estimated = [(job, estimate) for job, estimate in pairs if estimate]
    return {
        "stages": by_stage(estimated),
        "unplanned": len(pairs) - len(estimated),
        "resumed": jobs.count(None),
        "elsewhere": sum(job.device != estimate.device for job, estimate in estimated),
    }
