"""Build the plan document: what runs and why, what it costs, when it ends (workflow/schemas/plan.schema.json)."""

import argparse
import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..cost import weight_files, workload
from ..cost.actuals import Actuals, load
from ..cost.limits import Limits
from ..cost.machines import CPU, Machines
from ..cost.machines import read as read_machines
from ..cost.makespan import Run
from ..cost.saved_estimates import BOUNDS, Estimate
from ..grid import evaluation, phases
from ..hub import folders
from ..job import devices
from ..job.reasons import shortened, words_of
from ..job.usage import device_type
from ..store.contents import Contents
from ..store.results import RESULTS
from . import archive, pools
from . import forecast as planning_forecast
from .archive import FORMAT, Document, JobRow, PhaseTwo
from .graph import by_older_code, described, graph, name, roots, sorted_jobs, uncollected
from .options import PlanOptions, configured, inserted, parse_quietly
from .options import at_once as jobs_at_once
from .remarks import replaced, spared
from .requests import Basis, Request, costs, files_of, priced, request
from .sums import by_endpoint, by_engine, by_reason, by_stage, by_word, disk_space, narrowing, summed, usd

if TYPE_CHECKING:
    from snakemake.dag import DAG


class Setting(NamedTuple):
    """What all plans of one call share.

    argv: Snakemake's options. args: the same, parsed. gpu: the type of --gpu, or None. at_once: jobs that may run at the same
    time, which decides the space that checkpoints take. problems: sentences about guessed GPU types and probes that failed.
    """

    argv: list[str]
    args: argparse.Namespace
    cluster: pools.Cluster
    gpu: str | None
    actuals: Actuals
    machines: Machines
    at_once: int
    problems: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: PlanOptions) -> "Setting":
        """Return the setting of a call. Raises BadInput for an option that makes no sense."""
        args, machines = parse_quietly(options.argv), read_machines(options.machines)
        at_once, delay = jobs_at_once(args), options.start_delay
        submitted = at_once if args.executor == "slurm" else None
        if options.cluster:
            cluster = pools.parse(options.cluster, delay, submitted)
        else:
            cluster = pools.of_profile(args, delay, {} if args.executor == "slurm" else gpus_here())
        cluster, machines = pools.named(cluster, machines, pools.asked_for(configured(args), options.gpu))
        return cls(options.argv, args, cluster, options.gpu, load(RESULTS), machines, at_once, pools.told(cluster))

    @property
    def machinery(self) -> tuple[pools.Cluster, str | None, Actuals, Machines]:
        """Return what an estimate depends on beside the job."""
        return self.cluster, self.gpu, self.actuals, self.machines

    def plan(self, argv: list[str]) -> Document:
        """Return the plan document of these options of Snakemake."""
        with uncollected():
            dag = graph(argv)
            plan = build(dag, self, argv)
            return plan | {"phase_two": phase_two(plan, dag, self)}

    def plan_with(self, files: list[Path]) -> Document:
        """Return the plan document of other config files, on the same results."""
        # Snakemake uses the last --configfile
        return self.plan(inserted(self.argv, "--configfile", *map(str, files)))


def gpus_here() -> dict[str, int]:
    """Return {type: number} of this machine's GPUs. `forecast` refuses a type that the machines file does not have."""
    device = device_type()
    return {} if device == CPU else {device: len(devices.known())}


class Job(NamedTuple):
    """One job of a plan.

    words: the parts of its cell by name (reasons.words). reason, details: why it runs. root: (class, detail) of its root cause.
    run: its place in the schedule, None without a schedule. blocked: why it cannot run, None if it can. spec: a digest.
    files: see requests.files_of.
    """

    request: Request
    words: dict[str, str]
    output: str
    reason: str
    details: list[str]
    root: tuple[str, str]
    estimate: Estimate
    basis: Basis
    run: Run | None
    blocked: str | None
    spec: str
    files: list[str]

    @property
    def gpus(self) -> int:
        return 0 if self.estimate.device == CPU else self.request.row["gpus"]

    @property
    def engine(self) -> str | None:
        """Return the engine that generates, where the job generates with a model."""
        found = workload.of_row(self.request.rule, self.request.row)
        return found.get("engine") if found.parameters else None

    @property
    def amount(self) -> int:
        """Return the number of GPUs that it holds, or of CPUs where it holds no GPU."""
        return self.gpus or self.request.threads


