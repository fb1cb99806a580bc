"""`teachergrid run`: run the grid to its end (see parser.py for its options and exit codes).

One command around Snakemake, on a cluster or on one machine. It refuses to start while another run, or jobs of a killed run, are
alive; restarts a Snakemake that waits for jobs which no longer exist; and continues when a cell fails: the report is then made
from the results that exist.
"""

import os
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..engines import spending
from ..errors import BadInput
from ..grid import cells as grid_cells
from ..grid import start
from ..job import devices, failures
from ..planning import graph
from ..planning.budget import OVER
from ..planning.options import inserted
from ..run import hindsight, options, outcome, permissions, preflight
from ..run.progress import Progress
from ..run.spend_limit import Bound
from ..run.supervise import DETACHED, ENDED, HUNG, STOPPED, Context, Log, Signals, Snakemake, Supervision
from ..slurm import scheduler
from ..slurm.patience import Patience
from ..store import history, lock, origin
from ..store.results import RESULTS

RESTARTS = 3  # of a hung Snakemake, or one whose jobs sbatch refused, without a cell finished in between
# a partial report may only run these rules, so that no failed cell is tried again
REPORT = ["--allowed-rules", "all", "correlate", "report"]
CODES = {STOPPED: 130, DETACHED: 131}


def main(own: Namespace, argv: list[str]) -> int:
    """Run the grid and return the exit code. own: our options; argv: Snakemake's."""
    code, told = begun(own, argv)
    if own.notify and told:
        outcome.notify(own.notify, code, told)
    return code


def begun(own: Namespace, argv: list[str]) -> tuple[int, list[str]]:
    """Run the grid. Return the exit code, and lines about how it ended; none where Snakemake did something else."""
    try:
        request = options.read(own, argv)
        if request.pass_on:
            return subprocess.call([sys.executable, "-m", "snakemake", *request.argv]), []
        # first, because what follows builds graphs: that takes time, and fails where a live run's files change
        lock.dead_holder(RESULTS)
        permissions.refuse_unwritable(RESULTS)
        preflight.refuse_missing(request)
        preflight.refuse_other(request)
        preflight.begin(request)
        permissions.follow_umask(RESULTS)
    except preflight.OverBudget as error:
        return not_started(OVER, f"not started: {error}")
    except BadInput as error:
        lock.release(RESULTS)
        return not_started(2, f"not started: {error}")
    except KeyboardInterrupt:
        lock.release(RESULTS)
        return not_started(130, "not started")
    code, report, told = supervised(request)
    permissions.follow_umask(RESULTS)
    # a lock that stays tells the next run, from whichever checkout, in which folder jobs are alive
    if code != CODES[DETACHED]:
        # after the partial report, which is not to be made from results of an earlier config
        start.put_back()
        start.forget()
        spending.begin_run(RESULTS, None)
        lock.release(RESULTS)
    if report:
        answers = [*outcome.answers(RESULTS, request.config["grids"])]
        print("\n".join(answers))
        told += answers
    return code, told


def not_started(code: int, why: str) -> tuple[int, list[str]]:
    print(why, file=sys.stderr)
    return code, [why]


# --- the run


def supervised(request: options.Options) -> tuple[int, str | None, list[str]]:
    """Run Snakemake until there is nothing more that it can do, then make the report.

    Return the exit code, which report there is, and the summary in lines.
    """
    folder = str(Path.cwd()) if request.on_cluster else None
    log_file = os.fdopen(origin.opened(Path(RESULTS, outcome.LOG), os.O_APPEND), "ab", buffering=0)
    with ExitStack() as stack:
        log, signals = Log(stack.enter_context(log_file)), stack.enter_context(Signals())
        limits = request.plan.max_gpu_hours, request.plan.deadline
        bound = stack.enter_context(Bound(*limits, folder, signals.stop, log.say))
        context = Context(log, signals, folder, Patience.of_environment(), bound)
        log.write(f"---- teachergrid run {' '.join(request.argv)}, process {os.getpid()}")
        summary = outcome.begin(RESULTS, request.argv, folder)
        run = Run(request, context)
        while run.goes_on():
            pass
        report = run.report()
        result = outcome.Result(run.exit_code(), run.starts, report, run.phases)
        summary = outcome.end(RESULTS, summary, result, folder)
        told = outcome.lines(RESULTS, summary)
        for line in told:
            log.say(line)
    return result.code, result.report, told


