"""What each planned job takes, where it would run, and when all would be done."""

from collections import defaultdict
from typing import NamedTuple

from ..errors import BadInput
from . import makespan
from .cluster import ANY, CPU, HERE, NAMED, NO_GPU, Cluster
from .estimate import Estimate, estimate
from .fit import fits

DEFAULT_GPU = "h100"  # when neither the config, the cluster nor --gpu names a type
NO_GPUS = "jobs need GPUs, and the profile names none; say --cluster h100=16"
STEPS = 60  # of a utilisation curve
LARGEST = 4  # stages asked about in `halved`


class Forecast(NamedTuple):
    """jobs: an Estimate each; schedule: None where the cluster is not known to hold the jobs; why_not: the reason then."""

    jobs: list[Estimate]
    tasks: list[makespan.Task]
    schedule: makespan.Schedule | None
    why_not: str | None


def forecast(jobs: list[dict], cluster: Cluster, gpu: str | None, actuals, machines) -> Forecast:
    """jobs: dicts with rule, cell, row, name, threads, needs (indices). gpu: the type to count with. Raises BadInput."""
    for kind in {kind for kind in (gpu, *cluster.pools) if kind not in (None, CPU, ANY)}:
        machines.device(kind)  # an unknown type is refused, and not only when a job wants it

    places = [fitting(job, pools_of(job["row"], cluster, gpu), machines) for job in jobs]
    found = [
        {
            pool: estimate(job["rule"], job["row"], device, actuals, machines, job["cell"])
            for pool, device in place.items()
        }
        for job, place in zip(jobs, places, strict=True)
    ]
    tasks = [
        makespan.Task(
            job["name"],
            {pool: e.expected for pool, e in by_pool.items()},
            job["threads"] if CPU in by_pool else job["row"]["gpus"],
            tuple(job["needs"]),
        )
        for job, by_pool in zip(jobs, found, strict=True)
    ]
    schedule, why_not = None, None
    try:
        schedule = makespan.simulate(tasks, cluster.amounts(), cluster.delay, cluster.submitted)
    except BadInput as error:
        if cluster.source == NAMED:
            raise
        why_not = f"{error}; say --cluster h100=16" if CPU in cluster.pools and len(cluster.pools) > 1 else NO_GPUS
    chosen = [
        by_pool[schedule.runs[i].pool] if schedule else next(iter(by_pool.values())) for i, by_pool in enumerate(found)
    ]
    return Forecast(chosen, tasks, schedule, why_not)


def fitting(job: dict, places: dict[str, str], machines) -> dict[str, str]:
    """Return the pools whose devices hold a job; all of them where none does, so that it has a cost."""
    if len(places) == 1:
        return places
    good = {pool: d for pool, d in places.items() if fits(job["rule"], job["row"], d, machines) is None}
    return good or places


def pools_of(row: dict, cluster: Cluster, gpu: str | None) -> dict[str, str]:
    """Return pool -> the device to count with, for each pool that a job may run in; the likeliest first.

    On a machine without a GPU, and on a cluster that was named without any, all jobs run on CPUs, unless `gpu` asks what they
    would take. A job that no pool can hold keeps one, so that it has a cost.
    """
    gpus, model = row.get("gpus") or 0, row.get("gpu_model")
    if not gpus or (gpu is None and cluster.source in (NAMED, NO_GPU) and set(cluster.pools) == {CPU}):
        return {CPU: CPU}
    kinds = sorted((kind for kind in cluster.pools if kind != CPU), key=lambda kind: -cluster.pools[kind].amount)
    if model and cluster.source != HERE:  # without a scheduler a job gets what this machine has
        kinds = [kind for kind in kinds if kind in (model, ANY)]
    elif gpu in kinds:
        kinds = [gpu]
    large = [kind for kind in kinds if cluster.pools[kind].amount >= gpus]
    likely = model or gpu or DEFAULT_GPU
    return {kind: likely if kind == ANY else kind for kind in large or kinds[:1]} or {likely: likely}


# --- what decides the end


def halved(tasks: list, cluster: Cluster, seconds: float) -> list[tuple[str, float]]:
    """Return (change, seconds that the plan would take then) of doubling each pool and halving each large stage."""
    amounts = cluster.amounts()
    used = {pool for task in tasks for pool in task.seconds}
    found = []
    for pool in sorted(used & amounts.keys()):
        more = amounts | {pool: 2 * amounts[pool]}
        end = makespan.simulate(tasks, more, cluster.delay, cluster.submitted).seconds
        found.append((f"{more[pool]} {pool} in place of {amounts[pool]}", end))
    work = defaultdict(float)
    for task in tasks:
        work[stage(task)] += task.amount * min(task.seconds.values())
    for slow in sorted(work, key=work.get, reverse=True)[:LARGEST]:
        faster = [
            task._replace(seconds={p: s / 2 for p, s in task.seconds.items()}) if stage(task) == slow else task
            for task in tasks
        ]
        end = makespan.simulate(faster, amounts, cluster.delay, cluster.submitted).seconds
        found.append((f"{slow} twice as fast", end))
    return sorted([item for item in found if item[1] < 0.99 * seconds], key=lambda item: item[1])


def stage(task) -> str:
    return task.name.split()[0]


def told(forecast: Forecast, cluster: Cluster) -> dict | None:
    """Return the schedule as a plan document holds it; times are seconds from the start."""
    schedule, tasks = forecast.schedule, forecast.tasks
    if schedule is None:
        return None
    chain = makespan.critical(schedule)
    pools = sorted({run.pool for run in schedule.runs})
    return {
        "seconds": round(schedule.seconds, 1),
        "longest_path_s": round(makespan.longest_path(tasks), 1),
        "critical": [
            {"job": tasks[run.task].name, "pool": run.pool, "start": round(run.start, 1), "end": round(run.end, 1)}
            for run in chain
        ],
        "utilisation": {
            pool: [
                round(min(1.0, n / cluster.pools[pool].amount), 3) for n in makespan.busy(schedule, tasks, pool, STEPS)
            ]
            for pool in pools
        },
        "halving": [
            {"change": change, "seconds": round(seconds, 1)}
            for change, seconds in halved(tasks, cluster, schedule.seconds)
        ],
    }
