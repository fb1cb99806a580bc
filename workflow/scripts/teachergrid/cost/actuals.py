"""Read what finished jobs and probes took: a line for each in `results/.jobs/` and `results/.probes/`.

A job writes its line itself when it ends (job.usage); the lines outlive its outputs and `make clean`. Snakemake's benchmarks do
not serve this: they are deleted with the results, include the wait for free GPUs, and contain neither rows nor tokens.
"""

import json
import math
from collections.abc import Sequence
from functools import cache
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from ..spec.ids import Responses, whole_set
from ..store.job_index import PROBES, index_lines
from . import workload

Value = TypeVar("Value")


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
    """Mean tokens of a row, under given settings of the job.

    read: before its response. written: in its response. parameters: of the model that wrote it, in billions; 0 for none.
    """

    settings: workload.Settings
    read: float
    written: float
    parameters: float = 0.0

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
            means = (record.get("read") or 0) / rows, tokens / rows
            lengths[rule, cell] = Lengths(record["settings"], *means, record["parameters"])
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
    found = mean_lengths(rule, cell, values, lengths)
    read, written = (found.read, found.written) if found else (workload.PROMPT, workload.usual(dict(values)))
    gpus, nodes, parameters = record["gpus"], record["nodes"], record["parameters"]
    done = workload.Work(rule, record.get("rows") or 0, read, written, parameters, gpus, nodes, values)
    took: list[Any] = [
        record.get(name) for name in ("device", "seconds", "cpu_seconds", "tokens", "read", "gpu_gb", "host_gb")
    ]
    return Actual(rule, cell, done, *took)


# --- which measured lengths tell something about a job

# how much lengths of the same teacher count that answered other instructions; how alike in size two models must be: width of a
# bell curve, in factors of e; and the factor from which on two sizes are those of different things under one name
KIN, WRITER, OTHER = 0.3, 1.5, 3.0


class Text(NamedTuple):
    """The responses that a job reads or writes. by: the rule and cell that write them. limit, writer: see grid.rows.Read."""

    by: tuple[str, str]
    limit: int | None
    writer: float | None

    @classmethod
    def of(cls, rule: str, cell: str, row: dict, planned: workload.Work) -> "Text":
        """Return the responses of a planned job. row: of grid.cells.Cells."""
        by = workload.read_by(rule, cell) if cell else None
        # a derived corpus has the responses of several cells; they share their instructions
        by = by or next((("generate", name) for name in row.get("responses", ())), ("", ""))
        if rule in ("generate", "answer"):
            return cls(by, planned.get("limit"), planned.parameters)
        return cls(by, row.get("limit"), row.get("writer"))

    def is_of(self, found: Lengths) -> bool:
        """Whether measured lengths under the same name are of the same responses, as far as it is known: limit and model."""
        if not self.writer or not found.parameters:
            return self.limit in (None, found.limit)
        return self.limit in (None, found.limit) and 1 / OTHER < self.writer / found.parameters < OTHER

    def likeness(self, by: tuple[str, str], found: Lengths) -> float:
        """Return from 0 to 1 how much lengths of other responses tell about these.

        They tell nothing where the limit is another one, or where neither the instructions nor the teacher are the same.
        """
        if by[0] != self.by[0] or not by[0] or not self.limit or found.limit != self.limit:
            return 0.0
        (asked, teacher), (other_asked, other_teacher) = _named(self.by), _named(by)
        weight = 1.0 if asked == other_asked else KIN if teacher == other_teacher else 0.0
        if self.writer and found.parameters:
            weight *= math.exp(-0.5 * (math.log(self.writer / found.parameters) / WRITER) ** 2)
        return weight


def _named(by: tuple[str, str]) -> tuple[str, str]:
    """Return the instructions (suite) and the teacher (model) of a cell; a pilot's set is a part of the whole one."""
    rule, cell = by
    if rule == "answer":
        model, _, suite = cell.partition("/")
        return suite, model
    instructions, teacher = Responses.parse(cell)
    return whole_set(instructions), teacher


