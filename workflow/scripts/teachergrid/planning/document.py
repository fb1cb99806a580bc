"""The plan as one document: what runs and why, what it costs, when it ends. workflow/schemas/plan.schema.json describes it."""

import hashlib
import io
from collections import Counter, defaultdict
from contextlib import redirect_stderr
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

from .. import devices, disk, pins
from .. import storage as storage_of
from ..reasons import words_of
from ..usage import device_type
from . import cluster as clusters
from . import forecast as forecasts
from .actuals import load
from .fit import fits
from .graph import RESULTS, by_older_code, cell, described, graph, name, resource, roots, sorted_jobs, uncollected
from .kept import FORMAT
from .machines import CPU
from .machines import read as read_machines
from .options import PlanOptions
from .options import at_once as jobs_at_once

DETAILS = 20  # lines kept of a reason; a summary's names every student
BOUNDS = ("low", "expected", "high")


class Setting(NamedTuple):
    """What every plan of one call is made with. argv: Snakemake's options, args: parsed; at_once: jobs at a time, for the
    space of checkpoints."""

    argv: list[str]
    args: object
    cluster: clusters.Cluster
    gpu: str | None
    actuals: object
    machines: object
    at_once: int
    problems: tuple[str, ...] = ()  # that probes found

    @classmethod
    def of(cls, asked: PlanOptions) -> "Setting":
        """Raises BadInput."""
        from snakemake.cli import parse_args

        with redirect_stderr(io.StringIO()):  # which profile it uses: Snakemake says it again for the graph
            _, args = parse_args(asked.argv)
        at_once, delay = jobs_at_once(args), asked.start_delay
        submitted = at_once if args.executor == "slurm" else None
        machines = read_machines(asked.machines)
        if asked.cluster:
            given = clusters.parse(asked.cluster, delay, submitted)
        else:
            given = clusters.of_profile(args, delay, {} if args.executor == "slurm" else gpus_here())
        return cls(asked.argv, args, given, asked.gpu, load(RESULTS), machines, at_once)

    def plan(self, argv: list[str]) -> dict:
        """Return the plan document of Snakemake's options."""
        with uncollected():
            return build(graph(argv), self, argv)

    def plan_with(self, files: list[Path]) -> dict:
        """Return the plan document of other config files on the same results."""
        return self.plan([*self.argv, "--configfile", *map(str, files)])  # the last --configfile counts


def gpus_here() -> dict[str, int]:
    """Return this machine's GPUs by type. One that the machines do not know is refused by `forecast`, and not taken for none."""
    device = device_type()
    return {} if device == CPU else {device: len(devices.known())}


