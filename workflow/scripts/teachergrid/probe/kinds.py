"""`plan --probe`: run a few rows of each kind of planned job that was never measured, on this machine.

A kind is a rule, a model, its settings and a device: for example all `likelihood` jobs of one base with the same settings. Probes
run one after another, each in a process of its own (probe.stages), so that the plan imports no torch, and a model that crashes or
does not fit affects only its own probe. What a probe took is saved as a line in `results/.probes/`, for this plan and later ones.
Probes change no output of a job.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from ..cost import actuals, estimate, workload
from ..cost.machines import CPU, Machines
from ..engines.engine import ENGINES, missing
from ..hub import needs
from ..job import devices, fingerprint, usage
from ..planning import forecast
from ..planning.document import Setting
from ..planning.graph import gpus, graph, sorted_jobs, uncollected
from ..planning.requests import Request, request
from ..spec import canonical
from ..spec.ids import Student
from ..spec.schema import is_without_model
from ..store.job_index import PROBES, remember
from ..store.results import RESULTS
from ..store.unfinished import WORK as UNFINISHED
from ..training import launch
from .texts import Texts

# seconds after its time limit until a probe that has not ended is killed
GRACE = 60
# longest made-up question and answer, as a share of the longest text that the job allows
MADE_UP = 0.8


class Kind(NamedTuple):
    """One kind of job. model: repo@revision. threads: CPUs of one job. cells: (cell, row of grid.cells.Cells) of its jobs."""

    rule: str
    model: str
    work: workload.Work
    device: str
    threads: int
    cells: list[tuple[str, dict]]


class Machine(NamedTuple):
    """This machine: the type of its GPUs and their number, or `cpu` and 0."""

    device: str
    gpus: int

    @classmethod
    def here(cls) -> "Machine":
        """Return this machine."""
        device = usage.device_type()
        return cls(device, 0 if device == CPU else len(devices.known()))


def probed(setting: Setting, seconds: float) -> Setting:
    """Probe the jobs of a plan. Return the setting with the new measurements. seconds: time limit of each probe."""
    with uncollected():
        dag = graph(setting.argv)
    cells = dag.workflow.globals["cells"]
    jobs = [job for job in sorted_jobs(dag.needrun_jobs()) if job.rule.name in workload.MODEL_RULES]
    chosen, left = kinds([request(job, gpus(job)) for job in jobs], Machine.here(), setting)
    say(
        f"{len(chosen)} kinds of jobs to probe, each for {seconds:g} s at most" if chosen else "no kind of job to probe"
    )
    for why, n in left.items():
        say(f"not probed: {n} job{'s' * (n > 1)}: {why}")
    folder = Path(RESULTS, UNFINISHED)
    folder.mkdir(parents=True, exist_ok=True)
    failed = []
    with tempfile.TemporaryDirectory(dir=folder, prefix="probe-") as place:
        texts = Texts(cells)
        for number, kind in enumerate(chosen, 1):
            begun = time.monotonic()
            cell, row = representative(kind, texts)
            result = run(kind, (cell, row), texts, Path(place, str(number)), seconds, setting)
            took = (
                f"probe {number} of {len(chosen)}: {kind.rule} {cell} ({kind.model}), {time.monotonic() - begun:.0f} s"
            )
            say(f"{took}: {in_words(result)}")
            if "failed" in result:
                failed.append(f"{kind.rule} {cell}: its probe failed on {kind.device}: {result['failed']}")
    return setting._replace(actuals=actuals.load(RESULTS), problems=(*setting.problems, *failed))


# --- what is probed


def kinds(jobs: Sequence[Request], here: Machine, setting: Setting) -> tuple[list[Kind], Counter[str]]:
    """Return the kinds of jobs to probe, and {reason: number of jobs} for those that cannot be probed.

    Kinds that were already probed, and jobs whose estimate on this machine is based on finished jobs, are in neither.
    """
    known = {actuals.kind(probe, probe.model) for probe in setting.actuals.probes}
    chosen: dict[tuple, Kind] = {}
    left: Counter[str] = Counter()
    for job in jobs:
        kind = kind_of(job, here, setting)
        if kind is None or (key := actuals.kind(kind, kind.model)) in known:
            continue
        if why := impossible(kind, job.row, here, setting.machines):
            left[why] += 1
        elif not is_measured(kind, job, setting):
            chosen.setdefault(key, kind).cells.append((job.cell, job.row))
    for key, kind in list(chosen.items()):
        if why := lacking(kind.cells[0][1]):
            left[why] += len(chosen.pop(key).cells)
    # jobs that write responses come before jobs that score them or are trained on them
    order = workload.MODEL_RULES.index
    return sorted(chosen.values(), key=lambda kind: (order(kind.rule), kind.model, kind.cells[0][0])), left


def kind_of(job: Request, here: Machine, setting: Setting) -> Kind | None:
    """Return the kind of a job, on this machine's GPUs or CPUs as planned; None where it loads no model."""
    rule, row = job.rule, job.row
    done = workload.of_row(rule, row)
    if not done.parameters or is_without_model(done.get("engine")):
        return None
    on_cpu = set(forecast.pools_of(row, setting.cluster, setting.gpu)) == {CPU}
    # count GPUs and parameters as job.usage does for finished jobs
    done = done._replace(gpus=0 if on_cpu else done.gpus, parameters=workload.parameters(row | {"parameters": None}))
    return Kind(rule, named(row), done, CPU if on_cpu else here.device, job.threads, [])


def is_measured(kind: Kind, job: Request, setting: Setting) -> bool:
    """Whether the estimate of a job is based on finished jobs."""
    guess = estimate.estimate(kind.rule, job.row, kind.device, setting.actuals, setting.machines, job.cell)
    return guess.source == estimate.MEASURED


