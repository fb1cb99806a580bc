"""Forecast a plan: how long each job takes, in which pool it runs, and when all jobs are done."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from ..cost import makespan
from ..cost.actuals import Actuals
from ..cost.estimate import estimate
from ..cost.limits import Place, told
from ..cost.machines import Machines
from ..cost.makespan import CPU
from ..cost.memory import fits
from ..cost.saved_estimates import Estimate
from ..errors import BadInput
from ..hub import pins
from . import archive, pools
from .pools import ANY, DEFAULT_GPU, HERE, NAMED, NO_GPU, SLURM, Cluster
from .requests import Request

NO_GPUS = "jobs need GPUs, and the profile names none; add --cluster h100=16"
STEPS = 60  # of a utilisation curve
LARGEST = 4  # stages that `halved` looks at


class Forecast(NamedTuple):
    """How long the jobs of a plan take, and when they run.

    estimates, tasks: one for each job. schedule: None where a job fits none of the known machines; why_not: the reason then.
    """

    estimates: list[Estimate]
    tasks: list[makespan.Task]
    schedule: makespan.Schedule | None
    why_not: str | None


def forecast(
    jobs: Sequence[Request], cluster: Cluster, gpu: str | None, actuals: Actuals, machines: Machines
) -> Forecast:
    """Return the forecast of jobs on a cluster.

    Args:
        gpu: the type to assume where a job may run on several; None for no preference.
    Raises:
        BadInput: for a GPU type that the machines do not know, and where a cluster named by the user cannot hold a job.
    """
    for kind in {kind for kind in (gpu, *cluster.pools) if kind not in (None, CPU, ANY)}:
        machines.device(cluster.devices.get(kind, kind))  # an unknown type is refused even when no job would use it

    offered = [offers(job, cluster, gpu, actuals, machines) for job in jobs]
    tasks = [
        makespan.Task(
            job.name,
            {pool: estimate.expected for pool, estimate in by_pool.items()},
            job.threads if CPU in by_pool else job.row["gpus"],
            needs,
        )
        for job, by_pool, needs in zip(jobs, offered, in_turn(jobs), strict=True)
    ]
    schedule, why_not = None, None
    try:
        schedule = makespan.simulate(tasks, cluster.amounts(), cluster.delay, cluster.submitted)
    except BadInput as error:
        if cluster.source == NAMED:
            raise
        why_not = f"{error}; add --cluster h100=16" if CPU in cluster.pools and len(cluster.pools) > 1 else NO_GPUS
    if schedule is None:
        estimates = [next(iter(by_pool.values())) for by_pool in offered]
    else:
        estimates = [by_pool[run.pool] for by_pool, run in zip(offered, schedule.runs, strict=True)]
    return Forecast(estimates, tasks, schedule, why_not)


def in_turn(jobs: Sequence[Request]) -> list[tuple[int, ...]]:
    """Return what each job waits for: the jobs that it needs, and where its endpoint takes no more, one that asks before it."""
    found, before = list[tuple[int, ...]](), defaultdict[str, list[int]](list)
    for index, job in enumerate(jobs):
        asking = before[job.row["endpoint"]["name"]] if job.at_once else []
        found.append((*job.needs, *(asking[-job.at_once :][:1] if job.at_once and len(asking) >= job.at_once else ())))
        asking.append(index)
    return found


def offers(
    job: Request, cluster: Cluster, gpu: str | None, actuals: Actuals, machines: Machines
) -> dict[str, Estimate]:
    """Return {pool: estimate of a job} for each pool in which it may run, the likeliest pool first."""
    allowed = pools_of(job.row, cluster, gpu)
    if job.place and cluster.source == SLURM:
        # the plugin names one partition, and the job runs on no other's GPUs
        types = job.place.types()
        allowed = {pool: device for pool, device in allowed.items() if pool in types} or allowed
    pools = fitting(job.rule, job.row, allowed, machines)
    return {pool: estimate(job.rule, job.row, device, actuals, machines, job.cell) for pool, device in pools.items()}


def fitting(rule: str, row: dict, pools: dict[str, str], machines: Machines) -> dict[str, str]:
    """Return the pools whose devices have enough memory for a job; all pools where none has, so that the job still has a cost.

    pools: {pool: device type}, as `pools_of` returns them.
    """
    if len(pools) == 1:
        return pools
    good = {pool: device for pool, device in pools.items() if fits(rule, row, device, machines) is None}
    return good or pools


def pools_of(row: dict, cluster: Cluster, gpu: str | None) -> dict[str, str]:
    """Return {pool: device type to assume} for each pool in which a job may run, the likeliest first.

    A job without GPUs runs on CPUs. So does every job where there are only CPUs (a machine without a GPU, or --cluster without
    GPUs), unless `gpu` names a type to estimate for. A job that is too large for every pool still gets one, so that it has a cost.
    row: of grid.cells.Cells.
    """
    gpus, model = row.get("gpus") or 0, row.get("gpu_model")
    if not gpus or (gpu is None and _has_only_cpus(cluster)):
        return {CPU: CPU}
    likely = model or gpu or DEFAULT_GPU
    kinds = _allowed(cluster, model, gpu)
    large = [kind for kind in kinds if cluster.pools[kind].amount >= gpus]
    # the devices of ANY have no name
    devices = {kind: likely if kind == ANY else kind for kind in large or kinds[:1] or [likely]}
    return {kind: cluster.devices.get(device, device) for kind, device in devices.items()}


def _has_only_cpus(cluster: Cluster) -> bool:
    return cluster.source in (NAMED, NO_GPU) and set(cluster.pools) == {CPU}


def _allowed(cluster: Cluster, model: str | None, gpu: str | None) -> list[str]:
    """Return the GPU pools that a job may use, the largest first. model: the config's `gpu_model`. gpu: the type of --gpu."""
    kinds = sorted((kind for kind in cluster.pools if kind != CPU), key=lambda kind: -cluster.pools[kind].amount)
    # without a scheduler a job gets what this machine has
    if model and cluster.source != HERE:
        return [kind for kind in kinds if kind in (model, ANY)]
    if gpu is not None and gpu in kinds:
        return [gpu]
    return kinds