def mean_lengths(
    rule: str, cell: str, values: workload.Settings, lengths: dict[tuple[str, str], Lengths]
) -> Lengths | None:
    """Return the mean tokens of a row before and in its response; None where the responses of this cell were not measured.

    values: settings of the job.
    """
    origin = workload.read_by(rule, cell)
    measured = lengths.get(origin) if origin else None
    # with other sampling settings lengths differ
    if measured is None or (rule in ("generate", "answer") and measured.settings != values):
        return None
    return measured


# --- the lengths to expect

# where they come from
OWN, PROBED, ALIKE, USUAL = "own", "probe", "alike", "usual"
# standard deviations of natural logarithms: GUESSED for a set of instructions, of OTHERS (teachers) around the mean of a set,
# SAMPLED from a few responses of this teacher. Below a weight of LEAST others say nothing
GUESSED, OTHERS, SAMPLED, LEAST = 0.4, 0.3, 0.2, 0.01


class Itself(Generic[Value]):
    """A wrapper that makes any object hashable by identity, for caches: Actuals and Machines contain dicts."""

    def __init__(self, value: Value) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Itself) and self.value is other.value


class Expected(NamedTuple):
    """The work of a planned cell. unsure: standard deviation of the logarithm of its tokens.

    lengths: where they come from: OWN, PROBED, ALIKE, USUAL; "" where they do not matter. texts: how many teachers the responses
    count as that are like its own.
    """

    work: workload.Work
    unsure: float
    lengths: str
    texts: float


def expected_work(rule: str, row: dict, actuals: Actuals, cell: str = "") -> Expected:
    """Return the work of a cell.

    The lengths of rows come, in this order, from its own measured responses, from a probe of them, or from the usual length
    (`workload.usual`) and the measured responses that are like them (`Text`), each with its weight.
    """
    planned = workload.of_row(rule, row)
    if not planned.parameters:
        return Expected(planned, 0.0, "", 0.0)
    text = Text.of(rule, cell, row, planned)
    probed = _probed_lengths(Itself(actuals))
    for measured, unsure, source in ((actuals.lengths, 0.0, OWN), (probed, SAMPLED, PROBED)):
        means = mean_lengths(rule, cell, planned.settings, measured)
        if means and text.is_of(means):
            return Expected(planned._replace(read=means.read, written=means.written), unsure, source, 1.0)
    alike = _alike(text, Itself(actuals))
    texts = sum(weight for weight, _ in alike)
    read = _between(planned.read, [(weight, found.read) for weight, found in alike])
    written = _between(planned.written, [(weight, found.written) for weight, found in alike])
    unsure = math.sqrt(1 / (1 / GUESSED**2 + texts / OTHERS**2) + OTHERS**2)
    return Expected(planned._replace(read=read, written=written), unsure, ALIKE if alike else USUAL, texts)


def _between(usual: float, measured: Sequence[tuple[float, float]]) -> float:
    """Return the mean, in logarithms, of the usual length and of measured ones, by what is known of each. measured: (weight, length)."""
    points = [(1 / GUESSED**2, usual), *((weight / OTHERS**2, max(length, 1.0)) for weight, length in measured)]
    return math.exp(sum(weight * math.log(length) for weight, length in points) / sum(weight for weight, _ in points))


@cache
def _alike(text: Text, actuals: Itself[Actuals]) -> list[tuple[float, Lengths]]:
    """Return (weight, lengths) of the measured and probed responses that are like these."""
    known = (_probed_lengths(actuals) | actuals.value.lengths).items()
    return [(weight, found) for by, found in known if (weight := text.likeness(by, found)) > LEAST]


@cache
def _probed_lengths(actuals: Itself[Actuals]) -> dict[tuple[str, str], Lengths]:
    """Return the lengths of probed rows, in the form of Actuals.lengths."""
    return {
        (one.rule, one.cell): Lengths(one.work.settings, one.work.read, one.work.written, one.work.parameters)
        for one in actuals.value.probes
        if one.rule in ("generate", "answer")
    }
