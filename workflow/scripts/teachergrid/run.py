"""Run the grid to its end: teachergrid run [--live refuse|wait|cancel] [Snakemake's options]

One command around Snakemake, on a cluster and on one machine. It refuses to start beside another run or beside jobs of a
killed one; ends a Snakemake that waits for jobs which no longer exist, and goes on with what is left; goes on when a cell
dies, and makes the report over what exists. The log is results/logs/run.log, the summary results/run.json.

--live refuse   do not start while jobs of an earlier run of this folder are alive on the cluster (the default)
--live wait     wait for them; what they finish is kept
--live cancel   cancel them; what they saved is gone on from

--plan HASH       run what was agreed, or not at all: the hash or file of a plan (`teachergrid plan`, its --json)
--max-gpu-hours N, --max-usd N, --deadline 48h|3d|2026-05-01T18:00   do not start what is expected to take more, and stop,
                  as by Ctrl-C, when so many GPU-hours are used or the time is over; --cluster, --gpu, --machines: as in `plan`

Ctrl-C            stop: the jobs are cancelled, what is finished or saved is kept; the same command goes on
Ctrl-C twice      stop, and leave the cluster's jobs running; `teachergrid run --live wait` comes back to them
closed terminal   goes on without it, as kill -TERM is one Ctrl-C

TEACHERGRID_WATCH, _HANG, _GRACE, _REFUSED, _GONE: seconds between two looks at squeue (60), without a job before a run counts
as hung (600), for a second Ctrl-C (5), before jobs that sbatch refused are submitted again (60), for cancelled jobs to end (120).

Exit code: 0 all done; 1 some cells failed, or the rest could not be run; 2 not started; 130 stopped, jobs cancelled;
131 stopped, jobs left running; 3 over budget: not started, or stopped.
"""

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import yaml

from . import cluster, devices, disk, failures, grid, lock, options, outcome, pilot, pins, salvage
from .bound import Bound
from .errors import BadInput
from .planning import hindsight
from .planning.budget import OVER
from .planning.graph import described, graph, sorted_jobs
from .progress import Progress
from .supervise import Patience, Signals, Snakemake, follow

RESULTS = "results"
RESTARTS = 3  # of a hung Snakemake, or one whose jobs sbatch refused, without a cell finished in between
# all that a report over what exists may make: with other rules out of sight, nothing that failed is tried again
REPORT = ["--allowed-rules", "all", "correlate", "report"]
CODES = {"stopped": 130, "detached": 131}