def build(dag, setting: Setting, options: list[str]) -> dict:
    """Return the plan document of a graph."""
    cluster, machines = setting.cluster, setting.machines
    running, cells = sorted_jobs(dag.needrun_jobs()), dag.workflow.globals["cells"]
    place = {job: index for index, job in enumerate(running)}
    needs = [sorted(place[other] for other in dag.dependencies[job] if other in place) for job in running]
    told = described(running)
    because = roots(told, needs)
    wanted = [
        {
            "rule": job.rule.name,
            "cell": cell(job),
            "name": name(job),
            # a profile may ask for other GPUs than the config
            "row": cells.rows[job.rule.name][cell(job)] | {"gpus": told[index]["gpu"]},
            "threads": resource(job, "_cores", 1),
            "needs": needs[index],
        }
        for index, job in enumerate(running)
    ]
    found = forecasts.forecast(wanted, cluster, setting.gpu, setting.actuals, machines)
    runs = found.schedule.runs if found.schedule else [None] * len(running)
    jobs = []
    for index, job in enumerate(running):
        estimate, run = found.jobs[index], runs[index]
        gpus = 0 if estimate.device == CPU else told[index]["gpu"]
        amount = gpus or wanted[index]["threads"]
        hours = {bound: amount * getattr(estimate, bound) / 3600 for bound in BOUNDS}
        kind, details = told[index]["why"]
        jobs.append(
            {
                "job": name(job),
                "rule": job.rule.name,
                "words": words_of(job),
                "gpus": gpus,
                "cpus": 0 if gpus else amount,
                "device": estimate.device,
                "seconds": {bound: round(getattr(estimate, bound), 1) for bound in BOUNDS},
                "source": estimate.source,
                "usd": usd(machines, estimate.device, hours),
                "kwh": machines.kwh(estimate.device, hours["expected"]),
                "output": told[index]["output"],
                "reason": kind,
                "details": details[:DETAILS] + [f"and {len(details) - DETAILS} more"] * (len(details) > DETAILS),
                "because": {"reason": because[index][0], "detail": because[index][1]},
                "needs": needs[index],
                "blocked": None,
                "pool": run and run.pool,
                "start": run and round(run.start, 1),
                "end": run and round(run.end, 1),
                "spec": hashlib.sha256(job.params.spec.encode()).hexdigest()[:16],
            }
        )
    problems = [*setting.problems, *block(jobs, wanted, found, setting, cells.config)]
    reused = Counter(job.rule.name for job in dag.jobs if job not in place and not job.rule.norun)
    order = [rule.name for rule in dag.workflow.rules]
    document = {
        "format": FORMAT,
        "made": datetime.now().astimezone().isoformat(timespec="seconds"),
        "hash": agreed({job["job"]: job["spec"] for job in jobs}),
        "options": options,
        "cluster": {
            "source": cluster.source,
            "delay_s": cluster.delay,
            "pools": {kind: {"amount": p.amount, "limit_s": p.limit_s} for kind, p in cluster.pools.items()},
        },
        "total": summed(jobs) | {"reused": reused.total()},
        "storage": storage(cells, jobs, setting.at_once),
        "stages": [
            {"stage": rule, **summed(mine), "reused": reused[rule]}
            for rule in order
            if (mine := [job for job in jobs if job["rule"] == rule]) or reused[rule]
        ],
        "teachers": by_word(jobs, "teacher"),
        "bases": by_word(jobs, "base"),
        "reasons": by_reason(jobs),
        "older": [
            {"rule": rule, "files": files, "of": n, "unknown": unknown}
            for rule, (files, unknown, n) in by_older_code(dag).items()
        ],
        "problems": problems,
        "schedule": forecasts.told(found, cluster),
        "no_schedule": found.why_not,
        "machines_date": machines.date,
        "jobs": jobs,
    }
    return document


def usd(machines, device: str, hours: dict[str, float]) -> dict[str, float] | None:
    """Return the price of a job with its electricity, where that is asked for; None where no price is known."""
    found = {}
    for bound, n in hours.items():
        price, energy = machines.usd(device, n), machines.kwh(device, n)
        if price is None:
            return None
        power = machines.electricity_usd_per_kwh
        found[bound] = price + (power * energy if power is not None and energy is not None else 0.0)
    return found


