"""How long a job will take: arithmetic (throughput) corrected by what finished jobs took.

    seconds = a * start + b * work

a and b are 1 until jobs were measured. They are fitted in logarithms, robustly, to the jobs of this rule, those of a like
size, the same settings and the same device counting most; few jobs move them little and leave the interval wide. Jobs on
another GPU type count through the arithmetic of their own type. A cell that ran before is expected to take as long again.
A probe (a few rows, `plan --probe`) counts less than a finished job, and no more once one of its kind has finished.
"""

import math
from functools import cache
from typing import NamedTuple

from .. import costs
from .. import storage as storage_of
from . import throughput, work
from .actuals import Actual, Actuals, Probe, kind, load, mean_lengths
from .machines import CPU, Machines, read

MEASURED, PROBED, SCALED, ANALYTIC = "measured", "probe", "scaled", "analytic"
# standard deviations of natural logarithms: of arithmetic's start and work, of one job around the fit, of the same job done
# again, and of a response's length: guessed, known from other teachers, and from a few of its own
START, WORK, JOB, AGAIN, GUESSED, OTHERS, SAMPLED = 0.7, 0.7, 0.3, 0.25, 0.5, 0.3, 0.2
# of a normal distribution between low and high: 90 %
Z = 1.64
# how much the job of another size (per factor e), of other settings, of another device type, and a probe counts
SIZE, SETTINGS, DEVICE, PROBE = 1.0, 0.3, 0.3, 0.7
# the weight from which on an estimate rests on measured jobs
ENOUGH = 0.2
# so many of the latest like jobs are fitted, in so many rounds; outliers weigh as in Student's t of 4 degrees
LATEST, ROUNDS, DEGREES = 40, 12, 4
# bytes of a table that grows with no row
SMALL = 20_000


class Estimate(NamedTuple):
    """Seconds of one job: 90 % of jobs should lie between low and high. source: measured, probe (a few rows were), scaled
    (either, on another GPU type) or analytic. gpus: that it holds, 0 on a CPU."""

    low: float
    expected: float
    high: float
    source: str
    gpus: int
    device: str


class Fit(NamedTuple):
    """ln a, ln b, their covariance (3 numbers), the deviation of a job around them, and the source."""

    start: float
    work: float
    covariance: tuple[float, float, float]
    deviation: float
    source: str


def estimate(rule: str, row: dict, device: str, actuals: Actuals, machines: Machines, cell: str = "") -> Estimate:
    """Return how long a cell will take on a device type (`cpu` where it gets no GPU). row: of grid.Cells.

    cell: its wildcards, which find what is known of this very cell and of its responses.
    Raises BadInput for a GPU type that the machines do not know.
    """
    gpus = (row.get("gpus") or 0) if device != CPU and rule in work.MODEL_RULES else 0
    on = device if gpus else CPU
    planned, unsure = expected_work(rule, row, actuals, cell)
    planned = planned._replace(gpus=gpus)
    arithmetic = throughput.seconds(planned, machines.device(on))
    fit = fitted(
        _Key(rule, planned.settings, round(math.log(planned.parameters or 1), 1), on), _Held(actuals, machines)
    )
    start, rest = math.exp(fit.start) * arithmetic.start, math.exp(fit.work) * arithmetic.work
    middle = math.log(start + rest)
    share = rest / (start + rest)
    spread = _variance(fit, share) + (unsure * share) ** 2
    source = fit.source
    if before := [job for job in _history(actuals).get((rule, cell), ()) if _same(job, planned, on)]:
        # as long again; the fit only says what other rows or lengths change
        beside = sum(math.log(job.seconds) - _predicted(fit, job, planned, machines) for job in before) / len(before)
        middle, spread = middle + beside, max(AGAIN, fit.deviation) ** 2 * (1 + 1 / len(before))
        source = MEASURED
    else:
        spread += fit.deviation**2
    wide = math.exp(Z * math.sqrt(spread))
    return Estimate(math.exp(middle) / wide, math.exp(middle), math.exp(middle) * wide, source, gpus, on)


