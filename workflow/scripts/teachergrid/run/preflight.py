"""Before a run starts: what refuses it, and what an earlier run has left behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

from ..cost import storage
from ..errors import BadInput
from ..grid import cells, pilot
from ..hub import pins
from ..planning import graph
from ..slurm import scheduler
from ..store import history, lock
from ..store.results import RESULTS
from ..training import weight_files
from . import options
from .supervise import tell


def refuse_missing(request: options.Options) -> None:
    """Raises BadInput when a model is not pinned, when jobs without a network would miss something, and when answers are to
    be written by students whose weights were freed."""
    if names := pins.unpinned(request.config):
        raise BadInput(f"no commit is stated for {', '.join(names)}; {pins.REMEDY}")
    if any(Path(RESULTS, "students").glob("*/freed.json")):
        dag = graph.graph(request.argv)
        jobs = graph.described(graph.sorted_jobs(dag.needrun_jobs()))
        if freed := weight_files.freed_but_needed(jobs, dag.workflow.globals["cells"]):
            raise BadInput(weight_files.refusal(freed, request.argv))
    if lack := storage.lacking(pilot.at_most(cells.Cells(request.config)), request.at_once):
        tell(f"disk: {lack}")
    if request.on_cluster and pins.entries(request.config):
        check = [sys.executable, "-m", "teachergrid", "prefetch", "--check", *request.argv]
        done = subprocess.run(check, capture_output=True, text=True)
        if done.returncode:
            raise BadInput(f"the jobs would miss something:\n{done.stderr.strip()}")
    if request.on_cluster:
        # compute nodes may have no network, and no job should wait to find out; sbatch passes it on
        os.environ.setdefault("HF_HUB_OFFLINE", "1")


class OverBudget(BadInput):
    """What would run is expected to take more than allowed."""


def refuse_other(request: options.Options) -> None:
    """Raises BadInput when what would run is not the plan that was agreed, and OverBudget."""
    if not request.plan.bounded():
        return
    from ..planning import budget, diff, document

    plan_now = document.Setting.of(request.plan).plan(request.argv)
    if request.plan.plan is not None:
        diff.refuse(request.plan.plan, plan_now)
    if limits := budget.over(plan_now, request.plan):
        raise OverBudget(budget.refusal(plan_now, request.plan, limits))


def begin(request: options.Options) -> None:
    """Take the lock of the results, when nothing of an earlier run is alive. Raises BadInput."""
    owner = lock.dead_holder(RESULTS)
    folders = {str(Path.cwd()), *([owner["folder"]] if owner else [])}  # another checkout may share the results
    left = request.on_cluster and guard(sorted(folders), request.live)
    lock.take(RESULTS)
    if owner:
        tell(f"the run of process {owner['pid']} died; its lock is freed, and its work goes on")
    if owner or left:
        history.free_locks()
        if recovered := history.recover_outputs(RESULTS):
            tell(f"{len(recovered)} outputs were finished meanwhile")


def guard(folders: list[str], live: str, every_s: float = 10) -> bool:
    """Return whether there were live jobs of an earlier run; they are gone then. Raises BadInput."""
    jobs = alive(folders)
    if not jobs:
        return False
    which = "\n".join(f"  {job.id} {job.state} {job.rule} {job.cell} {job.node}" for job in jobs[:10])
    count = f"{len(jobs)} jobs of an earlier run are alive"
    if live == "refuse":
        raise BadInput(
            f"{count}, and would be submitted a second time:\n{which}\nthree ways out: `teachergrid run --live wait` waits for "
            f"them and keeps what they finish, `--live cancel` cancels them, or: scancel {' '.join(job.id for job in jobs)}"
        )
    tell(f"{count}: {'waiting for them' if live == 'wait' else 'cancelled'}\n{which}")
    while jobs:
        if live == "cancel":
            scheduler.cancel(job.id for job in jobs)
        time.sleep(every_s if live == "wait" else 1)
        jobs = alive(folders)
    return True


def alive(folders: list[str]) -> list[scheduler.Job]:
    """Return the live jobs that were submitted from some folders. Raises BadInput when squeue does not answer."""
    found: list[scheduler.Job] = []
    for folder in folders:
        jobs = scheduler.live(folder)
        if jobs is None:
            raise BadInput(
                "squeue does not answer, so nobody knows whether jobs of an earlier run are alive; try again later"
            )
        found += jobs
    return found