def main(argv: list[str]) -> int:
    if {"-h", "--help"} & set(argv):
        print(__doc__.strip())
        return 0
    try:
        asked = options.read(argv)
        if asked.aside:
            return subprocess.call([sys.executable, "-m", "snakemake", *asked.argv])
        # what follows builds graphs, which nobody should wait for, and which a live run's files may end
        lock.dead_holder(RESULTS)
        refuse_missing(asked)
        refuse_other(asked)
        begin(asked)
    except OverBudget as error:
        print(f"not started: {error}", file=sys.stderr)
        return OVER
    except BadInput as error:
        print(f"not started: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("not started", file=sys.stderr)
        return 130
    code = supervised(asked)
    # left behind, the lock tells the next run, of whichever checkout, where to look for jobs
    if code != CODES["detached"]:
        lock.release(RESULTS)
    if code in (0, 1):
        show_reports()
    return code


# --- before the start


def refuse_missing(asked: options.Options) -> None:
    """Raises BadInput when a model is not pinned, when jobs without a network would miss something, and when answers are to
    be written by students whose weights were freed."""
    if names := pins.unpinned(asked.config):
        raise BadInput(f"no commit is stated for {', '.join(names)}; {pins.REMEDY}")
    if any(Path(RESULTS, "students").glob("*/freed.json")):
        dag = graph(asked.argv)
        jobs = described(sorted_jobs(dag.needrun_jobs()))
        if freed := disk.freed_but_needed(jobs, dag.workflow.globals["cells"], asked.argv):
            raise BadInput(disk.refusal(freed, asked.argv))
    if lack := disk.lacking(pilot.at_most(grid.Cells(asked.config)), asked.at_once):
        tell(f"disk: {lack}")
    if asked.on_cluster and pins.entries(asked.config):
        check = [sys.executable, "-m", "teachergrid", "prefetch", "--check", *asked.argv]
        found = subprocess.run(check, capture_output=True, text=True)
        if found.returncode:
            raise BadInput(f"the jobs would miss something:\n{found.stderr.strip()}")
    if asked.on_cluster:
        # compute nodes may have no network, and no job should wait to find out; sbatch passes it on
        os.environ.setdefault("HF_HUB_OFFLINE", "1")


class OverBudget(BadInput):
    """What would run is expected to take more than allowed."""


def refuse_other(asked: options.Options) -> None:
    """Raises BadInput when what would run is not the plan that was agreed, and OverBudget."""
    if not asked.plan.bounded():
        return
    from .planning import budget, diff, document

    found = document.Setting.of(asked.plan).plan(asked.argv)
    if asked.plan.plan is not None:
        diff.refuse(asked.plan.plan, found)
    if limits := budget.over(found, asked.plan):
        raise OverBudget(budget.refusal(found, asked.plan, limits))


def begin(asked: options.Options) -> None:
    """Take the lock of the results, when nothing of an earlier run is alive. Raises BadInput."""
    owner = lock.dead_holder(RESULTS)
    folders = {str(Path.cwd()), *([owner["folder"]] if owner else [])}  # another checkout may share the results
    left = asked.on_cluster and guard(sorted(folders), asked.live)
    lock.take(RESULTS)
    if owner:
        tell(f"the run of process {owner['pid']} died; its lock is freed, and its work goes on")
    if owner or left:
        salvage.free_locks()
        if kept := salvage.keep_finished(RESULTS):
            tell(f"{len(kept)} outputs were finished meanwhile")


def guard(folders: list[str], live: str, every_s: float = 10) -> bool:
    """Return whether there were live jobs of an earlier run; they are gone then. Raises BadInput."""
    found = alive(folders)
    if not found:
        return False
    which = "\n".join(f"  {job.id} {job.state} {job.rule} {job.cell} {job.node}" for job in found[:10])
    count = f"{len(found)} jobs of an earlier run are alive"
    if live == "refuse":
        raise BadInput(
            f"{count}, and would be submitted a second time:\n{which}\nthree ways out: `teachergrid run --live wait` waits for "
            f"them and keeps what they finish, `--live cancel` cancels them, or: scancel {' '.join(job.id for job in found)}"
        )
    tell(f"{count}: {'waiting for them' if live == 'wait' else 'cancelled'}\n{which}")
    while found:
        if live == "cancel":
            cluster.cancel(job.id for job in found)
        time.sleep(every_s if live == "wait" else 1)
        found = alive(folders)
    return True


def alive(folders: list[str]) -> list[cluster.Job]:
    found = [cluster.live(folder) for folder in folders]
    if None in found:
        raise BadInput(
            "squeue does not answer, so nobody knows whether jobs of an earlier run are alive; try again later"
        )
    return [job for jobs in found for job in jobs]


# --- the run


def supervised(asked: options.Options) -> int:
    """Run Snakemake until nothing is left that it can do; then the report over what exists. Return the exit code."""
    folder = str(Path.cwd()) if asked.on_cluster else None
    runs, patience, idle, phases = [], Patience.of_environment(), 0, 1
    cells = grid.Cells(asked.config)
    path = Path(RESULTS, outcome.LOG)
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        file, signals = stack.enter_context(path.open("ab", buffering=0)), stack.enter_context(Signals())
        log = Log(file)
        limits = asked.plan.max_gpu_hours, asked.plan.deadline
        bound = stack.enter_context(Bound(*limits, folder, signals.stop, log.say))
        log.write(f"---- teachergrid run {' '.join(asked.argv)}, process {os.getpid()}")
        summary = outcome.begin(RESULTS, asked.argv)
        hindsight.note(cells, asked, RESULTS, log.say)
        while True:
            code, how, run = once(asked.argv, log, signals, folder, patience, bound)
            runs.append(run)
            if code == 0 and (now := grid.Cells(asked.config)).chosen != cells.chosen:
                grids = (name for name in now.chosen if now.chosen[name] != cells.chosen.get(name))
                log.say(f"the pilot of {', '.join(grids)} has chosen: on with it")
                cells, phases = now, phases + 1
                hindsight.note(cells, asked, RESULTS, log.say)
                continue
            idle = 0 if run.done else idle + 1
            refused = how == "ended" and any(run.why(job).kind == failures.REFUSED for job in run.failed)
            if not (refused or how == "hung") or idle > RESTARTS:
                break
            if refused and not signals.idle(patience.refused):
                how = "stopped"
                break
            log.say("started again with what is left")
        report = None
        if code and how == "ended" and any_made() and not asked.targets and run.total:
            log.say("some cells failed; the report is made over what exists")
            partial = options.with_config(asked.argv, "partial=True") + REPORT
            failed, how, _ = once(partial, log, signals, folder, patience, bound)
            report = None if failed else "partial"
        elif not code:
            report = "complete"
        ended = OVER if bound.broken and how == "stopped" else CODES.get(how)
        code = ended or (2 if code and run.total is None else int(code != 0 or how == "hung"))
        summary = outcome.end(RESULTS, summary, code, runs, report, folder, phases)
        for line in outcome.lines(RESULTS, summary):
            log.say(line)
    return code


def once(
    argv: list[str], log: "Log", signals: Signals, folder, patience: Patience, bound: Bound | None = None
) -> tuple[int, str, Progress]:
    """Run Snakemake once. Return its exit code, how it ended (see follow) and what it did; none of its jobs is left."""
    progress = Progress(log.say, has_gpus=bool(folder or devices.known()))
    if bound:
        bound.progress = progress
    snakemake = Snakemake(argv, log.write, progress)
    how = follow(snakemake, signals, progress, folder, patience)
    code = snakemake.close()
    if code == 0 and progress.total is None:
        log.say("nothing to do: every result is up to date")
    if how != "ended":
        salvage.free_locks()
    if how == "detached":
        log.say(
            "stopped; the cluster's jobs go on: `teachergrid run --live wait` waits for them and goes on from there"
        )
    else:
        settle(folder, log, patience)
    if how == "stopped":
        log.say("stopped; what is finished is kept, run again to go on")
    return code, how, progress


def settle(folder, log: "Log", patience: Patience) -> None:
    """Cancel what Snakemake has left on the cluster, and see it gone."""
    end = time.monotonic() + patience.gone
    while folder and time.monotonic() < end:
        left = cluster.live(folder)
        if left == []:
            return
        if stray := [job.id for job in left or [] if job.state != "COMPLETING"]:
            log.say(f"cancelling {len(stray)} jobs that Snakemake has left: {' '.join(stray[:10])}")
            cluster.cancel(stray)
        time.sleep(2)
    if folder:
        log.say("squeue still shows jobs of this run, or does not answer: look with squeue --me before the next run")


class Log:
    """results/logs/run.log: all that Snakemake and we say, each line with its time.

    file: binary and unbuffered, since what a full disk refuses would be tried again, and fail, when it is closed.
    """

    def __init__(self, file):
        self.file = file

    def write(self, text: str) -> None:
        # a full disk must not end the run that the jobs hang on; the terminal still says it all
        with disk.spared():
            for line in text.split("\n"):
                self.file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n".encode())

    def say(self, line: str) -> None:
        self.write(line)
        tell(line)


def tell(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


# --- after the end


def any_made() -> bool:
    return any(Path(RESULTS).glob("scores/*/*/*.parquet"))


def show_reports() -> None:
    """Print the answer of each grid, and where its report is."""
    for path in sorted(Path(RESULTS).glob("grids/*/recommendation.yaml")):
        found = yaml.safe_load(path.read_text()) or {}
        for base, answer in (found.get("bases") or {}).items():
            if answer.get("best") is not None:
                tied = [unit for unit in answer.get("tied") or [] if unit != answer["best"]]
                beside = f"; not distinguishable from {', '.join(tied)}" if tied else ""
                print(
                    f"{path.parent.name}: for {base} take {answer['best']}: {answer['value']:.1f} "
                    f"[{answer['low']:.1f}, {answer['high']:.1f}]{beside}"
                )
        print(f"report: {path.parent / 'report.html'}")
