"""Build Snakemake's graph of jobs, with its own options and profiles, and read its jobs as plain values. No job runs.

This is the only module that uses Snakemake's internals.
"""

import gc
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, TypeVar

from ..cost import resources
from ..job import fingerprint
from ..store import history
from ..store.results import RESULTS
from . import reasons
from .makespan import ordered
from .reasons import FOLLOWS, FORCED, OLDER, Past

if TYPE_CHECKING:
    from snakemake.dag import DAG
    from snakemake.jobs import Job
    from snakemake.workflow import Workflow

Result = TypeVar("Result")


def with_workflow(argv: list[str], step: Callable[["Workflow"], Result]) -> Result:
    """Let Snakemake's CLI read options, profile and Snakefile, and return what `step` makes of the resulting workflow.

    No public function of Snakemake reads all three. So we call its CLI, and replace its last step, which would build the graph
    and run it.
    """
    from snakemake.api import DAGApi
    from snakemake.cli import args_to_api, parse_args

    results: list[Result] = []

    def replacement(api: DAGApi, *_: Any, **__: Any) -> None:
        results.append(step(api.workflow_api._workflow))

    last_step, python = DAGApi.execute_workflow, sys.executable
    DAGApi.execute_workflow = replacement
    try:
        # Snakemake prints a summary
        with history.looking(), redirect_stdout(sys.stderr):
            parser, args = parse_args([*argv, "--dry-run", "--quiet", "all"])
            if not args_to_api(args, parser):
                raise SystemExit(1)
    finally:
        DAGApi.execute_workflow, sys.executable = last_step, python  # the Snakefile quotes it (job.interpreter)
    return results[0]


def graph(argv: list[str]) -> "DAG":
    """Return Snakemake's graph of jobs. This takes a quarter less time than a dry run, which goes on after the graph."""
    with uncollected():
        return with_workflow(argv, _built)


def _built(workflow: "Workflow") -> "DAG":
    forceall = workflow.dag_settings.forceall
    workflow._prepare_dag(forceall=forceall, ignore_incomplete=False, lock_warn_only=True)
    _correct_records(workflow)
    workflow._build_dag()
    return workflow.dag


def corrected(workflow: "Workflow") -> dict[str, history.Record]:
    """Return {output: record} of the records that are wrong on the disk (store.recall)."""
    return workflow.globals["start"].corrected


def _correct_records(workflow: "Workflow") -> None:
    """Let Snakemake read the corrected records in place of those on the disk: a plan writes nothing."""
    from snakemake.persistence import MetadataRecord

    persistence, right = workflow.persistence, corrected(workflow)
    on_disk = persistence._read_record

    def read(output: str) -> MetadataRecord | None:
        return MetadataRecord.model_validate(right[output]) if output in right else on_disk(output)

    persistence._read_record = read


@contextmanager
def uncollected() -> Iterator[None]:
    """Switch garbage collection off: a graph lives until the command ends, and the search for cycles takes a third of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


# --- Snakemake's jobs


def sorted_jobs(jobs: Iterable["Job"]) -> list["Job"]:
    """Return the jobs that make outputs, sorted by rule and wildcards."""
    return sorted((job for job in jobs if not job.rule.norun), key=lambda job: (job.rule.name, *job.wildcards))


def planned(argv: list[str]) -> list["Job"]:
    """Return the jobs that Snakemake would run. argv: its options."""
    return sorted_jobs(graph(argv).needrun_jobs())


def cell(job: "Job") -> str:
    """Return a job's cell, such as `seed__large` or `q/seed__large`."""
    return "/".join(job.wildcards)


def name(job: "Job") -> str:
    """Return a job's rule and cell, such as `generate seed__large`."""
    return f"{job.rule.name} {cell(job)}"


def resource(job: "Job", what: str, default: Any = 0) -> Any:
    """Return one resource of a job, as its rule or a profile states it. To evaluate all would take as long as the graph."""
    stated = job.rule.resources.get(what)
    if stated is None:
        return default
    return (
        stated.evaluate(job.wildcards, input=job.input, attempt=1, threads=1, rulename=job.rule.name).value or default
    )