def build(dag: "DAG", setting: Setting, options: list[str]) -> Document:
    """Return the plan document of a graph of jobs. options: Snakemake's, recorded in the document."""
    jobs, forecast, problems = jobs_of(dag, setting)
    rows = [row_of(job, setting.machines) for job in jobs]
    cells, cluster, running = dag.workflow.globals["cells"], setting.cluster, set(dag.needrun_jobs())
    files, models = digests(f for row in rows for f in row["files"]), folders.described(cells.config["models"].values())
    reused = Counter(job.rule.name for job in dag.jobs if job not in running and not job.rule.norun)
    return {
        "format": FORMAT,
        "made": datetime.now().astimezone().isoformat(timespec="seconds"),
        "hash": archive.agreed(rows, files, models),
        "options": options,
        "cluster": {
            "source": cluster.source,
            "delay_s": cluster.delay,
            "pools": {kind: pools.described(cluster, kind) for kind in cluster.pools},
        },
        "total": {**summed(rows), "reused": reused.total()},
        "storage": disk_space(cells, places(rows), setting.at_once),
        "stages": by_stage(rows, [rule.name for rule in dag.workflow.rules], reused),
        "teachers": by_word(rows, "teacher"),
        "bases": by_word(rows, "base"),
        "reasons": by_reason(rows),
        "older": [
            {"rule": rule, "files": older.files, "of": older.total, "unknown": older.unknown}
            for rule, older in by_older_code(dag).items()
        ],
        "problems": [*setting.problems, *problems],
        "folders": models,
        "schedule": planning_forecast.described(forecast, cluster),
        "no_schedule": forecast.why_not,
        "machines_date": setting.machines.date,
        "files": files,
        "spared": spared(rows, options),
        "replaces": replaced(rows, setting.actuals, options),
        "narrowing": narrowing(rows),
        "engines": by_engine(rows),
        "endpoints": by_endpoint(rows),
        "detectable": evaluation.detectable(cells.build, cells.rows["answer"]),
        "jobs": rows,
        "phase_two": None,
    }


def phase_two(plan: Document, dag: "DAG", setting: Setting) -> PhaseTwo | None:
    """Return what follows once pilots have chosen teachers, at most: with the costliest choice. `run` starts it by itself.

    dag: of the plan, which is phase one. Returns None where no pilot is without a result.
    """

    def gpu_seconds(rule: str, row: dict) -> float:
        pools_of_job = planning_forecast.offers(Request(rule, "", row, 1), *setting.machinery)
        return row["gpus"] * next(iter(pools_of_job.values())).expected

    costly, first = phases.costliest(dag.workflow.globals["cells"], gpu_seconds), {row["job"] for row in plan["jobs"]}
    # a pilot that is not among the jobs, as with --until generate, starts nothing
    chosen = {grid: teachers for grid, teachers in costly.items() if f"pilot {grid}" in first}
    if left := sorted(costly.keys() - chosen.keys()):
        plan["problems"].append(f"the pilot of {', '.join(left)} is not among these jobs, so nothing that follows it")
    if not chosen:
        return None
    with phases.assumed(chosen):
        later = graph(plan["options"])
    jobs, forecast, problems = jobs_of(later, setting, without=first)
    rows = [row_of(job, setting.machines) for job in jobs]
    plan["problems"] += [f"phase two: {line}" for line in problems if line not in plan["problems"]]
    both, one, two = [*plan["jobs"], *rows], plan["schedule"], forecast.schedule
    plan["narrowing"], plan["engines"], plan["endpoints"] = narrowing(both), by_engine(both), by_endpoint(both)
    return {
        "grids": [*chosen],
        "jobs": rows,
        "total": summed(both),
        "stages": by_stage(both, [rule.name for rule in later.workflow.rules], Counter()),
        "seconds": round(one["seconds"] + two.seconds, 1) if one and two else None,
        "storage": disk_space(later.workflow.globals["cells"], places(both), setting.at_once),
    }


