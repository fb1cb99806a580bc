"""How long a job will take: arithmetic (throughput) corrected by what finished jobs took.

    seconds = a * start + b * work

a and b are 1 until jobs were measured. They are fitted in logarithms, robustly, to the finished jobs of the rule. Jobs of a
similar size, with the same settings and on the same device type weigh most. Few jobs move a and b little and leave the interval
wide. Jobs on another GPU type count through the arithmetic of their own type. A cell that ran before is expected to take as
long again. A probe (a few rows, `plan --probe`) weighs less than a finished job, and nothing once a job of its kind has
finished.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Generic, NamedTuple, TypeVar

from ..store.estimates import Estimate
from . import throughput, workload
from .actuals import Actual, Actuals, Lengths, Probe, kind, mean_lengths
from .machines import CPU, Machines

MEASURED, PROBED, SCALED, ANALYTIC = "measured", "probe", "scaled", "analytic"
Value = TypeVar("Value")
# standard deviations of natural logarithms: of the arithmetic's start and work, of one job around the fit, of the same job done
# again; and of a response's length: guessed, known from other teachers, and known from a few responses of this teacher
START, WORK, JOB, AGAIN, GUESSED, OTHERS, SAMPLED = 0.7, 0.7, 0.3, 0.25, 0.5, 0.3, 0.2
# 90 % of a normal distribution lie within so many standard deviations
Z = 1.64
# weights: of a job of another size (per factor e), with other settings, on another device type; and of a probe
SIZE, SETTINGS, DEVICE, PROBE = 1.0, 0.3, 0.3, 0.7
# the weight from which on an estimate rests on measured jobs
ENOUGH = 0.2
# so many of the latest jobs of a kind are fitted, in so many rounds; outliers weigh as in Student's t with 4 degrees of freedom
LATEST, ROUNDS, DEGREES = 40, 12, 4


class Fit(NamedTuple):
    """ln a, ln b, their covariance (3 numbers), the deviation of a job around them, and the source."""

    start: float
    work: float
    covariance: tuple[float, float, float]
    deviation: float
    source: str


def estimate(rule: str, row: dict, device: str, actuals: Actuals, machines: Machines, cell: str = "") -> Estimate:
    """Return how long a cell will take.

    Args:
        row: of grid.Cells.
        device: the type to count with. A job without GPUs runs on `cpu`, whatever it says.
        cell: its wildcards, by which earlier jobs of the same cell and the lengths of its responses are found.
    Raises:
        BadInput: for a GPU type that the machines do not know.
    """
    gpus = (row.get("gpus") or 0) if device != CPU and rule in workload.MODEL_RULES else 0
    device = device if gpus else CPU
    planned, unsure = expected_work(rule, row, actuals, cell)
    planned = planned._replace(gpus=gpus)
    arithmetic = throughput.seconds(planned, machines.device(device))
    size = round(math.log(planned.parameters or 1), 1)
    fit = fitted(_Key(rule, planned.settings, size, device), _Itself(actuals), _Itself(machines))
    start, rest = math.exp(fit.start) * arithmetic.start, math.exp(fit.work) * arithmetic.work
    middle = math.log(start + rest)
    share = rest / (start + rest)
    spread = _variance(fit, share) + (unsure * share) ** 2
    source = fit.source
    earlier = _by_cell(_Itself(actuals)).get((rule, cell), ())
    if before := [job for job in earlier if _same(job, planned, device)]:
        # as long again; the fit only says what other rows or lengths change
        off = sum(math.log(job.seconds) - _predicted(fit, job, planned, machines) for job in before) / len(before)
        middle, spread = middle + off, max(AGAIN, fit.deviation) ** 2 * (1 + 1 / len(before))
        source = MEASURED
    else:
        spread += fit.deviation**2
    wide = math.exp(Z * math.sqrt(spread))
    return Estimate(math.exp(middle) / wide, math.exp(middle), math.exp(middle) * wide, source, gpus, device)


def expected_work(rule: str, row: dict, actuals: Actuals, cell: str = "") -> tuple[workload.Work, float]:
    """Return the work of a cell, and the standard deviation of the logarithm of its tokens.

    The lengths of rows come from its own responses where they were measured, then from a probe of them, then from other
    responses under the same limit, else from `work.usual`.
    """
    planned = workload.of_row(rule, row)
    if not planned.parameters:
        return planned, 0.0
    if known := mean_lengths(rule, cell, planned.settings, actuals.lengths):
        return planned._replace(read=known[0], written=known[1]), 0.0
    if known := mean_lengths(rule, cell, planned.settings, _probed_lengths(_Itself(actuals))):
        return planned._replace(read=known[0], written=known[1]), SAMPLED
    usual = _usual_lengths(
        _Itself(actuals), "answer" if rule in ("answer", "judge") else "generate", planned.get("limit")
    )
    if usual is None:
        return planned, GUESSED
    return planned._replace(read=usual[0], written=usual[1]), OTHERS


# --- the fit


class _Key(NamedTuple):
    """What jobs have in common that are estimated by one fit. size: logarithm of the billions of parameters."""

    rule: str
    settings: workload.Settings
    size: float
    device: str


class _Itself(Generic[Value]):
    """A value as the key of a cache, equal to itself alone. Actuals and machines hold dicts, and are read once a plan."""

    def __init__(self, value: Value) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.value is other.value


class _Point(NamedTuple):
    """One measured time: what arithmetic says, the logarithm of the seconds it took, and its weight."""

    arithmetic: throughput.Seconds
    seconds: float
    weight: float


@cache
def fitted(key: _Key, actuals: _Itself[Actuals], machines: _Itself[Machines]) -> Fit:
    """Return the fit of one kind of job."""
    known = machines.value
    jobs = [(job, weight) for job in _latest(actuals, key.rule) if (weight := _weight(job, key, known)) > 0.01]
    points = [
        _Point(throughput.seconds(job.work, known.device(job.device)), math.log(job.seconds), weight)
        for job, weight in jobs
    ]
    probes = [
        (probe, PROBE * weight)
        for probe in _unfinished(actuals, key.rule)
        if (weight := _weight(probe, key, known)) > 0.01
    ]
    for probe, weight in probes:
        device = known.device(probe.device)
        points.append(_Point(throughput.seconds(probe.work, device), math.log(probe.seconds), weight))
        if probe.more_seconds > 0:
            rest = throughput.seconds(probe.more, device)._replace(start=0.0)
            points.append(_Point(rest, math.log(probe.more_seconds), weight))
    return _solved(points, _source(jobs, probes, key.device))


def _source(jobs: Sequence[tuple[Actual, float]], probes: Sequence[tuple[Probe, float]], device: str) -> str:
    """Return what a fit rests on: jobs or probes on this device type, whichever weigh more, else those on other types."""
    here = sum(weight for job, weight in jobs if job.device == device)
    probed = sum(weight for probe, weight in probes if probe.device == device)
    there = sum(weight for _, weight in [*jobs, *probes]) - here - probed
    if max(here, probed) >= ENOUGH:
        return MEASURED if here >= probed else PROBED
    return SCALED if there >= ENOUGH else ANALYTIC


def _solved(points: Sequence[_Point], source: str) -> Fit:
    """Return the fit of ln a and ln b to measured times, by Gauss-Newton with normal priors around 0."""
    a = b = 0.0
    deviation = JOB
    for round_ in range(ROUNDS):
        # normal equations; the prior of each is one observation of 0
        aa, ab, bb, ra, rb = 1 / START**2, 0.0, 1 / WORK**2, -a / START**2, -b / WORK**2
        squares, total = 4 * JOB**2, 4.0
        for arithmetic, seconds, weight in points:
            start, rest = math.exp(a) * arithmetic.start, math.exp(b) * arithmetic.work
            off, share = seconds - math.log(start + rest), rest / (start + rest)
            total += weight
            # the first rounds take all points as they are: the arithmetic may be far off for all, which makes none an outlier
            if round_ >= ROUNDS // 3:
                weight *= (DEGREES + 1) / (DEGREES + (off / deviation) ** 2)
            each = weight / deviation**2
            aa, ab, bb = aa + each * (1 - share) ** 2, ab + each * share * (1 - share), bb + each * share**2
            ra, rb = ra + each * (1 - share) * off, rb + each * share * off
            squares += weight * off**2
        determinant = aa * bb - ab * ab
        a, b = a + (bb * ra - ab * rb) / determinant, b + (aa * rb - ab * ra) / determinant
        deviation = math.sqrt(squares / total)
    return Fit(a, b, (bb / determinant, -ab / determinant, aa / determinant), deviation, source)


def _variance(fit: Fit, share: float) -> float:
    """Return the variance of the logarithm that a fit predicts. share: of the work in the seconds."""
    aa, ab, bb = fit.covariance
    return aa * (1 - share) ** 2 + 2 * ab * share * (1 - share) + bb * share**2


def _predicted(fit: Fit, job: Actual, planned: workload.Work, machines: Machines) -> float:
    """Return the logarithm of the seconds that a fit predicts for a finished job."""
    done = job.work if job.work.rows else job.work._replace(rows=planned.rows)
    arithmetic = throughput.seconds(done, machines.device(job.device))
    return math.log(math.exp(fit.start) * arithmetic.start + math.exp(fit.work) * arithmetic.work)


def _weight(job: Actual | Probe, key: _Key, machines: Machines) -> float:
    """Return the weight of a finished job (probe) in the fit of a kind; 0 between CPUs and GPUs."""
    if (job.device == CPU) != (key.device == CPU) or (job.device != CPU and job.device not in machines.gpus):
        return 0.0
    apart = math.log(job.work.parameters or 1) - key.size
    weight = math.exp(-0.5 * (apart / SIZE) ** 2)
    weight *= 1 if job.work.settings == key.settings else SETTINGS
    return weight * (1 if job.device == key.device else DEVICE)


def _same(job: Actual, planned: workload.Work, device: str) -> bool:
    """Whether a finished job was this cell as it is planned now."""
    return job.device == device and (job.work.settings, job.work.gpus) == (planned.settings, planned.gpus)


@cache
def _latest(actuals: _Itself[Actuals], rule: str) -> list[Actual]:
    """Return the latest jobs of each kind: thousands of the same kind say no more than the last of them."""
    kinds: dict[tuple, list[Actual]] = {}
    for job in actuals.value.jobs.get(rule, ()):
        if job.seconds > 0:
            kinds.setdefault(kind(job), []).append(job)
    return [job for jobs in kinds.values() for job in jobs[-LATEST:]]


@cache
def _unfinished(actuals: _Itself[Actuals], rule: str) -> list[Probe]:
    """Return the probes of a rule of whose kind no job has finished."""
    finished = {kind(job) for job in _latest(actuals, rule)}
    return [probe for probe in actuals.value.probes if probe.rule == rule and kind(probe) not in finished]


@cache
def _probed_lengths(actuals: _Itself[Actuals]) -> dict[tuple[str, str], Lengths]:
    """Return the lengths of probed rows, in the form of Actuals.lengths."""
    own = [probe for probe in actuals.value.probes if probe.rule in ("generate", "answer")]
    return {
        (probe.rule, probe.cell): Lengths(probe.work.settings, probe.work.read, probe.work.written) for probe in own
    }


@cache
def _by_cell(actuals: _Itself[Actuals]) -> dict[tuple[str, str], list[Actual]]:
    """Return (rule, cell) -> its finished jobs."""
    jobs_of: dict[tuple[str, str], list[Actual]] = {}
    for rule, jobs in actuals.value.jobs.items():
        for job in jobs:
            if job.seconds > 0:
                jobs_of.setdefault((rule, job.cell), []).append(job)
    return jobs_of


@cache
def _usual_lengths(actuals: _Itself[Actuals], rule: str, limit: int | None) -> tuple[float, float] | None:
    """Return the median tokens of a row, before and in its response, over the measured ones under the same limit."""
    measured = (_probed_lengths(actuals) | actuals.value.lengths).items()
    lengths = [one for (of_rule, _), one in measured if of_rule == rule and limit in (None, one.limit)]
    if not lengths:
        return None
    middle = len(lengths) // 2
    return sorted(one.read for one in lengths)[middle], sorted(one.written for one in lengths)[middle]