# --- what cannot run


def block_what_waits(requests: Sequence[Request], blocked: list[str | None]) -> None:
    """Block each job that waits for one which cannot run. blocked: for each job why it cannot run, None if it can."""
    for index in makespan.ordered([job.needs for job in requests]):
        upstream = next((need for need in requests[index].needs if blocked[need]), None)
        if upstream is not None and blocked[index] is None:
            blocked[index] = f"waits for {requests[upstream].name}, which cannot run"


def block_answers(requests: Sequence[Request], blocked: list[str | None], students: set[str]) -> None:
    """Block the answers of students whose weights were freed, and what waits for them. blocked: as above."""
    for index, job in enumerate(requests):
        if job.rule == "answer" and job.cell.split("/")[0] in students:
            blocked[index] = "the weights of the student were freed"
    block_what_waits(requests, blocked)


# --- what decides the end


def halved(tasks: Sequence[makespan.Task], cluster: Cluster, seconds: float) -> list[tuple[str, float]]:
    """Return (change, seconds of the plan with it) for changes that would shorten a plan, the most effective first.

    The changes tried: each pool twice as large, and each of the largest stages twice as fast. seconds: of the unchanged plan.
    """
    amounts = cluster.amounts()
    used = {pool for task in tasks for pool in task.seconds}
    shorter = []
    for pool in sorted(used & amounts.keys()):
        doubled = amounts | {pool: 2 * amounts[pool]}
        end = makespan.simulate(tasks, doubled, cluster.delay, cluster.submitted).seconds
        shorter.append((f"{doubled[pool]} {pool} in place of {amounts[pool]}", end))
    work: dict[str, float] = defaultdict(float)
    for task in tasks:
        work[stage(task)] += task.amount * min(task.seconds.values())
    for large in sorted(work, key=lambda name: work[name], reverse=True)[:LARGEST]:
        faster = [
            task._replace(seconds={p: s / 2 for p, s in task.seconds.items()}) if stage(task) == large else task
            for task in tasks
        ]
        end = makespan.simulate(faster, amounts, cluster.delay, cluster.submitted).seconds
        shorter.append((f"{large} twice as fast", end))
    return sorted([item for item in shorter if item[1] < 0.99 * seconds], key=lambda item: item[1])


