"""What became of a run: results/run.json for programs, some lines for people."""

import json
import time
from collections import Counter
from pathlib import Path

from . import cluster, disk, failures, origin
from .progress import Progress
from .units import span

SUMMARY = "run.json"
LOG = "logs/run.log"


def begin(results: str, argv: list[str]) -> dict:
    """Write the summary of a run that has begun, and return it; `ended` stays null when it is killed."""
    summary = {"started": time.time(), "ended": None, "argv": argv, "code": None}
    write(results, summary)
    return summary


def end(
    results: str, summary: dict, code: int, runs: list[Progress], report: str | None, folder, phases: int = 1
) -> dict:
    """Complete the summary, write and return it.

    runs: each start of Snakemake, of which `phases` were for a phase of their own; what has failed and what waits is the
    last one's. report: complete, partial or None.
    folder: of the cluster's jobs, None without a cluster. Keys: started and ended (seconds since 1970), argv, code, done
    (cells), failed (cell, kind, line, remedy, logs, slurm), waiting (rule: number of cells not made because of them),
    restarts, errors (of Snakemake itself), report, gpu_hours, gpu_hours_from (sacct or benchmarks).
    """
    last = runs[-1]
    rows = (
        [row for row in cluster.accounting(folder, summary["started"]) if row["submitted"] >= summary["started"] - 1]
        if folder
        else []
    )
    used = sum(row["elapsed_s"] * row["gpus"] for row in rows) if rows else sum(map(benchmarked, runs))
    summary |= {
        "ended": time.time(),
        "code": code,
        "done": [run.name(job) for run in runs for job in run.done],
        "failed": [failure(last, job) for job in last.failed],
        "waiting": {rule: n for rule, n in sorted(last.waiting.items()) if n > 0},
        "restarts": len(runs) - phases,
        "errors": [text for run in runs for text in run.errors],
        "report": report,
        "gpu_hours": round(used / 3600, 4),
        "gpu_hours_from": "sacct" if rows else "benchmarks",
    }
    write(results, summary)
    return summary


def failure(run: Progress, job: int) -> dict:
    why, failed = run.why(job), run.failed[job]
    return {"cell": run.name(job), **why._asdict(), "logs": failed["logs"], "slurm": failed.get("slurm")}


def benchmarked(run: Progress) -> float:
    """Return the GPU-seconds of the cells that a run finished, by their benchmark files."""
    used = 0.0
    for known in (run.jobs[job] for job in run.done):
        path = Path(known["benchmark"] or "")
        if known["gpus"] and path.is_file():
            used += sum(json.loads(line)["s"] for line in path.read_text().splitlines()) * known["gpus"]
    return used


def write(results: str, summary: dict) -> None:
    with disk.spared():
        origin.replace_text(Path(results, SUMMARY), json.dumps(summary, indent=1) + "\n")


def lines(results: str, summary: dict) -> list[str]:
    """Return the summary in words: the failures by class, then the counts."""
    text = []
    for kind, n in Counter(failed["kind"] for failed in summary["failed"]).most_common():
        mine = [failed for failed in summary["failed"] if failed["kind"] == kind]
        text += [f"{n} failed: {kind}. {mine[0]['remedy']}"]
        text += [f"  {failed['cell']}: {failed['line']}" for failed in mine[:3]]
        text += [f"  and {n - 3} more"] * (n > 3)
    # such as a full disk on which it cannot note what finished; a restart may have got over it
    told = {failures.UNKNOWN, *(failed["kind"] for failed in summary["failed"])}
    own = dict.fromkeys(failures.classify(error).kind for error in summary["errors"] if summary["code"])
    text += [f"Snakemake itself was stopped: {kind}. {failures.REMEDIES[kind]}" for kind in own if kind not in told]
    waiting = ", ".join(f"{rule} {n}" for rule, n in summary["waiting"].items())
    parts = [f"{len(summary['done'])} done", f"{len(summary['failed'])} failed"]
    parts += [f"{sum(summary['waiting'].values())} wait for them or were not begun ({waiting})"] * bool(waiting)
    parts += [f"{summary['restarts']} restarts"] * bool(summary["restarts"])
    parts += [f"{summary['gpu_hours']:.1f} GPU-hours"] * (summary["gpu_hours"] >= 0.05)
    parts += [span(summary["ended"] - summary["started"], largest="h")]
    return [*text, ", ".join(parts), f"log: {results}/{LOG}; summary: {results}/{SUMMARY}"]
