"""The state of a grid: cells by stage and state, what runs where, failures by class, time left, GPU-hours, disk.

This only reads: it takes no lock and builds no graph, so it can be called while a run is outcome. A cell is done when its outputs
exist, were made with the current settings and inputs, and the cells that made its inputs are done too. `teachergrid plan` also
compares the contents of inputs, and says what a run would do and why.
"""

import json
import os
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from ..cost import saved_estimates
from ..engines import spending
from ..job import attempts, failures
from ..slurm import scheduler
from ..store import disk, history, lock, origin
from ..store.results import RESULTS
from . import outcome, permissions
from .cell_status import BLOCKED, DONE, FAILED, RUNNING, STATES, TO_DO, UNKNOWN, WAITING, CellStatus, expanded

if TYPE_CHECKING:
    from .status_page import View

STOPPED = (130, 131)  # exit codes of a run that the user has stopped
ANSWER_S = 8  # seconds that a person waits for SLURM's answer
IN_QUEUE = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}


# --- their states


def look(grid: list[CellStatus], queue: list[scheduler.Job], accounts: list[scheduler.Start]) -> None:
    """Set the state of every cell. queue: live SLURM jobs. accounts: what sacct knows."""
    owner = lock.holder(RESULTS)
    host = owner["host"] if owner and not lock.is_dead(owner) else None  # of a live run
    jobs = {(job.rule, job.cell): job for job in queue}
    states = {(row["rule"], row["cell"]): row["state"] for row in accounts}
    records = failures.read(RESULTS)
    last_run = outcome.summary()
    stopped = last_run.get("code") in STOPPED
    made, gone = set[CellStatus](), set[CellStatus]()
    for cell in grid:
        key = cell.rule, cell.cell
        marker = history.record_path(Path(".snakemake/incomplete"), cell.outputs[0])
        begun = os.path.getmtime(marker) if os.path.exists(marker) else None
        if job := jobs.get(key):
            cell.state = WAITING if job.state in IN_QUEUE else RUNNING
            cell.node, cell.elapsed_s, cell.limit_s = job.node, job.elapsed_s, job.limit_s
            cell.slurm, cell.partition, cell.reason = job.id, job.partition, job.reason
        elif is_made(cell, begun is not None and host is not None):
            made.add(cell)
        elif begun is not None:  # without a live run: the next one continues from what this job has saved
            in_flight(cell, host, begun, on_cluster=last_run.get("cluster", False))
        elif failure := records.get(key) or ended_by_slurm(cell, states.get(key), stopped):
            cell.state, cell.failure = FAILED, failure
        elif not any(map(os.path.exists, cell.outputs)):
            gone.add(cell)
    for cell in complete(grid, made, gone):
        cell.state = DONE
    # pass by pass, since an evolved set is read by jobs of rules that come before its own
    while blocked := [cell for cell in grid if cell.state == TO_DO and any(map(is_stuck, cell.upstream))]:
        for cell in blocked:
            cell.state = BLOCKED


def is_stuck(cell: CellStatus) -> bool:
    """Whether what reads a cell's output has to wait until somebody does something."""
    return cell.state in (FAILED, BLOCKED)


def in_flight(cell: CellStatus, host: str | None, begun: float, on_cluster: bool) -> None:
    """Set the state of a cell that has begun and is not in the queue. host: of a live run, on which its local jobs are.

    A job of the cluster may wait or run without being in the queue that we see: another user's, or squeue does not answer.
    """
    if host is None:
        cell.state = TO_DO
    elif on_cluster and not cell.local:
        cell.state = UNKNOWN
    else:
        cell.state, cell.node, cell.elapsed_s = RUNNING, host, time.time() - begun


def complete(grid: list[CellStatus], made: set[CellStatus], gone: set[CellStatus]) -> set[CellStatus]:
    """Return the cells that a run would not make again.

    These are cells in `made` whose upstream cells are complete, and cells in `gone` (their outputs were deleted) if all cells that
    read them are complete: Snakemake makes a deleted file again only for a job that reads it.
    """
    readers = defaultdict(set)
    for cell in grid:
        for needed in cell.upstream:
            readers[needed].add(cell)
    complete_cells, before = made | gone, None
    while complete_cells != before:
        before = complete_cells
        complete_cells = {
            cell
            for cell in before
            if cell.upstream <= before and (cell in made or (readers[cell] and readers[cell] <= before))
        }
    return complete_cells