def expected_work(rule: str, row: dict, actuals: Actuals, cell: str = "") -> tuple[work.Work, float]:
    """Return the work of a cell, and the standard deviation of the logarithm of its tokens.

    Its tokens are rows * (read + written), times the epochs in SFT.
    """
    planned = work.of_row(rule, row)
    if not planned.parameters:
        return planned, 0.0
    if known := mean_lengths(rule, cell, planned.settings, actuals.lengths):
        return planned._replace(read=known[0], written=known[1]), 0.0
    held = _Held(actuals, None)
    if known := mean_lengths(rule, cell, planned.settings, _probed_lengths(held)):
        return planned._replace(read=known[0], written=known[1]), SAMPLED
    like = _usual_lengths(held, "answer" if rule in ("answer", "judge") else "generate", planned.get("limit"))
    if like is None:
        return planned, GUESSED
    return planned._replace(read=like[0], written=like[1]), OTHERS


def storage(rule: str, row: dict) -> int:
    """Return the bytes that a cell's outputs will take as long as all of them stay (see storage_of.peak for what is freed)."""
    if rule in ("generate", "answer"):
        return storage_of.table(row, storage_of.TEXT)
    if rule == "likelihood":
        return 2 * storage_of.table(row, storage_of.LIKELIHOOD / costs.LIKELIHOOD_PASSES)
    if rule == "finetune":
        return int(storage_of.saved(row))
    return SMALL + storage_of.ROW * (row.get("rows", 0) if rule in ("reward", "judge", "verify", "select") else 0)


# --- the fit


class _Key(NamedTuple):
    """What jobs share that are estimated by one fit. size: logarithm of the billions of parameters."""

    rule: str
    settings: tuple
    size: float
    device: str


class _Held:
    """Actuals and machines as one key of a cache: they are read once a plan."""

    def __init__(self, actuals: Actuals, machines: Machines | None):
        self.actuals, self.machines = actuals, machines
        self.key = (id(actuals), id(machines))

    def __hash__(self):
        return hash(self.key)

    def __eq__(self, other):
        return self.key == other.key


@cache
def fitted(key: _Key, held: _Held) -> Fit:
    """Return the fit of one kind of job."""
    jobs = [(job, weight) for job in _latest(held, key.rule) if (weight := _weight(job, key, held.machines)) > 0.01]
    points = [
        (throughput.seconds(job.work, held.machines.device(job.device)), math.log(job.seconds), weight)
        for job, weight in jobs
    ]
    probes = [
        (probe, PROBE * weight)
        for probe in _open(held, key.rule)
        if (weight := _weight(probe, key, held.machines)) > 0.01
    ]
    for probe, weight in probes:
        device = held.machines.device(probe.device)
        points.append((throughput.seconds(probe.work, device), math.log(probe.seconds), weight))
        if probe.more_seconds > 0:
            rest = throughput.seconds(probe.more, device)._replace(start=0.0)
            points.append((rest, math.log(probe.more_seconds), weight))
    return _solved(points, _source(jobs, probes, key.device))


def _source(jobs: list, probes: list, device: str) -> str:
    """Return where a fit comes from: what weighs most of what was timed on this device type, else on another one."""
    here = sum(weight for job, weight in jobs if job.device == device)
    probed = sum(weight for probe, weight in probes if probe.device == device)
    there = sum(weight for _, weight in [*jobs, *probes]) - here - probed
    if max(here, probed) >= ENOUGH:
        return MEASURED if here >= probed else PROBED
    return SCALED if there >= ENOUGH else ANALYTIC


