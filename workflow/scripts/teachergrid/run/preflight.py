"""Before a run starts: reasons to refuse it, and what an earlier run has left behind."""

import os
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

from ..cost import limits, storage, weight_files
from ..engines import spending
from ..errors import BadInput
from ..evaluation.judge_prompts import OWN
from ..grid import cells, phases, start
from ..hub import pins
from ..planning import graph, pools
from ..planning.options import parse_quietly
from ..slurm import scheduler
from ..store import history, lock
from ..store.results import RESULTS
from . import options
from .supervise import tell


def refuse_missing(request: options.Options) -> None:
    """Raise BadInput where the run could not end well.

    That is: a model or data set has no commit; a student whose weights were freed has to answer again; an engine is not installed;
    or jobs on the cluster, which have no network, need something that the cache does not have. A disk that is too small is only reported.
    """
    if names := pins.unpinned(request.config):
        raise BadInput(f"no commit is pinned for {', '.join(names)}; {pins.REMEDY}")
    if weight_files.any_freed():
        dag = graph.graph(request.argv)
        jobs = graph.described(graph.sorted_jobs(dag.needrun_jobs()))
        if freed := weight_files.freed_but_needed(jobs, dag.workflow.globals["cells"]):
            raise BadInput(weight_files.refusal(freed, request.argv))
    refuse_unplaced(request)
    refuse_engines(request)
    if lack := storage.lacking(phases.at_most(cells.Cells(request.config)), request.at_once):
        tell(f"disk: {lack}")
    fetched = [
        judge for judge in request.config["judges"].values() if judge["gamed_revision"] or judge["prompt"] == OWN
    ]
    if request.on_cluster and (pins.entries(request.config) or fetched):
        check = [sys.executable, "-m", "teachergrid", "prefetch", "--check", *request.argv]
        process = subprocess.run(check, capture_output=True, text=True)
        if process.returncode:
            raise BadInput(f"the cluster's jobs have no network and would miss:\n{process.stderr.strip()}")
    if request.on_cluster:
        # compute nodes may have no network, and no job should wait for a time-out; sbatch passes the variable on
        os.environ.setdefault("HF_HUB_OFFLINE", "1")


def refuse_engines(request: options.Options) -> None:
    """Raise BadInput where a planned job's engine is not installed, unless Snakemake deploys an environment for it."""
    args = parse_quietly(request.argv)
    lacking = {} if args.software_deployment_method else cells.Cells(request.config).lacking()
    # the graph takes a while
    planned = {(job.rule.name, graph.cell(job)) for job in graph.planned(request.argv)} if lacking else set()
    if lines := [f"{lack} ({len(jobs & planned)} jobs)" for lack, jobs in lacking.items() if jobs & planned]:
        raise BadInput("\n".join(lines))


def refuse_unplaced(request: options.Options) -> None:
    """Raise BadInput where no partition of SLURM takes a planned job, which would then wait for ever."""
    args = parse_quietly(request.argv)
    known = limits.Limits.of_options(args, cells.Cells(request.config))
    if known is None:
        return
    for line in known.cut(args.retries or 0):
        tell(line)
    if unplaced := known.unplaced():
        # the graph takes a while, and shows which of these cells are still to do
        planned = {(job.rule.name, graph.cell(job)) for job in graph.planned(request.argv)}
        refused = {
            rule: to_do
            for rule, places in sorted(unplaced.items())
            if (to_do := [item for item in places if (rule, item[1]) in planned])
        }
        lines = []
        for rule, places in refused.items():
            why, names = limits.told(places)
            lines.append(f"{rule}: {why}; {pools.listing(names)}")
        if lines:
            raise BadInput("\n".join([*lines, UNPLACED]))


UNPLACED = (
    "such jobs would wait for ever. Change the partitions' limits if they are wrong (`teachergrid site` prints them), or what the "
    "rule asks for: `set-resources` in the profile, `gpus` and `gpu_model` of its model"
)


class OverBudget(BadInput):
    """The plan is expected to exceed a limit that the user gave."""


