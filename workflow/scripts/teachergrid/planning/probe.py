"""`plan --probe`: run a few rows of each kind of planned job that nothing like it was measured for, on this machine.

A kind is a rule, a model, its settings and a device. Each probe is a process of its own (probing.py), one after the other, so
that the plan imports no torch, and a model that crashes or does not fit costs its own probe alone. What it took is a line in
`results/.probes/`, for this plan and later ones; no output of a job is touched.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

from .. import canonical, code, devices, launch, needed
from ..ids import Student
from ..work import WORK as UNFINISHED
from . import actuals, estimate, forecast, work
from .graph import RESULTS, cell, gpus, graph, resource, sorted_jobs, uncollected
from .machines import CPU
from .probe_texts import Texts

EXISTING = "existing"
# seconds beyond its time until a probe that does not answer is killed
GRACE = 60
# of the longest text, what a question and an answer take at most that are made up
ROOM = 0.8


class Kind(NamedTuple):
    """One kind of job. cells: (cell, row) of its jobs; threads: CPUs of one."""

    rule: str
    model: str
    work: work.Work
    device: str
    threads: int
    cells: list[tuple[str, dict]]


class Machine(NamedTuple):
    """This machine: the type of its GPUs and their number, or `cpu` and 0."""

    device: str
    gpus: int

    @classmethod
    def here(cls) -> "Machine":
        device = actuals.device_type()
        return cls(device, 0 if device == CPU else len(devices.known()))


def probed(setting, seconds: float):
    """Probe what a plan would run, each kind for so many seconds at most. Return the setting with what was learned."""
    with uncollected():
        dag = graph(setting.argv)
    cells = dag.workflow.globals["cells"]
    jobs = [job for job in sorted_jobs(dag.needrun_jobs()) if job.rule.name in work.MODEL_RULES]
    wanted = [
        {
            "rule": job.rule.name,
            "cell": cell(job),
            "row": cells.rows[job.rule.name][cell(job)] | {"gpus": gpus(job)},
            "threads": resource(job, "_cores", 1),
        }
        for job in jobs
    ]
    chosen, left = kinds(wanted, Machine.here(), setting)
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
            at, row = representative(kind, texts)
            found = run(kind, at, row, texts, Path(place, str(number)), seconds, setting)
            took = f"probe {number} of {len(chosen)}: {kind.rule} {at} ({kind.model}), {time.monotonic() - begun:.0f} s"
            say(f"{took}: {told(found)}")
            if "failed" in found:
                failed.append(f"{kind.rule} {at}: its probe failed on {kind.device}: {found['failed']}")
    return setting._replace(actuals=actuals.load(RESULTS), problems=(*setting.problems, *failed))


# --- what is probed


def kinds(wanted: list[dict], here: Machine, setting) -> tuple[list[Kind], Counter]:
    """Return the kinds of jobs to probe, and how many jobs cannot be by the reason.

    wanted: dicts with rule, cell, row, threads. Left out are kinds that were probed already, and jobs whose estimate on this
    machine rests on finished ones.
    """
    known = {actuals.kind(probe, probe.model) for probe in setting.actuals.probes}
    found, left = {}, Counter()
    for job in wanted:
        one = kind_of(job, here, setting)
        if one is None or (key := actuals.kind(one, one.model)) in known:
            continue
        if why := impossible(one, job["row"], here, setting.machines):
            left[why] += 1
        elif not is_measured(one, job, setting):
            found.setdefault(key, one).cells.append((job["cell"], job["row"]))
    for key, one in list(found.items()):
        if why := lacking(one.cells[0][1]):
            left[why] += len(found.pop(key).cells)
    # who is scored, or learned from, speaks before
    order = work.MODEL_RULES.index
    return sorted(found.values(), key=lambda one: (order(one.rule), one.model, one.cells[0][0])), left


def kind_of(job: dict, here: Machine, setting) -> Kind | None:
    """Return the kind of a job on the device of this machine that it is planned for; None where it loads no model."""
    rule, row = job["rule"], job["row"]
    done = work.of_row(rule, row)
    if not done.parameters or done.get("engine") == EXISTING:
        return None
    on_cpu = set(forecast.pools_of(row, setting.cluster, setting.gpu)) == {CPU}
    # as a finished job counts them
    done = done._replace(gpus=0 if on_cpu else done.gpus, parameters=work.parameters(row | {"parameters": None}))
    return Kind(rule, named(row), done, CPU if on_cpu else here.device, job["threads"], [])


def is_measured(kind: Kind, job: dict, setting) -> bool:
    found = estimate.estimate(kind.rule, job["row"], kind.device, setting.actuals, setting.machines, job["cell"])
    return found.source == estimate.MEASURED


def impossible(kind: Kind, row: dict, here: Machine, machines) -> str | None:
    """Return why a kind of job cannot be probed on this machine, if so."""
    team = launch.team({"gpu": row.get("gpus"), "nodes": row.get("nodes"), "deepspeed": row.get("deepspeed")})
    if kind.rule == "finetune" and team != launch.Team():
        return "trained by several processes"
    if kind.work.gpus == 0:
        return None
    if not here.gpus:
        return "ask for a GPU, and this machine has none (--cluster cpu=4 plans on CPUs)"
    if here.device not in machines.gpus:
        return f"this machine's GPUs are of no known type ({here.device}); add it under `gpus` in a file for --machines"
    return f"ask for more GPUs than the {here.gpus} of this machine" if kind.work.gpus > here.gpus else None


def lacking(row: dict) -> str | None:
    """Return what of a job's model is not on this machine, with the remedy."""
    wanted, folders = needed.needs({row["spec"]})
    problems = [*map(needed.lacks, wanted), *(needed.wrong_folder(model, digest=False) for model in folders)]
    return next(filter(None, problems), None)