class Run:
    """One call of `teachergrid run`: as many starts of Snakemake as it needs.

    code, how: of the last start. starts: what each start did. phases: how many starts began a phase. idle: starts in a row in which
    no cell was finished.
    """

    def __init__(self, request: options.Options, context: Context) -> None:
        self.request, self.context = request, context
        self.code, self.how = 0, ENDED
        self.starts: list[Progress] = []
        self.phases, self.idle = 1, 0
        self.cells = grid_cells.Cells(request.config)
        self.expected = self.note_estimates()

    def goes_on(self) -> bool:
        """Start Snakemake once, and return whether it has to be started again."""
        self.code, self.how, progress = once(self.request.argv, self.context, self.expected, self.forced())
        self.starts.append(progress)
        if self.code == 0 and self.next_phase():
            return True
        self.idle = 0 if progress.done else self.idle + 1
        refused = self.how == ENDED and any(
            failed.record.kind == failures.REFUSED for failed in progress.failed.values()
        )
        if not (refused or self.how == HUNG) or self.idle > RESTARTS:
            return False
        if refused and not self.context.signals.idle(self.context.patience.refused):
            self.how = STOPPED
            return False
        self.context.log.say("started again for the remaining cells")
        return True

    def forced(self) -> set[str] | None:
        """Return the outputs that the next start has to force: each one once a run. None: as the options say."""
        if not self.request.forces or not self.starts:
            return None
        made = {path for start in self.starts for job in start.done for path in start.jobs[job]["outputs"]}
        return {*graph.forced(self.request.argv)} - made

    def next_phase(self) -> bool:
        """Whether pilots have chosen teachers in the meantime, so that there are more cells."""
        cells = grid_cells.Cells(self.request.config)
        if cells.chosen == self.cells.chosen:
            return False
        grids = (name for name in cells.chosen if cells.chosen[name] != self.cells.chosen.get(name))
        self.context.log.say(f"the pilot of {', '.join(grids)} has chosen teachers; continuing with them")
        self.cells, self.phases = cells, self.phases + 1
        self.expected = self.note_estimates()
        return True

    def note_estimates(self) -> dict[str, float]:
        return hindsight.note(self.cells, self.request, RESULTS, self.context.log.say)

    def report(self) -> str | None:
        """Return which report there is: complete, partial or None. A partial one is made here, where some cells failed."""
        if not self.code:
            return "complete" if self.request.whole or self.made_reports() else None
        if self.how != ENDED or not any_made(self.cells.rows) or not self.request.whole or not self.starts[-1].total:
            return None
        self.context.log.say("some cells failed; the report is made from the results that exist")
        partial = inserted(options.with_config(self.request.argv, "partial=True"), *REPORT)
        failed, self.how, _ = once(partial, self.context, self.expected, () if self.request.forces else None)
        return None if failed else "partial"

    def made_reports(self) -> bool:
        """Whether this run has made the report of every grid."""
        made = {
            start.jobs[job]["cell"]
            for start in self.starts
            for job in start.done
            if start.jobs[job]["rule"] == "report"
        }
        return made >= {*self.cells.rows["report"]}

    def exit_code(self) -> int:
        if self.context.bound and self.context.bound.broken and self.how == STOPPED:
            return OVER
        if self.how in CODES:
            return CODES[self.how]
        if self.code and self.starts[-1].total is None:
            return 2
        return int(self.code != 0 or self.how == HUNG)


def once(
    argv: list[str], context: Context, expected: Mapping[str, float], forced: Collection[str] | None = None
) -> tuple[int, str, Progress]:
    """Run Snakemake once. Return its exit code, how it ended (see Supervision) and what it did.

    Afterwards none of its jobs is alive, unless it ended as DETACHED.

    Args:
        expected: {rule: seconds of a job}.
        forced: see Snakemake.
    """
    log = context.log
    progress = Progress(log.say, bool(context.folder or devices.known()), expected)
    if context.bound:
        context.bound.progress = progress
    snakemake = Snakemake(argv, log.write, progress, forced)
    how = Supervision(snakemake, progress, context).follow()
    code = snakemake.close()
    if code == 0 and progress.total is None:
        log.say("nothing to do: every result is up to date")
    if how != ENDED:
        history.free_locks()
    if how == DETACHED:
        log.say("stopped; the cluster's jobs go on: `teachergrid run --live wait` waits for them and continues")
    elif context.folder:
        settle(context.folder, log, context.patience.gone)
    if how == STOPPED:
        log.say("stopped; what is finished is kept, run again to continue")
    return code, how, progress


def settle(folder: str, log: Log, patience_s: float) -> None:
    """Cancel the jobs that Snakemake has left on the cluster, and wait until they are gone."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        jobs = scheduler.live(folder)
        if jobs == []:
            return
        if stray := [job.id for job in jobs or [] if job.state != "COMPLETING"]:
            log.say(f"cancelling {len(stray)} jobs that Snakemake has left: {' '.join(stray[:10])}")
            scheduler.cancel(stray)
        time.sleep(2)
    log.say("squeue still shows jobs of this run, or does not answer: check with squeue --me before the next run")


# --- after the end


def any_made(rows: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether there is something to report: scores, or metrics where a grid only measures responses. rows: of the cells."""
    measures_only = any(not row["models"] for row in rows["correlate"].values())
    return any(Path(RESULTS).glob("scores/*/*/*.parquet")) or (
        measures_only and any(Path(RESULTS).glob("metrics/*/*.parquet"))
    )