def agreed(specs: dict[str, str]) -> str:
    """Return the hash of a plan: over jobs and their specs, not over times or costs. specs: job -> digest of its spec."""
    text = "\n".join(f"{job}\t{spec}" for job, spec in sorted(specs.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# --- sums


def summed(jobs: list[dict]) -> dict:
    """Return what jobs cost together. usd: of the jobs with a known price, null when there is none; unpriced: the others."""
    priced = [job["usd"] for job in jobs if job["usd"] is not None]
    powered = [job["kwh"] for job in jobs if job["kwh"] is not None]
    return {
        "jobs": len(jobs),
        "blocked": sum(job["blocked"] is not None for job in jobs),
        "gpu_hours": hours(jobs, "gpus"),
        "cpu_hours": hours(jobs, "cpus"),
        "usd": {b: round(sum(p[b] for p in priced), 6) for b in BOUNDS} if priced or not jobs else None,
        "unpriced": len(jobs) - len(priced),
        "kwh": round(sum(powered), 3) if powered or not jobs else None,
        "sources": dict(sorted(Counter(job["source"] for job in jobs).items())),
    }


def hours(jobs: list[dict], of: str) -> dict[str, float]:
    return {b: round(sum(job[of] * job["seconds"][b] for job in jobs) / 3600, 6) for b in BOUNDS}


def by_word(jobs: list[dict], word: str) -> list[dict]:
    """Return what hangs on each teacher (base), the costliest first; null is what hangs on none."""
    groups = defaultdict(list)
    for job in jobs:
        groups[job["words"].get(word)].append(job)
    rows = [{word: key, **summed(mine)} for key, mine in groups.items()]
    return sorted(rows, key=lambda row: (row[word] is None, -row["gpu_hours"]["expected"], -row["jobs"], row[word]))


def by_reason(jobs: list[dict]) -> list[dict]:
    """Return each reason with what it costs: its own jobs and those that follow from them."""
    groups = defaultdict(list)
    for job in jobs:
        groups[job["because"]["reason"]].append(job)
    rows = []
    for reason, mine in groups.items():
        direct = [job for job in mine if job["reason"] == reason]
        details = Counter(job["because"]["detail"] for job in direct if job["because"]["detail"])
        examples = [{"detail": detail, "jobs": n} for detail, n in details.most_common(5)]
        rows.append({"reason": reason, "direct": len(direct), "details": examples, **summed(mine)})
    return sorted(rows, key=lambda row: (-row["gpu_hours"]["expected"], -row["jobs"], row["reason"]))


def storage(cells, jobs: list[dict], at_once: int) -> dict:
    """Return bytes: what the planned jobs will hold at the worst moment, by kind, free now, and what could go."""
    rows = defaultdict(dict)
    for job in jobs:
        rule, at = job["job"].split(" ", 1)
        rows[rule][at] = cells.rows[rule][at]
    new = storage_of.peak(SimpleNamespace(rows=rows), at_once)
    return {
        "new": new,
        "whole_grid": sum(storage_of.peak(cells, at_once).values()),
        "free": disk.free_bytes(RESULTS),
        "can_go": sum(n for _, n, _ in disk.what_can_go()),
        "lacking": storage_of.lacking(cells, at_once),
    }


# --- what cannot run


def block(jobs: list[dict], wanted: list[dict], found, setting: Setting, config: dict) -> list[str]:
    """Mark the jobs that cannot run, and those that wait for them. Return what is wrong, each once."""
    retries, problems, longest = setting.args.retries or 0, defaultdict(list), defaultdict(list)
    for index, job in enumerate(jobs):
        task = found.tasks[index]
        if problem := fits(job["rule"], wanted[index]["row"], job["device"], setting.machines):
            job["blocked"] = problem
            problems[problem].append(job["job"])
        elif long := clusters.too_long(task.seconds, task.amount, setting.cluster):
            longest[job["rule"]].append((long, job["job"]))
            job["blocked"] = long.told(job["rule"], retries) if long.attempts > retries + 1 else None
    for index in order(jobs):
        above = next((jobs[need] for need in jobs[index]["needs"] if jobs[need]["blocked"]), None)
        if above is not None and jobs[index]["blocked"] is None:
            jobs[index]["blocked"] = f"waits for {above['job']}"
    for rule, those in longest.items():
        # the worst of a rule stands for the others
        those.sort(reverse=True)
        problems[those[0][0].told(rule, retries)] = [name for _, name in those]
    lines = [f"{listing(names)}: {text}" for text, names in problems.items()]
    if unpinned := sorted(pins.unpinned(config)):
        lines.append(f"`run` will not start: no commit is stated for {listing(unpinned, 3)}; {pins.REMEDY}")
    return lines


def listing(names: list[str], most: int = 1) -> str:
    """["a", "b", "c"] -> a and 2 others"""
    left = len(names) - most
    return ", ".join(names[:most]) + (f" and {left} other{'s' * (left > 1)}" if left > 0 else "")


def order(jobs: list[dict]) -> list[int]:
    """Return the jobs' indices, each after those that it needs."""
    seen, found = set(), []
    for start in range(len(jobs)):
        waiting = [(start, False)]
        while waiting:
            index, ready = waiting.pop()
            if ready:
                found.append(index)
            elif index not in seen:
                seen.add(index)
                waiting += [(index, True), *((need, False) for need in jobs[index]["needs"])]
    return found
