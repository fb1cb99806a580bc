"""How a run ended, or that it is alive: results/run.json for programs, some lines of text for people, and for who is to be told."""

import json
import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypedDict

from ..job import failures
from ..slurm import scheduler
from ..store import disk, lock, origin
from ..store.results import RESULTS
from ..units import span
from .progress import Failed, Progress
from .supervise import tell

SUMMARY = "run.json"
LOG = "logs/run.log"
NOTIFY_S = 60  # for which the command of --notify may take


class Result(NamedTuple):
    """How a run ended.

    code: exit code of the run. starts: what each start of Snakemake did. report: complete, partial or None.
    phases: how many of the starts began a phase; the others are restarts.
    """

    code: int
    starts: list[Progress]
    report: str | None
    phases: int = 1


class Report(TypedDict):
    """A report. report: its path. answers: in words, what they rest on where that is in doubt, and for each base which teacher to take."""

    grid: str
    report: str
    answers: list[str]


class FailedCell(TypedDict):
    """A cell that failed. cell: "rule wildcard/wildcard". kind, line, remedy: see job.failures. logs: paths. slurm: job id."""

    cell: str
    kind: str
    line: str
    remedy: str
    logs: list[str]
    slurm: str | None


class Summary(TypedDict, total=False):
    """The content of results/run.json. The first five keys exist from the start; `ended` stays null if the run is killed."""

    started: float  # seconds since 1970
    ended: float | None
    argv: list[str]
    cluster: bool  # whether jobs run on a cluster
    code: int | None
    done: list[str]  # cells
    failed: list[FailedCell]
    waiting: dict[str, int]  # {rule: number of cells that were not made}
    restarts: int
    errors: list[str]  # of Snakemake itself
    report: str | None  # complete, partial, or None where this run has made none
    gpu_hours: float
    gpu_hours_from: str  # sacct or benchmarks


def begin(results: str, argv: list[str], folder: str | None = None) -> Summary:
    """Write and return the summary of a run that begins. folder: from which the cluster's jobs are submitted; None without one."""
    summary: Summary = {
        "started": time.time(),
        "ended": None,
        "argv": argv,
        "cluster": folder is not None,
        "code": None,
    }
    write(results, summary)
    return summary


def end(results: str, summary: Summary, result: Result, folder: str | None) -> Summary:
    """Complete the summary, write it and return it. Failed and waiting cells are those of the last start of Snakemake.

    folder: from which the cluster's jobs were submitted; None without a cluster.
    """
    last = result.starts[-1]
    rows = (
        [row for row in scheduler.accounting(folder, summary["started"]) if row["submitted"] >= summary["started"] - 1]
        if folder
        else []
    )
    used = sum(row["elapsed_s"] * row["gpus"] for row in rows) if rows else sum(map(benchmarked, result.starts))
    summary |= {
        "ended": time.time(),
        "code": result.code,
        "done": [start.name(job) for start in result.starts for job in start.done],
        "failed": [failed_cell(failed) for failed in last.failed.values()],
        "waiting": {rule: n for rule, n in sorted(last.waiting.items()) if n > 0},
        "restarts": len(result.starts) - result.phases,
        "errors": [text for start in result.starts for text in start.errors],
        "report": result.report,
        "gpu_hours": round(used / 3600, 4),
        "gpu_hours_from": "sacct" if rows else "benchmarks",
    }
    write(results, summary)
    for failed in last.failed.values():
        # written again where the disk was full when the job failed
        if not failures.record_path(results, failed.record.rule, failed.record.cell).exists():
            failures.write(results, failed.record)
    return summary


def failed_cell(failed: Failed) -> FailedCell:
    """Return a failed job in the form of the summary."""
    record = failed.record
    return {
        "cell": record.job,
        "kind": record.kind,
        "line": record.line,
        "remedy": record.failure.remedy,
        "logs": failed.logs,
        "slurm": failed.slurm,
    }


def benchmarked(run: Progress) -> float:
    """Return the GPU-seconds of the cells that one start of Snakemake finished, by their benchmark files."""
    used = 0.0
    for job in (run.jobs[number] for number in run.done):
        path = Path(job["benchmark"] or "")
        if job["gpus"] and path.is_file():
            used += sum(json.loads(line)["s"] for line in path.read_text().splitlines()) * job["gpus"]
    return used


def write(results: str, summary: Summary) -> None:
    with disk.spared():
        origin.replace_text(Path(results, SUMMARY), json.dumps(summary, indent=1) + "\n")


def lines(results: str, summary: Summary) -> list[str]:
    """Return the summary as lines of text: the failures by class, then counts and times."""
    text = []
    for group in failures.grouped((failed["kind"], failed) for failed in summary["failed"]):
        cells = group["cells"]
        text += [f"{len(cells)} failed: {group['kind']}. {group['remedy']}"]
        text += [f"  {failed['cell']}: {failed['line']}" for failed in cells[:3]]
        text += [f"  and {len(cells) - 3} more"] * (len(cells) > 3)
    # errors of Snakemake itself, such as a full disk; without an exit code a restart has overcome them
    shown = {failures.UNKNOWN, *(failed["kind"] for failed in summary["failed"])}
    kinds = dict.fromkeys(failures.classify(error).kind for error in summary["errors"] if summary["code"])
    text += [f"Snakemake itself was stopped: {kind}. {failures.REMEDIES[kind]}" for kind in kinds if kind not in shown]
    waiting = ", ".join(f"{rule} {n}" for rule, n in summary["waiting"].items())
    parts = [f"{len(summary['done'])} done", f"{len(summary['failed'])} failed"]
    why = "waiting for them or not begun" if summary["failed"] else "not made"
    parts += [f"{sum(summary['waiting'].values())} {why} ({waiting})"] * bool(waiting)
    parts += [f"{summary['restarts']} restarts"] * bool(summary["restarts"])
    parts += [f"{summary['gpu_hours']:.1f} GPU-hours"] * (summary["gpu_hours"] >= 0.05)
    parts += [span((summary["ended"] or time.time()) - summary["started"], largest="h")]
    return [*text, ", ".join(parts), f"log: {results}/{LOG}; summary: {results}/{SUMMARY}"]