def refuse_other(request: options.Options) -> None:
    """Raise BadInput where the run would differ from the plan of --plan, and OverBudget where it would exceed a limit."""
    if not request.plan.bounded():
        return
    from ..planning import budget, diff, document, whatif

    setting = document.Setting.of(request.plan)
    plan_now = setting.plan(request.argv)
    if request.plan.plan is not None:
        diff.refuse(request.plan.plan, plan_now)
    if limits := budget.over(plan_now, request.plan):
        raise OverBudget(budget.refusal(plan_now, request.plan, limits, lambda names: whatif.cut(names, setting)))


def begin(request: options.Options) -> None:
    """Take the lock of the results, set what the run's jobs may spend, and recover what a dead run left. Raises BadInput where an earlier run or its jobs live."""
    owner = lock.dead_holder(RESULTS)
    folders = {str(Path.cwd()), *([owner["folder"] or ""] if owner else [])}  # another checkout may share the results
    # a dead run may have submitted jobs though this one does not; a SLURM that never answers must not stop a local run for ever
    on_cluster = request.on_cluster or bool(owner and scheduler.available() and scheduler.live(Path.cwd()) is not None)
    if on_cluster and owner and not (lock.is_mine(owner) or request.take_over):
        refuse_hidden(owner)
    had_jobs = on_cluster and guard(sorted(folders), request.live)
    lock.take(RESULTS, request.take_over)
    start.forget()
    start.put_back()
    start.freeze(request.config)
    spending.begin_run(RESULTS, request.plan.max_usd)
    if owner:
        tell(f"the run of {lock.described(owner)} died; its lock is freed, and this run continues its work")
    if owner or had_jobs:
        history.free_locks()
        if recovered := history.recover_outputs():
            tell(f"{len(recovered)} outputs were finished in the meantime")


def refuse_hidden(owner: lock.Owner) -> None:
    """Raise BadInput where squeue would not show the jobs of another user's dead run."""
    try:
        hidden = scheduler.hides_others()
    except scheduler.SlurmError as error:
        raise BadInput(
            f"{RESULTS}: {lock.unseen(owner, f'SLURM does not say whether it shows jobs of others ({error})')}"
        ) from error
    if hidden:
        raise BadInput(
            f"{RESULTS}: {lock.unseen(owner, 'squeue shows no jobs of other users here (PrivateData=jobs)')}"
        )


def guard(folders: list[str], live: str, every_s: float = 10) -> bool:
    """Wait for, cancel or refuse live jobs of an earlier run, as `live` says. Return whether there were any.

    Raises BadInput where there are some and `live` is `refuse`, or `cancel` and they are another user's, or where squeue does
    not answer.
    """
    jobs = alive(folders, [scheduler.EVERYONE])
    if not jobs:
        return False
    listing = "\n".join(f"  {job.id} {job.state} {job.rule} {job.cell} {job.node}" for job in jobs[:10])
    count = f"{len(jobs)} jobs of an earlier run are alive"
    me = lock.user_name(os.getuid())
    whose = sorted({job.user for job in jobs})
    theirs = {user: [job.id for job in jobs if job.user == user] for user in whose if user != me}
    if theirs and live != "wait":
        raise BadInput(others_jobs(theirs, count, listing, live))
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
        jobs = alive(folders, [scheduler.of_user(user) for user in whose])
    return True


def others_jobs(theirs: dict[str, list[str]], count: str, listing: str, live: str) -> str:
    """Return the message where jobs of other users are alive. theirs: {user: ids of jobs}."""
    of = "; ".join(f"{user}'s: {' '.join(ids)}" for user, ids in theirs.items())
    ask = "; ".join(f"ask {user}: scancel {' '.join(ids)}" for user, ids in theirs.items())
    problem = "a new run would submit them a second time" if live == "refuse" else "you cannot cancel another user's"
    return (
        f"{count} ({of}), and {problem}:\n{listing}\nuse `teachergrid run --live wait` to wait for them and keep what they "
        f"finish, or have them cancelled: {ask}"
    )


def alive(folders: list[str], whose: list[tuple[str, ...]]) -> list[scheduler.Job]:
    """Return the live jobs that were submitted from these folders. whose: see scheduler.live; what it gives is put together.

    Raises BadInput where squeue does not answer.
    """
    live_jobs: list[scheduler.Job] = []
    for folder, of in product(folders, whose):
        jobs = scheduler.live(folder, of)
        if jobs is None:
            raise BadInput(
                "squeue does not answer, so it is unknown whether jobs of an earlier run are alive; try again later"
            )
        live_jobs += jobs
    return live_jobs