def stage(task: makespan.Task) -> str:
    """Return a task's rule."""
    return task.name.split()[0]


def described(forecast: Forecast, cluster: Cluster) -> archive.Schedule | None:
    """Return the schedule in the form of the plan document; None where there is none. Times are seconds from the start."""
    schedule, tasks = forecast.schedule, forecast.tasks
    if schedule is None:
        return None
    return {
        "seconds": round(schedule.seconds, 1),
        "longest_path_s": round(makespan.longest_path(tasks), 1),
        "critical": [
            {"job": tasks[run.task].name, "pool": run.pool, "start": round(run.start, 1), "end": round(run.end, 1)}
            for run in makespan.critical(schedule)
        ],
        "utilisation": {
            pool: utilisation(schedule, tasks, pool, cluster.pools[pool].amount)
            for pool in sorted({run.pool for run in schedule.runs})
        },
        "halving": [
            {"change": change, "seconds": round(seconds, 1)}
            for change, seconds in halved(tasks, cluster, schedule.seconds)
        ],
    }


def utilisation(schedule: makespan.Schedule, tasks: Sequence[makespan.Task], pool: str, amount: int) -> list[float]:
    """Return the share of a pool that is in use, in STEPS equal parts of the time."""
    return [round(min(1.0, n / amount), 3) for n in makespan.busy(schedule, tasks, pool, STEPS)]


# --- what cannot run


def block(
    requests: Sequence[Request], forecast: Forecast, retries: int, cluster: Cluster, machines: Machines, config: dict
) -> tuple[list[str | None], list[str]]:
    """Return for each job why it cannot run (None: it can), and a sentence for each problem of the plan.

    retries: how often a job is tried again.
    """
    blocked: list[str | None] = [None] * len(requests)
    problems: dict[str, list[str]] = defaultdict(list)
    unplaced: dict[str, list[tuple[Place, str]]] = defaultdict(list)
    too_long: dict[str, list[tuple[pools.TooLong, str]]] = defaultdict(list)
    for index, (job, expected, task) in enumerate(zip(requests, forecast.estimates, forecast.tasks, strict=True)):
        if problem := fits(job.rule, job.row, expected.device, machines):
            blocked[index] = problem
            problems[problem].append(job.name)
            continue
        if job.place and job.place.partition is None:
            unplaced[job.rule].append((job.place, job.name))
            # with --cluster other machines are meant than those of the file
            blocked[index] = None if cluster.source == pools.NAMED else job.place.refusal()
        asks = job.place.walltimes(retries + 1, max(task.seconds.values())) if job.place else []
        if blocked[index] is None and (long := pools.too_long(task.seconds, task.amount, cluster, asks)):
            too_long[job.rule].append((long, job.name))
            if long.attempts > retries + 1:
                blocked[index] = long.text(job.rule, retries)
    block_what_waits(requests, blocked)
    # one line for each rule, about its largest job, or its longest
    problems |= dict(told(places) for places in unplaced.values())
    for rule, jobs in too_long.items():
        jobs.sort(reverse=True)
        problems[jobs[0][0].text(rule, retries)] = [name for _, name in jobs]
    lines = [f"{pools.listing(names)}: {text}" for text, names in problems.items()]
    if unpinned := sorted(pins.unpinned(config)):
        lines.append(f"`run` will not start: no commit is pinned for {pools.listing(unpinned, 3)}; {pins.REMEDY}")
    return blocked, lines