def answers(results: str, grids: Iterable[str]) -> Iterator[str]:
    """Yield the recommended teacher of each grid and base, and where the report is.

    Args:
        grids: of the run's config; the results may hold those of other configs, too.
    """
    for found in reports(results, grids):
        yield from (f"{found['grid']}: {line}" for line in found["answers"])
        yield f"report: {found['report']}"


def reports(results: str, grids: Iterable[str]) -> list[Report]:
    """Return the reports that exist of these grids, with their answers."""
    import yaml  # slow to import

    made: list[Report] = []
    for grid in sorted(grids):
        folder = Path(results, "grids", grid)
        if not Path(folder, "recommendation.yaml").exists():
            continue
        found = yaml.safe_load(Path(folder, "recommendation.yaml").read_text()) or {}
        bases = found.get("bases") or {}
        lines = [f"for {base} {in_words(answer)}" for base, answer in bases.items() if answer.get("best") is not None]
        # what the answers rest on comes first, where a judge behind them is not independent
        said = [*(found.get("evidence") or []), *lines] if lines else []
        made.append({"grid": grid, "report": str(folder / "report.html"), "answers": said})
    return made


def in_words(answer: Mapping) -> str:
    """Return which teacher to take. answer: of a base that has one, from recommendation.yaml."""
    best = f"{answer['best']}: {answer['value']:.1f} [{answer['low']:.1f}, {answer['high']:.1f}]"
    tied = [unit for unit in answer.get("tied") or [] if unit != answer["best"]]
    also = f"; statistically tied with {', '.join(tied)}" if tied else ""
    return f"take {best}{also}{_against_untuned(answer)}"


def _against_untuned(answer: Mapping) -> str:
    """Return in words that the best student may not beat the untuned base; "" where it does, or nothing is known."""
    low, high = answer.get("gain_low"), answer.get("gain_high")
    if answer.get("gain") is None or (low is not None and low > 0):
        return ""
    untuned = answer["untuned_reference"]
    if high is not None and high < 0:
        return f"; but no student beats the untuned base ({untuned})"
    return f"; whether it beats the untuned base ({untuned}) is open"


def notify(command: str, code: int, told: list[str]) -> None:
    """Tell somebody that a run has ended. What goes wrong here changes nothing about the run.

    Args:
        command: of the user, for a shell. It reads `told` from its standard input, and the exit code of the run from the environment
            variable TEACHERGRID_EXIT_CODE.
        code: the exit code.
        told: lines about how the run ended.
    """
    text, env = "\n".join([*told, ""]), {**os.environ, "TEACHERGRID_EXIT_CODE": str(code)}
    try:
        done = subprocess.run(
            command, shell=True, input=text, text=True, env=env, timeout=NOTIFY_S, capture_output=True, errors="replace"
        )
    except subprocess.TimeoutExpired:
        tell(f"--notify: {command}: no end within {NOTIFY_S} s")
    else:
        if done.returncode:
            tell(f"--notify: {command}: exit code {done.returncode}: {done.stderr.strip()[-300:]}")


# --- the last run, seen from outside


def summary() -> Summary:
    """Return the summary of the last run; an empty one where there is none, or a full disk has cut it off."""
    try:
        return json.loads(Path(RESULTS, SUMMARY).read_text())
    except (OSError, ValueError):
        return {}


def who_runs(queue: list[scheduler.Job] | None) -> str:
    """Return in words which run works on the results. queue: its live jobs on the cluster; None without an answer of squeue."""
    owner = lock.holder(RESULTS)
    silent = "; squeue does not answer, so what runs there is unknown" if queue is None else ""
    if owner is None:
        left = f"{counted(queue)} on the cluster: {wait()}" if queue else ""
        cut = "the last run left no summary: it was killed, or the disk was full (results/logs/run.log)"
        last = summary()
        return (
            "; ".join(["no run is alive", *[left] * bool(left), *[cut] * (bool(last) and not last.get("ended"))])
            + silent
        )
    who = lock.described(owner)
    if not lock.is_dead(owner):
        return f"run of {who}{silent}"
    if queue:
        return f"the run of {who} died and has left {counted(queue)} on the cluster: {wait()}"
    if working := lock.orphaned_jobs(owner["folder"] or ""):
        pids = ", ".join(map(str, working))
        return f"the run of {who} died, and its jobs still work (processes {pids}): `teachergrid run` continues when they have ended{silent}"
    return f"the run of {who} died; `teachergrid run` continues it{silent}"


def counted(queue: list[scheduler.Job]) -> str:
    return f"{len(queue)} job{'s' * (len(queue) != 1)}"


def wait() -> str:
    return "`teachergrid run --live wait` waits for them and continues, `--live cancel` cancels them first"
