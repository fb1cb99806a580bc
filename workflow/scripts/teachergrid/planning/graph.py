"""Build Snakemake's graph of jobs, with its own options and profiles, and read its jobs as plain values. No job runs.

This is the only module that uses Snakemake's internals.
"""

import errno
import gc
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, TypeVar

from ..cost import resources
from ..cost.makespan import ordered
from ..errors import BadInput
from ..job import fingerprint, reasons
from ..job.reasons import FOLLOWS, FORCED, OLDER, Past
from ..store import history
from ..store.results import RESULTS
from . import options

if TYPE_CHECKING:
    from snakemake.dag import DAG
    from snakemake.jobs import Job
    from snakemake.workflow import Workflow

Result = TypeVar("Result")


def with_workflow(argv: list[str], step: Callable[["Workflow"], Result]) -> Result:
    """Let Snakemake's CLI read options, profile and Snakefile, and return what `step` makes of the resulting workflow.

    No public function of Snakemake reads all three. So we call its CLI, and replace its last step, which would build the graph
    and run it, and the printing of its errors. Raises BadInput for each of them, such as a mistake in the config.
    """
    from snakemake.api import DAGApi, SnakemakeApi
    from snakemake.cli import args_to_api

    results: list[Result] = []
    errors: list[BadInput] = []

    def replacement(api: DAGApi, *_: Any, **settings: Any) -> None:
        workflow = api.workflow_api._workflow
        # of these two, --ignore-incomplete and --prioritize decide which jobs there are
        workflow.execution_settings = settings["execution_settings"]
        workflow.scheduling_settings = settings["scheduling_settings"]
        results.append(step(workflow))

    def caught(api: SnakemakeApi, error: Exception) -> None:
        store = api._workflow_api and api._workflow_api._workflow_store
        errors.append(_as_bad_input(error, store.linemaps if store else {}))

    last_step, printer, python = DAGApi.execute_workflow, SnakemakeApi.print_exception, sys.executable
    DAGApi.execute_workflow, SnakemakeApi.print_exception = replacement, caught
    try:
        # Snakemake prints a summary
        with history.looking(), unhindered(), redirect_stdout(sys.stderr):
            parser, args = options.parse(options.inserted(argv, "--dry-run", "--quiet", "all"))
            options.config_files(args)
            if not args_to_api(args, parser):
                raise errors[0] if errors else BadInput("Snakemake refuses these options; its message is above")
    finally:
        DAGApi.execute_workflow, SnakemakeApi.print_exception = last_step, printer
        sys.executable = python  # the Snakefile quotes it (job.interpreter)
    return results[0]


@contextmanager
def unhindered() -> Iterator[None]:
    """Let Snakemake look at results where the user may not write, or not read everything.

    A look needs no folder of locks that it cannot make. A record that may not be read is unknown, as if there were none.
    """
    from snakemake.persistence.file import FilePersistence

    make_folders, read_record = os.makedirs, FilePersistence._io_read

    def makedirs(name: Any, mode: int = 0o777, exist_ok: bool = False) -> None:
        try:
            make_folders(name, mode, exist_ok)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise

    def read(self: FilePersistence, subject: Any, id: Any) -> Any:
        try:
            return read_record(self, subject, id)
        except PermissionError:
            return {}

    os.makedirs, FilePersistence._io_read = makedirs, read
    try:
        yield
    finally:
        os.makedirs, FilePersistence._io_read = make_folders, read_record


def _as_bad_input(error: BaseException, linemaps: dict) -> BadInput:
    """Return an error that Snakemake met: our own message where one is at its root, else what Snakemake would print."""
    from snakemake.exceptions import format_exception_to_string

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, BadInput):
            return cause
        cause = cause.__cause__ or cause.__context__
    return BadInput(format_exception_to_string(error, linemaps).strip())


def graph(argv: list[str]) -> "DAG":
    """Return Snakemake's graph of jobs. This takes a quarter less time than a dry run, which goes on after the graph."""
    with uncollected():
        return with_workflow(argv, _built)


def _built(workflow: "Workflow") -> "DAG":
    forceall, ignore_incomplete = workflow.dag_settings.forceall, workflow.execution_settings.ignore_incomplete
    workflow._prepare_dag(forceall=forceall, ignore_incomplete=ignore_incomplete, lock_warn_only=True)
    _correct_records(workflow)
    with options.named_targets(workflow):
        workflow._build_dag()
    # a run leaves out here what --until, --omit-from and --batch exclude
    workflow.dag.cleanup()
    _delete_what_never_starts(workflow.dag)
    return workflow.dag


def _delete_what_never_starts(dag: "DAG") -> None:
    """Delete the jobs after those that --until names: Snakemake plans one that --until names, too, and never starts it."""
    if not (dag.untilrules or dag.untilfiles):
        return
    last = (job for job in dag.needrun_jobs() if dag.in_until(job))
    first = [other for job in last for other in dag.depending[job] if dag.needrun(other)]
    after = list(dag.bfs(dag.depending, *first, stop=lambda job: not dag.needrun(job)))
    for job in after:
        dag.delete_job(job, recursive=False)


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
    if (stated := job.rule.resources.get(what)) is None:
        return default
    of = {"input": job.input, "rulename": job.rule.name, "async_run": job.dag.workflow.async_run}
    return stated.evaluate(job.wildcards, attempt=1, threads=1, **of).value or default


def gpus(job: "Job") -> int:
    """Return how many GPUs a job has over all its nodes. (A job on several nodes requests GPUs per node.)"""
    return resources.gpus({name: resource(job, name, None) for name in ("gpu", "nodes", "gres")})


def forced(argv: list[str]) -> list[str]:
    """Return the outputs of the jobs that Snakemake's options -R, -f or -F make again, whether or not they are up to date."""
    dag = graph(argv)
    jobs = sorted_jobs(dag.needrun_jobs())
    return [str(path) for job in jobs if dag.reason(job).forced for path in job.output]


# --- as plain values


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
