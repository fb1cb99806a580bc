"""What each job was expected to take when its run began, and what it took.

A run saves its estimates before Snakemake starts, one file a start in `results/.estimates/` (planning.hindsight makes them).
Each finished job leaves a line in `results/.jobs/` (code). Here the two are read and matched.
"""

import gzip
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .job_index import index_lines

FOLDER = ".estimates"
MOST = 20  # starts whose estimates stay
BOUNDS = ("low", "expected", "high")


class Estimate(NamedTuple):
    """Seconds of one job: 90 % of jobs should lie between low and high.

    source: measured, probe (a few rows were measured), scaled (either, on another GPU type) or analytic.
    gpus: those that it holds, 0 on a CPU.
    """

    low: float
    expected: float
    high: float
    source: str
    gpus: int
    device: str


# rule -> cell -> an estimate for each device type that the job may get, the likeliest first. Read from a file each estimate is
# a list of its fields.
Estimates = dict[str, dict[str, list[Any]]]


class Finished(NamedTuple):
    """A finished job. began: seconds since 1970; seconds, device, gpus: as its line says (planning.actuals)."""

    rule: str
    cell: str
    began: float
    seconds: float
    device: str
    gpus: int


# --- files of estimates


def save(estimates: Estimates, results: str, now_ns: int | None = None) -> None:
    """Save the estimates of one start and remove the oldest files beyond MOST. Estimates equal to the last ones make no file."""
    text = json.dumps(estimates, separators=(",", ":")).encode()
    before = saved(results)
    if before and gzip.decompress(before[-1].read_bytes()) == text:
        return
    path = Path(results, FOLDER, f"{now_ns or time.time_ns()}.json.gz")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(gzip.compress(text, compresslevel=1))
    part.replace(path)
    for old in [*before, path][:-MOST]:
        old.unlink()


def saved(results: str) -> list[Path]:
    """Return the files of estimates, oldest first; each is named by its time in ns."""
    return sorted(Path(results, FOLDER).glob("*.json.gz"), key=_time_ns)


def _time_ns(path: Path) -> int:
    return int(path.name.split(".")[0])


# --- finished jobs and their estimates


def finished(results: str, cells: Iterable[tuple[str, str]]) -> list[Finished | None]:
    """Return the last job of each (rule, cell) that a job has finished here.

    None stands for a job that continued what a killed one had begun: its seconds are not those of the whole job, and its line
    has none.
    """
    last = {(words[1], words[2]): words for words in sorted(index_lines(results), key=lambda words: int(words[0]))}
    return [_finished(*last[key]) for key in cells if key in last]


def _finished(time_ns: str, rule: str, cell: str, _: str, *facts: str) -> Finished | None:
    """Return a job from the words of its line."""
    if not facts:
        return None
    took = json.loads(facts[0])
    began = int(time_ns) / 1e9 - took["seconds"]
    return Finished(rule, cell, began, took["seconds"], took["device"], took["gpus"])


def paired(
    jobs: Iterable[Finished], starts: Sequence[tuple[float, Estimates]]
) -> list[tuple[Finished, Estimate | None]]:
    """Return each job with the last estimate that was made before it began, None where there is none.

    Of estimates for several device types the one of the job's own type counts, else the likeliest.
    starts: (seconds since 1970, its estimates), oldest first.
    """
    return [(job, _of_device(_before(job, starts), job.device)) for job in jobs]


def _before(job: Finished, starts: Sequence[tuple[float, Estimates]]) -> list[Any]:
    """Return the estimates of a job's cell from the last start that knew the cell before the job began."""
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
    """Return one row a rule, with its jobs on GPUs and those on CPUs apart.

    Keys: rule, on_gpus, jobs, estimated_s and actual_s (seconds; GPU-seconds on GPUs, where a job that ran on another type of
    device than estimated counts the GPUs that it had), inside (jobs that took between low and high).
    """
    rows: dict[tuple[str, bool], dict[str, Any]] = {}
    for job, guess in pairs:
        sums = dict.fromkeys(("jobs", "estimated_s", "actual_s", "inside"), 0)
        row = rows.setdefault((job.rule, job.gpus > 0), {"rule": job.rule, "on_gpus": job.gpus > 0, **sums})
        row["jobs"] += 1
        row["estimated_s"] += guess.expected * max(1, job.gpus)
        row["actual_s"] += job.seconds * max(1, job.gpus)
        row["inside"] += guess.low <= job.seconds <= guess.high
    return list(rows.values())


def compared(results: str, cells: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return how the estimates of a results folder compare with its finished jobs.

    Args:
        cells: the (rule, cell) to look at, in the order of the stages. Those without a finished job do not count.
    Returns: "stages": rows of `by_stage`; and numbers of jobs: "unplanned" began without an estimate, "resumed" continued a
        killed job (both are in no stage), "elsewhere" are in a stage but ran on another type of device than estimated.
    """
    jobs = finished(results, cells)
    starts = [(_time_ns(path) / 1e9, json.loads(gzip.decompress(path.read_bytes()))) for path in saved(results)]
    pairs = paired(filter(None, jobs), starts)
    estimated = [(job, guess) for job, guess in pairs if guess]
    return {
        "stages": by_stage(estimated),
        "unplanned": len(pairs) - len(estimated),
        "resumed": jobs.count(None),
        "elsewhere": sum(job.device != guess.device for job, guess in estimated),
    }