def gpus(job: "Job") -> int:
    """Return how many GPUs a job has over all its nodes. (A job on several nodes requests GPUs per node.)"""
    return resources.gpus({name: resource(job, name, None) for name in ("gpu", "nodes", "gres")})


# --- as plain values


class Request(NamedTuple):
    """What a job needs to run.

    row: of grid.cells.Cells, with `gpus` as the job gets them: a profile may overrule the config. threads: CPUs.
    needs: indices of the jobs whose outputs it reads.
    """

    rule: str
    cell: str
    row: dict
    threads: int
    needs: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.rule} {self.cell}"


def request(job: "Job", n_gpus: int, needs: Iterable[int] = ()) -> Request:
    """Return what a job needs. n_gpus: as `gpus` counts them."""
    rows = job.dag.workflow.globals["cells"].rows[job.rule.name]
    row = rows[cell(job)] | {"gpus": n_gpus}
    return Request(job.rule.name, cell(job), row, resource(job, "_cores", 1), tuple(needs))


class Described(TypedDict):
    """A job as a line of `plan --jsonl`. job: its name. why: the class of its reason, and details."""

    job: str
    gpu: int
    output: str
    why: tuple[str, list[str]]


def described(jobs: list["Job"]) -> list[Described]:
    """Return a description of each job. jobs: all jobs that one graph would run."""
    if not jobs:
        return []
    dag = jobs[0].dag
    running = set(jobs)
    others = (job for job in dag.jobs if not job.rule.norun)
    existing = [job for job in others if job not in running or os.path.exists(job.output[0])]
    past = Past(RESULTS, corrected(dag.workflow), existing, jobs)
    remade = {str(path) for job in jobs for path in job.output}
    rows: list[Described] = [
        {
            "job": name(job),
            "gpu": gpus(job),
            "output": str(job.output[0]),
            "why": reasons.why(job, past, remade),
        }
        for job in jobs
    ]
    _mark_older(jobs, rows)
    return rows


def _mark_older(jobs: list["Job"], rows: list[Described]) -> None:
    """Change the reason of forced jobs whose outputs were made by older code."""
    forced: dict[str, dict[str, Described]] = defaultdict(dict)
    for job, row in zip(jobs, rows, strict=True):
        if row["why"][0] == FORCED and fingerprint.watched(job.rule.name):
            forced[job.rule.name][cell(job)] = row
    for rule, cells in forced.items():
        for old in fingerprint.older(RESULTS, rule, list(cells))[0]:
            cells[old]["why"] = OLDER, ["requested, and made by older code than the current checkout"]


def roots(reasons_of: Sequence[tuple[str, list[str]]], needs: Sequence[Sequence[int]]) -> list[tuple[str, str]]:
    """Return for each job (class, first detail) of its root cause: its own reason, or that of the job that it follows.

    Args:
        reasons_of: (class, details) of each job.
        needs: for each job the indices of those whose outputs it reads.
    """
    causes: dict[int, tuple[str, str]] = {}
    for index in ordered(needs):
        kind, details = reasons_of[index]
        if kind == FOLLOWS and needs[index]:
            causes[index] = causes[needs[index][0]]
        else:
            causes[index] = kind, details[0] if details else ""
    return [causes[index] for index in range(len(reasons_of))]


# --- outputs of older code


class Older(NamedTuple):
    """Up-to-date outputs of one rule. files: those made by older code. unknown: how many by unrecorded code. total: of all."""

    files: list[str]
    unknown: int
    total: int


def by_older_code(dag: "DAG") -> dict[str, Older]:
    """Return {rule: which of its up-to-date outputs were made by older code}."""
    existing: dict[str, dict[str, str]] = defaultdict(dict)
    for job in sorted_jobs(set(dag.jobs) - set(dag.needrun_jobs())):
        if fingerprint.watched(job.rule.name) and os.path.exists(job.output[0]):
            existing[job.rule.name][cell(job)] = str(job.output[0])
    by_rule = {}
    for rule, outputs in existing.items():
        old, unknown = fingerprint.older(RESULTS, rule, list(outputs))
        by_rule[rule] = Older([outputs[name] for name in old], len(unknown), len(outputs))
    return by_rule