def is_made(cell: CellStatus, in_flight: bool) -> bool:
    """Whether the outputs exist and were made from the current settings and inputs.

    in_flight: Snakemake has not noticed the end of the job yet, so its record is out of date. Then the origin counts that the
    output itself carries.
    """
    for path in cell.outputs:
        if not os.path.exists(path):
            return False
        record = None if in_flight else history.read(RESULTS, path)
        if record is not None:
            if record["params"] != [repr(cell.spec)] or set(record["input"]) != set(cell.inputs):
                return False
        elif not os.access(path, os.R_OK) or (made_from := origin.read(path)) is None or made_from["spec"] != cell.spec:
            return False
    return True


def ended_by_slurm(cell: CellStatus, slurm_state: str | None, stopped: bool) -> failures.Record | None:
    """Return the failure of a job that SLURM ended when no run was alive to record it; None for any other job.

    stopped: whether the user stopped the last run; jobs that were cancelled by that have not failed.
    """
    kind = failures.STATES.get(failures.state_of(slurm_state))
    if kind is None or (kind == failures.CANCELLED and stopped) or any(map(os.path.exists, cell.outputs)):
        return None
    return failures.Record(cell.rule, cell.cell, *failures.classify("", slurm_state), cell.outputs)


# --- the view


def gather(argv: list[str]) -> "View":
    """Return the values that text, JSON and page show. Times are seconds, sizes bytes; None is unknown."""
    folder, has_slurm, owner = Path.cwd(), scheduler.available(), lock.holder(RESULTS)
    theirs = scheduler.of_user(owner["user"]) if owner and owner["user"] and not lock.is_mine(owner) else None
    with ThreadPoolExecutor() as pool:  # SLURM may answer slowly
        live_jobs = pool.submit(lambda: queued(folder, theirs) if has_slurm else [])
        past_jobs = pool.submit(lambda: scheduler.accounting(folder, first_start(), ANSWER_S) if has_slurm else [])
        grid, later = expanded(argv)
        queue, accounts = live_jobs.result(), past_jobs.result()
    look(grid, queue or [], accounts)
    stages = {rule: dict.fromkeys(STATES, 0) for rule in dict.fromkeys(cell.rule for cell in grid)}
    for cell in grid:
        stages[cell.rule][cell.state] += 1
    took = seconds_of(grid)
    return {
        "stages": stages,
        "run": outcome.who_runs(queue),
        "reports": outcome.reports(RESULTS, [cell.cell for cell in grid if cell.rule == "report"]),
        "running": [
            {
                "job": cell.name,
                "node": cell.node,
                "elapsed_s": cell.elapsed_s,
                "limit_s": cell.limit_s,
                "slurm": cell.slurm,
                "partition": cell.partition,
            }
            for cell in grid
            if cell.state == RUNNING
        ],
        "waiting": [
            {"job": cell.name, "slurm": cell.slurm, "partition": cell.partition, "reason": cell.reason}
            for cell in grid
            if cell.state == WAITING
        ],
        "time_left": time_left(grid, took),
        "phase_two": later,
        "failures": failures.grouped(shown(cell.failure) for cell in grid if cell.failure),
        "retried": retried(grid),
        "gpu_hours": gpu_hours(grid, took, accounts),
        "endpoints": spending.spent_at(RESULTS),
        "estimates": saved_estimates.compared(RESULTS, [(cell.rule, cell.cell) for cell in grid if cell.state == DONE]),
        "disk": disk_used(),
        "unread": permissions.unread(RESULTS),
        "disk_free": disk.free_bytes(RESULTS),
    }