def places(rows: Sequence[JobRow]) -> list[tuple[str, str]]:
    """Return (rule, cell) of each job."""
    return [(row["rule"], row["job"].split(" ", 1)[1]) for row in rows]


def jobs_of(
    dag: "DAG", setting: Setting, without: Collection[str] = ()
) -> tuple[list[Job], planning_forecast.Forecast, list[str]]:
    """Return the jobs to run, their forecast, and a sentence for each problem of the plan. without: names of jobs left out."""
    running = [job for job in sorted_jobs(dag.needrun_jobs()) if name(job) not in without]
    index_of = {job: index for index, job in enumerate(running)}
    needs = [sorted(index_of[other] for other in dag.dependencies[job] if other in index_of) for job in running]
    descriptions = described(running)
    reasons = [description["why"] for description in descriptions]
    limits = Limits.of_options(setting.args, dag.workflow.globals["cells"])
    requests = [
        request(job, description["gpu"], upstream, limits)
        for job, description, upstream in zip(running, descriptions, needs, strict=True)
    ]
    forecast = planning_forecast.forecast(requests, *setting.machinery)
    cells = dag.workflow.globals["cells"]
    retries = setting.args.retries or 0
    blocked, problems = planning_forecast.block(
        requests, forecast, retries, setting.cluster, setting.machines, cells.config
    )
    if weight_files.any_freed() and (freed := weight_files.freed_but_needed(descriptions, cells)):
        problems.append(f"`run` will not start: {weight_files.refusal(freed, setting.argv)}")
        planning_forecast.block_answers(requests, blocked, {student for student, _ in freed})
    problems += [*(limits.cut(retries) if limits else []), *cells.warnings()]
    runs: Sequence[Run | None] = forecast.schedule.runs if forecast.schedule else [None] * len(running)
    roots_of = roots(reasons, needs)
    jobs = [
        Job(
            requests[index],
            words_of(job),
            descriptions[index]["output"],
            *reasons[index],
            roots_of[index],
            forecast.estimates[index],
            requests[index].basis(forecast.estimates[index], setting.actuals, setting.machines),
            runs[index],
            blocked[index],
            hashlib.sha256(job.params.spec.encode()).hexdigest()[:16],
            files_of(job),
        )
        for index, job in enumerate(running)
    ]
    return jobs, forecast, problems


def row_of(job: Job, machines: Machines) -> JobRow:
    """Return a job as a row of the document."""
    estimate, run = job.estimate, job.run
    hours = {bound: job.amount * getattr(estimate, bound) / 3600 for bound in BOUNDS}
    reason, detail = job.root
    return {
        "job": job.request.name,
        "rule": job.request.rule,
        "words": job.words,
        "gpus": job.gpus,
        "cpus": 0 if job.gpus else job.amount,
        "device": estimate.device,
        "seconds": {bound: round(getattr(estimate, bound), 1) for bound in BOUNDS},
        "source": estimate.source,
        **job.basis,
        "engine": job.engine,
        **priced(job.request, usd(machines, estimate.device, hours)),
        "kwh": machines.kwh(estimate.device, hours["expected"]),
        "output": job.output,
        "reason": job.reason,
        "details": shortened(job.details),
        "because": {"reason": reason, "detail": detail},
        "needs": list(job.request.needs),
        "blocked": job.blocked,
        "pool": run and run.pool,
        "start": run and round(run.start, 1),
        "end": run and round(run.end, 1),
        "spec": job.spec,
        "costs": costs(job.request),
        "files": job.files,
        "slurm": job.request.place and job.request.place.described(),
    }


def digests(paths: Iterable[str]) -> dict[str, str]:
    """Return {path: digest of the file}; `unreadable` for one that the user may not read, which its job would not read either."""
    contents, found = Contents(), {}
    for path in sorted({*paths}):
        try:
            found[path] = contents.of(path)
        except OSError:
            found[path] = "unreadable"
    contents.save()
    return found