def impossible(kind: Kind, row: dict, here: Machine, machines: Machines) -> str | None:
    """Return why a kind of job cannot be probed on this machine; None where it can."""
    if kind.rule not in workload.PROBED:
        return f"there is no probe of the rule {kind.rule}"
    team = launch.team({"gpu": row.get("gpus"), "nodes": row.get("nodes"), "deepspeed": row.get("deepspeed")})
    if kind.rule == "finetune" and team != launch.Team():
        return "trained by several processes"
    if (engine := kind.work.get("engine")) and missing(engine):
        return f"use the engine {engine}, which is not installed here: {ENGINES[engine].install}"
    if kind.work.gpus == 0:
        return None
    if not here.gpus:
        return "ask for a GPU, and this machine has none (--cluster cpu=4 plans on CPUs)"
    if here.device not in machines.gpus:
        return f"this machine's GPUs are of no known type ({here.device}); add it under `gpus` in a file for --machines"
    return f"ask for more GPUs than the {here.gpus} of this machine" if kind.work.gpus > here.gpus else None


def lacking(row: dict) -> str | None:
    """Return what is missing of a job's model on this machine, with the remedy; None where nothing is."""
    from_hub, folders = needs.needs({row["spec"]})
    problems = [*map(needs.lacks, from_hub), *(needs.wrong_folder(model, digest=False) for model in folders)]
    return next(filter(None, problems), None)


def named(row: dict) -> str:
    """Return the model of a row as repo@revision."""
    model = canonical.load(row["spec"])["model"]
    return f"{model['repo']}@{model['revision']}" if model["revision"] else model["repo"]


def representative(kind: Kind, texts: Texts) -> tuple[str, dict]:
    """Return the (cell, row) of a kind to run.

    References come first, since students do not exist yet, then cells whose texts exist.
    """
    return min(kind.cells, key=lambda job: (bool(job[1].get("students")), texts.responses(kind.rule, *job) is None))


# --- one probe


def run(
    kind: Kind, job: tuple[str, dict], texts: Texts, folder: Path, seconds: float, setting: Setting
) -> dict[str, Any]:
    """Run one probe, save what it took, and return that; {"failed": why} where it failed. job: (cell, row)."""
    cell, row = job
    folder.mkdir()
    texts.put(folder, kind.rule, cell, row)
    read, written = usual(kind, cell, row, setting)
    task = {
        "rule": kind.rule,
        "spec": row["spec"],
        "rows": row["rows"],
        "read": read,
        "written": written,
        "threads": kind.threads,
    }
    (folder / "given.json").write_text(json.dumps(task | {"seconds": seconds}))
    result = started(kind, folder, seconds)
    if "failed" not in result:
        texts.keep(folder, kind.rule, cell, row)
        # a base answers in place of its students
        model, _, suite = cell.partition("/")
        name = f"{Student.parse(model).base}/{suite}" if kind.rule == "answer" and row["students"] else cell
        context = {"model": kind.model, "device": kind.device, "gpus": kind.work.gpus}
        context |= {"parameters": kind.work.parameters, "settings": dict(kind.work.settings)}
        remember(RESULTS, kind.rule, name, fingerprint.fingerprint(kind.rule), result | context, PROBES)
    shutil.rmtree(folder)
    return result


def usual(kind: Kind, cell: str, row: dict, setting: Setting) -> tuple[float, float]:
    """Return the tokens of a made-up prompt and response: as long as expected, but within the job's limit."""
    expected = actuals.expected_work(kind.rule, row, setting.actuals, cell).work
    longest = MADE_UP * kind.work.get("max_length", float("inf"))
    shorter = min(1.0, longest / (expected.read + expected.written))
    return shorter * expected.read, shorter * expected.written


def started(kind: Kind, folder: Path, seconds: float) -> dict[str, Any]:
    """Run the process of a probe and return its result. The process ends whenever this one ends."""
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]
    log = folder / "log"
    # waiting for a device does not count as time of the probe, and its output is not part of the plan
    with redirect_stdout(sys.stderr), devices.taken(kind.work.gpus), log.open("wb") as file:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        env["OMP_NUM_THREADS"] = str(kind.threads)  # as Snakemake sets it
        try:
            done = subprocess.run(
                [sys.executable, "-m", "teachergrid.probe.stages", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=env,
                timeout=seconds + GRACE,
                close_fds=False,
            )
        except subprocess.TimeoutExpired:
            return {"failed": f"killed: no end {GRACE} s after its {seconds:g} s"}
    result = folder / "result.json"
    if result.exists():
        return json.loads(result.read_text())
    if done.returncode == -9:
        return {"failed": "killed, most likely for the memory of this machine"}
    last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no message"]
    return {"failed": f"ended with {done.returncode}: {last[0]}"}


# --- words


def in_words(result: dict[str, Any]) -> str:
    """Return the result of a probe as a line of text."""
    if "failed" in result:
        return f"FAILED: {result['failed']}"
    memory = f"{result['gpu_gb']} GB of GPU memory" if result["gpu_gb"] else f"{result['host_gb']} GB"
    rate = f", then {result['more_rows'] / result['more_seconds']:.3g} rows/s" if result["more_seconds"] else ""
    length = f"{result['read']:.0f} + {result['written']:.0f} tokens"
    return f"first {result['rows']:.3g} rows of {length} in {result['seconds']:.1f} s{rate}; {memory}"


def say(line: str) -> None:
    """Print a line to stderr: stdout is for the plan."""
    print(line, file=sys.stderr, flush=True)