def _solved(points: list, source: str) -> Fit:
    """Fit ln a and ln b to (arithmetic, ln seconds, weight) by Gauss-Newton, with priors around 0."""
    a = b = 0.0
    deviation = JOB
    for number in range(ROUNDS):
        # normal equations; the prior of each is one observation of 0
        aa, ab, bb, ra, rb = 1 / START**2, 0.0, 1 / WORK**2, -a / START**2, -b / WORK**2
        squares, total = 4 * JOB**2, 4.0
        for arithmetic, seen, weight in points:
            start, rest = math.exp(a) * arithmetic.start, math.exp(b) * arithmetic.work
            off, share = seen - math.log(start + rest), rest / (start + rest)
            total += weight
            # arithmetic may be far off for all: outliers are known only beside a fit
            if number >= ROUNDS // 3:
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
    """Return the variance of the fit's logarithm. share: of the work in the seconds."""
    aa, ab, bb = fit.covariance
    return aa * (1 - share) ** 2 + 2 * ab * share * (1 - share) + bb * share**2


def _predicted(fit: Fit, job: Actual, planned: work.Work, machines: Machines) -> float:
    done = job.work if job.work.rows else job.work._replace(rows=planned.rows)
    arithmetic = throughput.seconds(done, machines.device(job.device))
    return math.log(math.exp(fit.start) * arithmetic.start + math.exp(fit.work) * arithmetic.work)


def _weight(job: Actual | Probe, key: _Key, machines: Machines) -> float:
    """Return how much a finished job (probe) says about another kind of job; nothing across CPUs and GPUs."""
    if (job.device == CPU) != (key.device == CPU) or (job.device != CPU and job.device not in machines.gpus):
        return 0.0
    apart = math.log(job.work.parameters or 1) - key.size
    weight = math.exp(-0.5 * (apart / SIZE) ** 2)
    weight *= 1 if job.work.settings == key.settings else SETTINGS
    return weight * (1 if job.device == key.device else DEVICE)


def _same(job: Actual, planned: work.Work, device: str) -> bool:
    """Whether a finished job was this cell as it is planned now."""
    return job.device == device and (job.work.settings, job.work.gpus) == (planned.settings, planned.gpus)


@cache
def _latest(held: _Held, rule: str) -> list[Actual]:
    """Return the latest jobs of each kind: thousands of like ones say no more than the last of them."""
    kinds = {}
    for job in held.actuals.jobs.get(rule, ()):
        if job.seconds > 0:
            kinds.setdefault(kind(job), []).append(job)
    return [job for jobs in kinds.values() for job in jobs[-LATEST:]]


@cache
def _open(held: _Held, rule: str) -> list[Probe]:
    """Return the probes of a rule of whose kind no job has finished."""
    finished = {kind(job) for job in _latest(held, rule)}
    return [probe for probe in held.actuals.probes if probe.rule == rule and kind(probe) not in finished]


@cache
def _probed_lengths(held: _Held) -> dict[tuple[str, str], tuple]:
    """Return what Actuals.lengths holds, of the rows of probes."""
    own = [probe for probe in held.actuals.probes if probe.rule in ("generate", "answer")]
    return {(probe.rule, probe.cell): (probe.work.settings, probe.work.read, probe.work.written) for probe in own}


def _history(actuals: Actuals) -> dict[tuple[str, str], list[Actual]]:
    return _by_cell(_Held(actuals, None))


@cache
def _by_cell(held: _Held) -> dict[tuple[str, str], list[Actual]]:
    found = {}
    for rule, jobs in held.actuals.jobs.items():
        for job in jobs:
            if job.seconds > 0:
                found.setdefault((rule, job.cell), []).append(job)
    return found


@cache
def _usual_lengths(held: _Held, rule: str, limit: int | None) -> tuple[float, float] | None:
    """Return the median tokens of a row, before and in its response, over the measured ones under the same limit."""
    lengths = _probed_lengths(held) | held.actuals.lengths
    told = [
        (before, within)
        for (known, _), (settings, before, within) in lengths.items()
        if known == rule and limit in (None, dict(settings).get("limit"))
    ]
    if not told:
        return None
    return tuple(sorted(values)[len(told) // 2] for values in zip(*told, strict=True))


__all__ = ["Actuals", "Estimate", "Machines", "estimate", "expected_work", "load", "read", "storage"]
