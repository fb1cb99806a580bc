"""Snakemake's graph of jobs, with its own options and profiles, and its jobs as dicts. Nothing runs."""

import gc
import os
import sys
from collections import defaultdict
from contextlib import contextmanager, redirect_stdout
from unittest.mock import patch

from .. import code, costs, reasons
from ..reasons import FOLLOWS, FORCED, OLDER, Past
from ..results import RESULTS


def graph(argv: list[str]):
    """Return Snakemake's graph of jobs. No public way to it counts profiles, so the last step of its CLI is replaced:
    the graph is built and not run, which also saves a quarter of a dry run's time."""
    from snakemake.api import DAGApi
    from snakemake.cli import args_to_api, parse_args

    built = []

    def build(api, *args, **kwargs):
        workflow = api.workflow_api._workflow
        workflow._prepare_dag(forceall=api.dag_settings.forceall, ignore_incomplete=False, lock_warn_only=True)
        workflow._build_dag()
        built.append(workflow.dag)

    # it prints its summary
    with patch.object(DAGApi, "execute_workflow", build), redirect_stdout(sys.stderr), uncollected():
        parser, args = parse_args([*argv, "--dry-run", "--quiet", "all"])
        if not args_to_api(args, parser):
            raise SystemExit(1)
    return built[0]


@contextmanager
def uncollected():
    """Leave cycles of objects alone: a graph lives as long as the command, and looking for some takes a third of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def sorted_jobs(jobs) -> list:
    return sorted((job for job in jobs if not job.rule.norun), key=lambda job: (job.rule.name, *job.wildcards))


def planned(argv: list[str]) -> list:
    """Return Snakemake's objects of the jobs to run."""
    return sorted_jobs(graph(argv).needrun_jobs())


def cell(job) -> str:
    return "/".join(job.wildcards)


def name(job) -> str:
    return f"{job.rule.name} {cell(job)}"


def resource(job, what: str, default=0):
    """Return one resource of a job as its rule, or a profile, has it. All of them take as long as the rest of the graph."""
    asked = job.rule.resources.get(what)
    if asked is None:
        return default
    return asked.evaluate(job.wildcards, input=job.input, attempt=1, threads=1, rulename=job.rule.name).value or default


def gpus(job) -> int:
    """Return how many GPUs a job has over all nodes: a job on several nodes asks for those of each."""
    return costs.gpus({name: resource(job, name, None) for name in ("gpu", "nodes", "gres")})


def described(jobs: list) -> list[dict]:
    """Return one dict a job: job (rule and cell), gpu, output, why (class of the reason, details).

    jobs: all that a graph would run.
    """
    if not jobs:
        return []
    dag = jobs[0].dag
    running = set(jobs)
    there = (job for job in dag.jobs if not job.rule.norun)
    past = Past(RESULTS, [job for job in there if job not in running or os.path.exists(job.output[0])], jobs)
    remade = {str(path) for job in jobs for path in job.output}
    found = [
        {
            "job": name(job),
            "gpu": gpus(job),
            "output": str(job.output[0]),
            "why": reasons.why(job, past, remade),
        }
        for job in jobs
    ]
    mark_older(jobs, found)
    return found


def mark_older(jobs: list, found: list[dict]) -> None:
    """Say of forced jobs that older code has made their outputs, where it has."""
    forced = defaultdict(dict)
    for job, told in zip(jobs, found, strict=True):
        if told["why"][0] == FORCED and code.watched(job.rule.name):
            forced[job.rule.name][cell(job)] = told
    for rule, cells in forced.items():
        for old in code.older(RESULTS, rule, list(cells))[0]:
            cells[old]["why"] = OLDER, ["asked for, and made by older code than the checkout's"]


def roots(found: list[dict], needs: list[list[int]]) -> list[tuple[str, str]]:
    """Return for each job (class, first detail) of the reason that it goes back to: its own, or what it follows.

    needs: for each job the indices of those whose outputs it reads.
    """
    known = {}

    def root(index: int) -> tuple[str, str]:
        waiting = [index]
        while waiting:
            at = waiting[-1]
            kind, details = found[at]["why"]
            above = needs[at][0] if kind == FOLLOWS and needs[at] else None
            if above is not None and above not in known:
                waiting.append(above)
                continue
            known[at] = known[above] if above is not None else (kind, details[0] if details else "")
            waiting.pop()
        return known[index]

    return [known.get(index) or root(index) for index in range(len(found))]


def plan(argv: list[str]) -> list[dict]:
    """Return the jobs to run, one dict each (see `described`)."""
    return described(planned(argv))


# --- what older code has made


def by_older_code(dag) -> dict[str, tuple[list[str], int, int]]:
    """Return rule -> (files made by older code, how many are not known, how many there are) of what would not be made again."""
    made = defaultdict(dict)
    for job in sorted_jobs(set(dag.jobs) - set(dag.needrun_jobs())):
        if code.watched(job.rule.name) and os.path.exists(job.output[0]):
            made[job.rule.name][cell(job)] = str(job.output[0])
    found = {}
    for rule, outputs in made.items():
        old, unknown = code.older(RESULTS, rule, list(outputs))
        found[rule] = [outputs[name] for name in old], len(unknown), len(outputs)
    return found