def named(row: dict) -> str:
    model = canonical.load(row["spec"])["model"]
    return f"{model['repo']}@{model['revision']}" if model["revision"] else model["repo"]


def representative(kind: Kind, texts: Texts) -> tuple[str, dict]:
    """Return the cell of a kind to run: a reference, and not a student who is not there yet; one whose texts are there."""
    return min(kind.cells, key=lambda one: (bool(one[1].get("students")), texts.responses(kind.rule, *one) is None))


# --- one probe


def run(kind: Kind, at: str, row: dict, texts: Texts, folder: Path, seconds: float, setting) -> dict:
    """Run one probe, note what it took, and return it; {"failed": why} where there is nothing to note."""
    folder.mkdir()
    texts.put(folder, kind.rule, at, row)
    read, written = usual(kind, at, row, setting)
    given = {"rule": kind.rule, "spec": row["spec"], "rows": row["rows"], "read": read, "written": written}
    (folder / "given.json").write_text(json.dumps(given | {"seconds": seconds}))
    found = started(kind, folder, seconds)
    if "failed" not in found:
        texts.keep(folder, kind.rule, at, row)
        # a base answers in the place of its students
        who, _, suite = at.partition("/")
        name = f"{Student.parse(who).base}/{suite}" if kind.rule == "answer" and row["students"] else at
        facts = {"model": kind.model, "device": kind.device, "gpus": kind.work.gpus}
        facts |= {"parameters": kind.work.parameters, "settings": dict(kind.work.settings)}
        code.remember(RESULTS, kind.rule, name, code.fingerprint(kind.rule), found | facts, code.PROBES)
    shutil.rmtree(folder)
    return found


def usual(kind: Kind, at: str, row: dict, setting) -> tuple[float, float]:
    """Return the tokens of a prompt and a response that are made up: as long as expected, and short enough to be read."""
    expected, _ = estimate.expected_work(kind.rule, row, setting.actuals, at)
    longest = ROOM * kind.work.get("max_length", float("inf"))
    shorter = min(1.0, longest / (expected.read + expected.written))
    return shorter * expected.read, shorter * expected.written


def started(kind: Kind, folder: Path, seconds: float) -> dict:
    """Return what the process of a probe found. It ends with this one, however that ends."""
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]
    log = folder / "log"
    # waiting for a device is no time of the probe; what it says is no part of the plan
    with redirect_stdout(sys.stderr), devices.taken(kind.work.gpus), log.open("wb") as file:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        env["OMP_NUM_THREADS"] = str(kind.threads)  # as Snakemake sets it
        try:
            done = subprocess.run(
                [sys.executable, "-m", f"{__package__}.probing", str(folder)],
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
    last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no word"]
    return {"failed": f"ended with {done.returncode}: {last[0]}"}


# --- words


def told(found: dict) -> str:
    if "failed" in found:
        return f"FAILED: {found['failed']}"
    memory = f"{found['gpu_gb']} GB of GPU memory" if found["gpu_gb"] else f"{found['host_gb']} GB"
    rate = f", then {found['more_rows'] / found['more_seconds']:.3g} rows/s" if found["more_seconds"] else ""
    length = f"{found['read']:.0f} + {found['written']:.0f} tokens"
    return f"first {found['rows']:.3g} rows of {length} in {found['seconds']:.1f} s{rate}; {memory}"


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
