"""Estimate how long a job will take: arithmetic (cost.throughput), corrected by what finished jobs took.

    seconds = a * start + b * work

a and b are 1 until jobs were measured. Then a robust fit of their logarithms to the finished jobs of the rule sets them. Jobs of
a similar size, with the same settings and on the same device type have the highest weights. Few jobs change a and b little and
leave the interval wide. For jobs on another GPU type the arithmetic of that type is used. A cell that ran before is expected to
take as long again. A probe (a few rows, `plan --probe`) has less weight than a finished job, and none once a job of its kind has
finished.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple, TypedDict

from . import throughput, workload
from .actuals import Actual, Actuals, Itself, Probe, expected_work, kind
from .machines import CPU, Machines
from .saved_estimates import Estimate

MEASURED, PROBED, SCALED, ANALYTIC = "measured", "probe", "scaled", "analytic"
# standard deviations of natural logarithms, of seconds: (start, work) by arithmetic alone, JOB around the fit, AGAIN when the same
# job is repeated. Published runs (tests/cost/test_throughput.py) bound the rates of training and of forward passes on GPUs; those of
# WIDER spread more. How long a GPU job starts depends on the file system.
# SURPRISED: where jobs were measured that contradict these
ON_GPU, WIDER_ON_GPU, ON_CPU, JOB, AGAIN = (0.7, 0.4), (0.7, 0.5), (0.5, 0.5), 0.3, 0.25
SURPRISED = 0.7, 0.7
WIDER = ("generate", "answer")
# 90 % of a normal distribution lie within so many standard deviations
Z = 1.64
# weights in the fit: of a job of another size (SIZE: width in factors of e), with other SETTINGS, on another DEVICE type; of a PROBE
SIZE, SETTINGS, DEVICE, PROBE = 1.0, 0.3, 0.3, 0.7
# of a job without a model the rows are its size: those of a toy say nothing about 100,000
ROWS = 1.5
# a cell that ran is the same again where rows and parameters are within this factor
SAME = 5.0
# sum of weights from which on an estimate counts as based on measured jobs
ENOUGH = 0.2
# the fit uses the LATEST jobs of each kind, in ROUNDS iterations, with outliers weighted as in Student's t (degrees of freedom)
LATEST, ROUNDS, DEGREES = 40, 12, 4


class Fit(NamedTuple):
    """ln a, ln b, their covariance (3 numbers), the deviation of a job around them, the source, and the weight of all jobs."""

    start: float
    work: float
    covariance: tuple[float, float, float]
    deviation: float
    source: str
    weight: float


def estimate(rule: str, row: dict, device: str, actuals: Actuals, machines: Machines, cell: str = "") -> Estimate:
    """Return how long a cell will take.

    Args:
        row: of grid.cells.Cells.
        device: the device type to assume; a job without GPUs always runs on `cpu`.
        cell: its wildcards, to find earlier jobs of the same cell and the lengths of its responses.
    Raises:
        BadInput: for a GPU type that the machines do not know.
    """
    gpus = (row.get("gpus") or 0) if device != CPU and rule in workload.MODEL_RULES else 0
    device = device if gpus else CPU
    texts = expected_work(rule, row, actuals, cell)
    planned = texts.work._replace(gpus=gpus)
    arithmetic = throughput.seconds(planned, machines.device(device))
    fit = fitted(_Key.of(rule, planned, device), Itself(actuals), Itself(machines))
    start, rest = math.exp(fit.start) * arithmetic.start, math.exp(fit.work) * arithmetic.work
    middle = math.log(start + rest)
    share = rest / (start + rest)
    spread = _variance(fit, share) + (texts.unsure * share) ** 2
    source = fit.source
    earlier = _by_cell(Itself(actuals)).get((rule, cell), ())
    if before := [job for job in earlier if _same(job, planned, device)]:
        # as long as before; the fit only corrects for changed numbers of rows or lengths
        off = sum(math.log(job.seconds) - _predicted(fit, job, machines) for job in before) / len(before)
        middle, spread = middle + off, max(AGAIN, fit.deviation) ** 2 * (1 + 1 / len(before))
        source = MEASURED
    else:
        spread += fit.deviation**2
    wide = math.exp(Z * math.sqrt(spread))
    return Estimate(math.exp(middle) / wide, math.exp(middle), math.exp(middle) * wide, source, gpus, device)


class Basis(TypedDict):
    """What an estimate is based on beside arithmetic.

    alike: how much finished jobs and probes count that are like the job, as a number of jobs: those on this device type, of its
    size and settings, count 1 each. lengths, texts: see actuals.Expected.
    """

    alike: float
    lengths: str
    texts: float


def basis(rule: str, row: dict, found: Estimate, actuals: Actuals, machines: Machines, cell: str = "") -> Basis:
    """Return what an estimate is based on. found: by `estimate`, of the same job."""
    texts = expected_work(rule, row, actuals, cell)
    planned = texts.work._replace(gpus=found.gpus)
    fit = fitted(_Key.of(rule, planned, found.device), Itself(actuals), Itself(machines))
    again = sum(_same(job, planned, found.device) for job in _by_cell(Itself(actuals)).get((rule, cell), ()))
    return {"alike": round(max(fit.weight, again), 2), "lengths": texts.lengths, "texts": round(texts.texts, 2)}


# --- the fit


class _Key(NamedTuple):
    """Identifies a fit: jobs with the same key share one.

    size: natural logarithm of the billions of parameters; of the rows where the job has no model.
    """

    rule: str
    settings: workload.Settings
    has_model: bool
    size: float
    device: str

    @classmethod
    def of(cls, rule: str, planned: workload.Work, device: str) -> "_Key":
        """Return the key of a planned job."""
        return cls(rule, planned.settings, planned.parameters > 0, round(_size(planned), 1), device)


def _size(work: workload.Work) -> float:
    return math.log(work.parameters or max(work.rows, 1))


class _Point(NamedTuple):
    """One measured time. arithmetic: seconds by arithmetic. seconds: natural logarithm of the measured ones. weight: in the fit."""

    arithmetic: throughput.Seconds
    seconds: float
    weight: float


@cache
def fitted(key: _Key, actuals: Itself[Actuals], machines: Itself[Machines]) -> Fit:
    """Return the fit of one kind of job."""
    devices = machines.value
    jobs = [(job, weight) for job in _latest(actuals, key.rule) if (weight := _weight(job, key, devices)) > 0.01]
    points = [
        _Point(throughput.seconds(job.work, devices.device(job.device)), math.log(job.seconds), weight)
        for job, weight in jobs
    ]
    probes = [
        (probe, PROBE * weight)
        for probe in _unfinished(actuals, key.rule)
        if (weight := _weight(probe, key, devices)) > 0.01
    ]
    for probe, weight in probes:
        device = devices.device(probe.device)
        points.append(_Point(throughput.seconds(probe.work, device), math.log(probe.seconds), weight))
        if probe.more_seconds > 0:
            rest = throughput.seconds(probe.more, device)._replace(start=0.0)
            points.append(_Point(rest, math.log(probe.more_seconds), weight))
    spreads = ON_CPU if key.device == CPU else WIDER_ON_GPU if key.rule in WIDER else ON_GPU
    source = _source(jobs, probes, key.device)
    # where what was measured is further from arithmetic than that should be, arithmetic counts less
    free = _solved(points, source, SURPRISED)
    contradicted = any(abs(n) > spread for n, spread in zip((free.start, free.work), spreads, strict=True))
    return free if contradicted else _solved(points, source, spreads)


def _source(jobs: Sequence[tuple[Actual, float]], probes: Sequence[tuple[Probe, float]], device: str) -> str:
    """Return what a fit is based on: jobs or probes on this device type, whichever have more weight, else those on others."""
    here = sum(weight for job, weight in jobs if job.device == device)
    probed = sum(weight for probe, weight in probes if probe.device == device)
    there = sum(weight for _, weight in [*jobs, *probes]) - here - probed
    if max(here, probed) >= ENOUGH:
        return MEASURED if here >= probed else PROBED
    return SCALED if there >= ENOUGH else ANALYTIC


def _solved(points: Sequence[_Point], source: str, spreads: tuple[float, float]) -> Fit:
    """Return the fit of ln a and ln b to measured times, by Gauss-Newton with normal priors around 0 of these deviations."""
    a = b = 0.0
    deviation = JOB
    for round_ in range(ROUNDS):
        # normal equations; the prior of each is one observation of 0
        aa, ab, bb = 1 / spreads[0] ** 2, 0.0, 1 / spreads[1] ** 2
        ra, rb = -a * aa, -b * bb
        squares, total = 4 * JOB**2, 4.0
        for arithmetic, seconds, weight in points:
            start, rest = math.exp(a) * arithmetic.start, math.exp(b) * arithmetic.work
            off, share = seconds - math.log(start + rest), rest / (start + rest)
            total += weight
            # no point counts as an outlier in the first rounds, since the arithmetic may be far off for all of them
            if round_ >= ROUNDS // 3:
                weight *= (DEGREES + 1) / (DEGREES + (off / deviation) ** 2)
            each = weight / deviation**2
            aa, ab, bb = aa + each * (1 - share) ** 2, ab + each * share * (1 - share), bb + each * share**2
            ra, rb = ra + each * (1 - share) * off, rb + each * share * off
            squares += weight * off**2
        determinant = aa * bb - ab * ab
        a, b = a + (bb * ra - ab * rb) / determinant, b + (aa * rb - ab * ra) / determinant
        deviation = math.sqrt(squares / total)
    covariance = bb / determinant, -ab / determinant, aa / determinant
    return Fit(a, b, covariance, deviation, source, sum(point.weight for point in points))


def _variance(fit: Fit, share: float) -> float:
    """Return the variance of a predicted logarithm. share: of the seconds that are work, not start."""
    aa, ab, bb = fit.covariance
    return aa * (1 - share) ** 2 + 2 * ab * share * (1 - share) + bb * share**2


def _predicted(fit: Fit, job: Actual, machines: Machines) -> float:
    """Return the logarithm of the seconds that a fit predicts for a finished job."""
    arithmetic = throughput.seconds(job.work, machines.device(job.device))
    return math.log(math.exp(fit.start) * arithmetic.start + math.exp(fit.work) * arithmetic.work)


def _weight(job: Actual | Probe, key: _Key, machines: Machines) -> float:
    """Return the weight of a finished job (probe) in a fit; 0 where one is on CPUs and the other on GPUs."""
    if (job.device == CPU) != (key.device == CPU) or (job.device != CPU and job.device not in machines.gpus):
        return 0.0
    if (job.work.parameters > 0) != key.has_model:
        return 0.0
    weight = math.exp(-0.5 * ((_size(job.work) - key.size) / (SIZE if key.has_model else ROWS)) ** 2)
    weight *= 1 if job.work.settings == key.settings else SETTINGS
    return weight * (1 if job.device == key.device else DEVICE)


def _same(job: Actual, planned: workload.Work, device: str) -> bool:
    """Whether a finished job of this cell is the planned one again: other configs have cells of the same name, of other sizes."""
    if job.device != device or (job.work.settings, job.work.gpus) != (planned.settings, planned.gpus):
        return False
    pairs = (job.work.rows, planned.rows), (job.work.parameters, planned.parameters)
    return all(now == then or (now and then and 1 / SAME < now / then < SAME) for then, now in pairs)


@cache
def _latest(actuals: Itself[Actuals], rule: str) -> list[Actual]:
    """Return the latest jobs of each kind of a rule: thousands of one kind tell no more than the last LATEST."""
    kinds: dict[tuple, list[Actual]] = {}
    for job in actuals.value.jobs.get(rule, ()):
        if job.seconds > 0:
            kinds.setdefault(kind(job), []).append(job)
    return [job for jobs in kinds.values() for job in jobs[-LATEST:]]


@cache
def _unfinished(actuals: Itself[Actuals], rule: str) -> list[Probe]:
    """Return the probes of a rule, without those of kinds of which a job has finished."""
    finished = {kind(job) for job in _latest(actuals, rule)}
    return [probe for probe in actuals.value.probes if probe.rule == rule and kind(probe) not in finished]


@cache
def _by_cell(actuals: Itself[Actuals]) -> dict[tuple[str, str], list[Actual]]:
    """Return {(rule, cell): finished jobs}."""
    jobs_of: dict[tuple[str, str], list[Actual]] = {}
    for rule, jobs in actuals.value.jobs.items():
        for job in jobs:
            if job.seconds > 0:
                jobs_of.setdefault((rule, job.cell), []).append(job)
    return jobs_of
