"""Before a run starts: reasons to refuse it, and what an earlier run has left behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

from ..cost import storage
from ..errors import BadInput
from ..grid import cells, phases, start
from ..hub import pins
from ..planning import graph
from ..slurm import scheduler
from ..store import history, lock
from ..store.results import RESULTS
from ..training import weight_files
from . import options
from .supervise import tell


def refuse_missing(request: options.Options) -> None:
    """Raise BadInput where the run could not end well.

    That is: a model or data set has no commit; a student whose weights were freed has to answer again; or jobs on the cluster,
    which have no network, need something that the cache does not have. A disk that is too small is only reported.
    """
    if names := pins.unpinned(request.config):
        raise BadInput(f"no commit is pinned for {', '.join(names)}; {pins.REMEDY}")
    if any(Path(RESULTS, "students").glob("*/freed.json")):
        dag = graph.graph(request.argv)
        jobs = graph.described(graph.sorted_jobs(dag.needrun_jobs()))
        if freed := weight_files.freed_but_needed(jobs, dag.workflow.globals["cells"]):
            raise BadInput(weight_files.refusal(freed, request.argv))
    if lack := storage.lacking(phases.at_most(cells.Cells(request.config)), request.at_once):
        tell(f"disk: {lack}")
    if request.on_cluster and pins.entries(request.config):
        check = [sys.executable, "-m", "teachergrid", "prefetch", "--check", *request.argv]
        process = subprocess.run(check, capture_output=True, text=True)
        if process.returncode:
            raise BadInput(f"the cluster's jobs have no network and would miss:\n{process.stderr.strip()}")
    if request.on_cluster:
        # compute nodes may have no network, and no job should wait for a time-out; sbatch passes the variable on
        os.environ.setdefault("HF_HUB_OFFLINE", "1")


class OverBudget(BadInput):
    """The plan is expected to exceed a limit that the user gave."""


def refuse_other(request: options.Options) -> None:
    """Raise BadInput where the run would differ from the plan of --plan, and OverBudget where it would exceed a limit."""
    if not request.plan.bounded():
        return
    from ..planning import budget, diff, document

    plan_now = document.Setting.of(request.plan).plan(request.argv)
    if request.plan.plan is not None:
        diff.refuse(request.plan.plan, plan_now)
    if limits := budget.over(plan_now, request.plan):
        raise OverBudget(budget.refusal(plan_now, request.plan, limits))


def begin(request: options.Options) -> None:
    """Take the lock of the results, and recover what a dead run left. Raises BadInput where an earlier run or its jobs live."""
    owner = lock.dead_holder(RESULTS)
    folders = {str(Path.cwd()), *([owner["folder"]] if owner else [])}  # another checkout may share the results
    had_jobs = request.on_cluster and guard(sorted(folders), request.live)
    lock.take(RESULTS)
    start.forget()
    start.freeze(request.config)
    if owner:
        tell(f"the run of process {owner['pid']} died; its lock is freed, and this run continues its work")
    if owner or had_jobs:
        history.free_locks()
        if recovered := history.recover_outputs():
            tell(f"{len(recovered)} outputs were finished in the meantime")


def guard(folders: list[str], live: str, every_s: float = 10) -> bool:
    """Wait for, cancel or refuse live jobs of an earlier run, as `live` says. Return whether there were any.

    Raises BadInput where there are some and `live` is `refuse`, or squeue does not answer.
    """
    jobs = alive(folders)
    if not jobs:
        return False
    listing = "\n".join(f"  {job.id} {job.state} {job.rule} {job.cell} {job.node}" for job in jobs[:10])
    count = f"{len(jobs)} jobs of an earlier run are alive"
    if live == "refuse":
        raise BadInput(
            f"{count}, and a new run would submit them a second time:\n{listing}\nuse `teachergrid run --live wait` to wait "
            f"for them and keep what they finish, `--live cancel` to cancel them, or: scancel {' '.join(job.id for job in jobs)}"
        )
    tell(f"{count}: {'waiting for them' if live == 'wait' else 'cancelled'}\n{listing}")
    while jobs:
        if live == "cancel":
            scheduler.cancel(job.id for job in jobs)
        time.sleep(every_s if live == "wait" else 1)
        jobs = alive(folders)
    return True


def alive(folders: list[str]) -> list[scheduler.Job]:
    """Return the live jobs that were submitted from these folders. Raises BadInput where squeue does not answer."""
    live_jobs: list[scheduler.Job] = []
    for folder in folders:
        jobs = scheduler.live(folder)
        if jobs is None:
            raise BadInput(
                "squeue does not answer, so it is unknown whether jobs of an earlier run are alive; try again later"
            )
        live_jobs += jobs
    return live_jobs
