"""Read what finished jobs and probes took: a line for each in `results/.jobs/` and `results/.probes/`.

A job writes its line itself when it ends (job.usage); the lines outlive its outputs and `make clean`. Snakemake's benchmarks do
not serve this: they are deleted with the results, include the wait for free GPUs, and contain neither rows nor tokens.
"""

import json
from typing import Any, NamedTuple, Protocol

from ..store.job_index import PROBES, index_lines
from . import workload


class Actual(NamedTuple):
    """One finished job. None: unknown.

    work: with 0 rows where their number is unknown.
    seconds: since its process started, without the wait for devices.
    tokens, read: tokens of the responses that it made or read, and of their prompts (SFT: trained tokens).
    gpu_gb, host_gb: peak memory of one GPU, and of the host.
    """

    rule: str
    cell: str
    work: workload.Work
    device: str
    seconds: float
    cpu_seconds: float
    tokens: int | None
    read: int | None
    gpu_gb: float | None
    host_gb: float


class Probe(NamedTuple):
    """A few rows of one kind of job, timed in two parts.

    cell: of the grid; with the name of the base where a base answered in place of its students. model: repo@revision.
    work: the first rows. seconds: from the start of the process to their end, plus what the job does after its last row.
    more: the rows after these, which took more_seconds; 0 rows where the time was over by then. cpu_seconds: of both parts.
    """

    rule: str
    cell: str
    model: str
    work: workload.Work
    device: str
    seconds: float
    more: workload.Work
    more_seconds: float
    cpu_seconds: float
    gpu_gb: float | None
    host_gb: float


# --- read by the plan


class Lengths(NamedTuple):
    """Mean tokens of a row, under given settings of the job. read: before its response. written: in its response."""

    settings: workload.Settings
    read: float
    written: float

    @property
    def limit(self) -> int | None:
        return next((value for name, value in self.settings if name == "limit"), None)


class Actuals(NamedTuple):
    """All that was measured. jobs: {rule: jobs, oldest first}. lengths: by (rule, cell). probes: the latest of each kind of job."""

    jobs: dict[str, list[Actual]]
    lengths: dict[tuple[str, str], Lengths]
    probes: tuple[Probe, ...] = ()


def load(results: str) -> Actuals:
    """Return what the finished jobs and probes of a results folder took. Incomplete lines are skipped."""
    lines = sorted(index_lines(results), key=lambda words: int(words[0]))
    records = [(words[1], words[2], json.loads(words[4])) for words in lines if len(words) == 5]
    lengths: dict[tuple[str, str], Lengths] = {}
    shared_settings: dict[str, workload.Settings] = {}  # thousands of jobs share a few settings
    for rule, cell, record in records:
        record["settings"] = shared_settings.setdefault(json.dumps(record["settings"]), _settings(record))
        rows, tokens = record.get("rows"), record.get("tokens")
        if rule in ("generate", "answer") and rows and tokens is not None:
            lengths[rule, cell] = Lengths(record["settings"], (record.get("read") or 0) / rows, tokens / rows)
    jobs: dict[str, list[Actual]] = {}
    for rule, cell, record in records:
        jobs.setdefault(rule, []).append(_actual(rule, cell, record, lengths))
    probes: dict[tuple, Probe] = {}
    for _, rule, cell, _, text in sorted(index_lines(results, PROBES), key=lambda words: int(words[0])):
        probe = _probe(rule, cell, json.loads(text))
        probes[kind(probe, probe.model)] = probe
    return Actuals(jobs, lengths, tuple(probes.values()))


class Timed(Protocol):
    """A finished job, a probe, or a kind of job to probe."""

    @property
    def rule(self) -> str: ...
    @property
    def work(self) -> workload.Work: ...
    @property
    def device(self) -> str: ...


def kind(job: Timed, model: str | None = None) -> tuple:
    """Return a key that is the same for all jobs of one kind: rule, model, settings, size, GPUs and device."""
    return job.rule, model, job.work.settings, job.work.parameters, job.work.gpus, job.device


def _settings(record: dict) -> workload.Settings:
    return tuple(sorted(record["settings"].items()))


def _probe(rule: str, cell: str, record: dict) -> Probe:
    """Return a probe from its line."""
    rows, read, written = record["rows"], record["read"], record["written"]
    done = workload.Work(rule, rows, read, written, record["parameters"], record["gpus"], 1, _settings(record))
    more = done._replace(rows=record["more_rows"])
    took = [record[name] for name in ("more_seconds", "cpu_seconds", "gpu_gb", "host_gb")]
    return Probe(rule, cell, record["model"], done, record["device"], record["seconds"], more, *took)


def _actual(rule: str, cell: str, record: dict, lengths: dict[tuple[str, str], Lengths]) -> Actual:
    """Return a finished job from its line."""
    values = record["settings"]
    read, written = mean_lengths(rule, cell, values, lengths) or (workload.PROMPT, workload.usual(dict(values)))
    gpus, nodes, parameters = record["gpus"], record["nodes"], record["parameters"]
    done = workload.Work(rule, record.get("rows") or 0, read, written, parameters, gpus, nodes, values)
    took: list[Any] = [
        record.get(name) for name in ("device", "seconds", "cpu_seconds", "tokens", "read", "gpu_gb", "host_gb")
    ]
    return Actual(rule, cell, done, *took)


def mean_lengths(
    rule: str, cell: str, values: workload.Settings, lengths: dict[tuple[str, str], Lengths]
) -> tuple[float, float] | None:
    """Return the mean tokens of a row before and in its response; None where the responses of this cell were not measured.

    values: settings of the job.
    """
    origin = workload.read_by(rule, cell)
    measured = lengths.get(origin) if origin else None
    # with other sampling settings lengths differ
    if measured is None or (rule in ("generate", "answer") and measured.settings != values):
        return None
    return measured.read, measured.written