def queued(folder: Path, theirs: tuple[str, ...] | None) -> list[scheduler.Job] | None:
    """Return our live jobs, and those of another user whose run holds the lock (see scheduler.live); None without an answer."""
    answers = [scheduler.live(folder, whose, ANSWER_S) for whose in (scheduler.ME, theirs) if whose]
    return [job for jobs in answers for job in jobs or []] if None not in answers else None


def shown(failure: failures.Record) -> tuple[str, dict]:
    """Return (kind of failure, values that are shown of the failed job)."""
    return failure.kind, {"job": failure.job, "line": failure.line, "log": failure.log}


def retried(grid: list[CellStatus]) -> list[dict]:
    """Return {"job", "state", "tries"} of the cells with earlier tries in the last run, or that are not done."""
    begun = outcome.summary().get("started", 0.0)
    found = []
    for cell in grid:
        tries = attempts.read(RESULTS, cell.rule, cell.cell)
        if tries := [one for one in tries if cell.state != DONE or one.time >= begun]:
            found.append({"job": cell.name, "state": cell.state, "tries": attempts.shown(tries)})
    return found


def first_start() -> float:
    """Return a time, in seconds since 1970, before the first cell of these results began, judged by the benchmark files."""
    times = [path.stat().st_mtime for path in Path(RESULTS, "benchmarks").rglob("*.jsonl")]
    return min(times, default=time.time()) - 7 * 86400


def seconds_of(grid: list[CellStatus]) -> dict[str, dict[str, float]]:
    """Return {rule: {cell: seconds of its last successful try}}."""
    took: dict[str, dict[str, float]] = defaultdict(dict)
    for cell in grid:
        path = Path(RESULTS, "benchmarks", cell.rule, f"{cell.cell}.jsonl")
        if os.access(path, os.R_OK):
            took[cell.rule][cell.cell] = sum(json.loads(line)["s"] for line in path.read_text().splitlines())
    return took


def time_left(grid: list[CellStatus], took: dict) -> dict:
    """Return the time left.

    Keys: job_s (seconds of all jobs to go, one after another), at_a_time (jobs that run now), seconds (job_s / at_a_time, None
    where none runs), unknown ({rule: jobs to go} for rules of which no job has finished; not in job_s). Rules without a
    benchmark take no time worth counting.
    """
    job_s, unknown = 0.0, Counter[str]()
    for cell in grid:
        if cell.timed and cell.state in (RUNNING, WAITING, TO_DO, UNKNOWN):
            finished = took[cell.rule]
            if finished:
                job_s += max(0.0, sum(finished.values()) / len(finished) - (cell.elapsed_s or 0))
            else:
                unknown[cell.rule] += 1
    at_a_time = sum(cell.state == RUNNING for cell in grid)
    seconds = job_s / at_a_time if at_a_time else None
    return {"job_s": job_s, "at_a_time": at_a_time, "seconds": seconds, "unknown": dict(unknown)}


def gpu_hours(grid: list[CellStatus], took: dict, accounts: list[scheduler.Start]) -> dict:
    """Return {"hours": GPU-hours used, "of": what they cover}: all tries by SLURM's accounting, else finished cells only."""
    if accounts:
        seconds = sum(row["elapsed_s"] * row["gpus"] for row in accounts)
        return {"hours": seconds / 3600, "of": "all tries, by SLURM's accounting"}
    done = saved_estimates.finished(RESULTS, [(cell.rule, cell.cell) for cell in grid])
    # on a machine without GPUs a job used none, whatever it requested
    used = {(job.rule, job.cell): job.gpus for job in done if job}
    seconds = sum(took[cell.rule].get(cell.cell, 0) * used.get((cell.rule, cell.cell), cell.gpus) for cell in grid)
    return {"hours": seconds / 3600, "of": "finished cells"}


def disk_used() -> dict[str, int]:
    """Return the bytes below each folder of the results, the largest first."""
    used: Counter[str] = Counter()
    for folder, _, files in os.walk(RESULTS):
        stage = Path(folder).relative_to(RESULTS).parts[:1]
        for name in files:
            path = os.path.join(folder, name)
            if os.path.lexists(path):  # gone meanwhile
                used[stage[0] if stage else "."] += os.lstat(path).st_size
    return dict(used.most_common())
