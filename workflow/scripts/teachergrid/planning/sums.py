"""What the jobs of a plan cost: one job, all together, by stage, by teacher or base, by reason; and on the disk."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ..cost import storage
from ..cost.actuals import SAMPLED
from ..cost.estimate import JOB, MEASURED, PROBED, Z
from ..cost.machines import Machines
from ..cost.saved_estimates import BOUNDS
from ..cost.workload import PROBED as CAN_BE_PROBED
from ..store import disk
from ..store.results import RESULTS
from .archive import Asks, JobRow, Spread, Sums

if TYPE_CHECKING:
    from ..grid.cells import Cells


# How far the errors of two jobs agree (correlation): of one rule they have a rate in common, of two rules the lengths of responses
WITHIN, ACROSS = 0.6, 0.3
# by this factor an estimate may be wrong that a probe of its kind of job is the base of
AFTER_PROBE = math.exp(Z * math.hypot(JOB, SAMPLED))
# a probe that narrows a sum by less than this share of its range is not worth a word
WORTH = 0.25


def summed(jobs: Sequence[JobRow]) -> Sums:
    """Return what jobs cost together."""
    prices = [(job["rule"], job["usd"], 1) for job in jobs if job["usd"] is not None]
    energies = [job["kwh"] for job in jobs if job["kwh"] is not None]
    price = {b: round(n, 6) for b, n in together(prices).items()}
    return {
        "jobs": len(jobs),
        "blocked": sum(job["blocked"] is not None for job in jobs),
        "gpu_hours": hours("gpus", jobs),
        "cpu_hours": hours("cpus", jobs),
        "usd": price if prices or not jobs else None,
        "unpriced": len(jobs) - len(prices),
        "kwh": round(sum(energies), 3) if energies or not jobs else None,
        "sources": dict(sorted(Counter(job["source"] for job in jobs).items())),
        "lengths": lengths(jobs),
    }


def hours(of: str, jobs: Iterable[JobRow]) -> Spread:
    """Return {bound: GPU-hours (core-hours)} of jobs together. of: `gpus` or `cpus`."""
    found = together((job["rule"], job["seconds"], job[of]) for job in jobs if job[of])  # type: ignore[literal-required]
    return {b: round(n / 3600, 6) for b, n in found.items()}


def together(amounts: Iterable[tuple[str, Spread, int]]) -> Spread:
    """Return {bound: sum} of estimates of jobs: 90 % of such sums should lie between low and high.

    Bounds are not summed, since not all jobs are at their bound together: errors of jobs agree in part (WITHIN, ACROSS).
    amounts: (rule, estimate, how many times the estimate counts) of each job.
    """
    # of each rule: what is expected, and the deviations to both sides
    by_rule: dict[str, tuple[list[float], list[float], list[float]]] = defaultdict(lambda: ([], [], []))
    for rule, amount, n in amounts:
        middle, below, above = by_rule[rule]
        expected = amount["expected"]
        middle.append(n * expected)
        below.append(n * abs(amount["low"] - expected))
        above.append(n * abs(amount["high"] - expected))
    expected = sum(sum(middle) for middle, _, _ in by_rule.values())
    less = _agreeing([_agreeing(below, WITHIN) for _, below, _ in by_rule.values()], ACROSS)
    more = _agreeing([_agreeing(above, WITHIN) for _, _, above in by_rule.values()], ACROSS)
    return {"low": max(0.0, expected - less), "expected": expected, "high": expected + more}


def _agreeing(deviations: Sequence[float], correlation: float) -> float:
    """Return the deviation of a sum whose parts have these deviations."""
    squares = sum(n * n for n in deviations)
    return math.sqrt((1 - correlation) * squares + correlation * sum(deviations) ** 2)


def lengths(jobs: Iterable[JobRow]) -> dict[str, dict[str, float]]:
    """Return where the tokens of rows come from: {source: its `jobs`, and the mean `weight` of the responses that are like theirs}."""
    texts: dict[str, list[float]] = defaultdict(list)
    for job in jobs:
        if source := job.get("lengths"):
            texts[source].append(job.get("texts", 0.0))
    return {
        source: {"jobs": len(found), "weight": round(sum(found) / len(found), 2)}
        for source, found in sorted(texts.items())
    }


def narrowing(jobs: Sequence[JobRow]) -> dict[str, Any] | None:
    """Return which rule a probe should run to narrow the estimate of all jobs most; None where none is worth it.

    Returns: rule; of (`gpus` or `cpus`), in whose hours before and after are; before, after (estimates); share of the hours.
    """
    of = "gpus" if any(job["gpus"] for job in jobs) else "cpus"
    before = hours(of, jobs)
    rules = {job["rule"] for job in jobs if job["rule"] in CAN_BE_PROBED and job["source"] not in (MEASURED, PROBED)}
    found = []
    for rule in sorted(rules):
        after = hours(of, [_probed(job) if job["rule"] == rule else job for job in jobs])
        found.append((after["high"] - after["low"], rule, after))
    if not found or not before["expected"]:
        return None
    left, rule, after = min(found, key=lambda one: one[:2])
    if left > (1 - WORTH) * (before["high"] - before["low"]):
        return None
    own = hours(of, [job for job in jobs if job["rule"] == rule])["expected"]
    return {"rule": rule, "of": of, "before": before, "after": after, "share": round(own / before["expected"], 3)}


def _probed(job: JobRow) -> JobRow:
    """Return a job as a probe of its kind would leave its estimate, where that is narrower; what is expected stays."""
    low, middle, high = (job["seconds"][bound] for bound in BOUNDS)
    narrow = {"low": max(low, middle / AFTER_PROBE), "expected": middle, "high": min(high, middle * AFTER_PROBE)}
    return {**job, "seconds": narrow}


def by_engine(jobs: Sequence[JobRow]) -> list[dict[str, Any]]:
    """Return the sums of the jobs of each engine that generates, the costliest first."""
    groups: dict[str, list[JobRow]] = defaultdict(list)
    for job in jobs:
        if engine := job.get("engine"):
            groups[engine].append(job)
    rows: list[dict[str, Any]] = [{"engine": engine, **summed(group)} for engine, group in groups.items()]
    return sorted(rows, key=lambda row: (-row["gpu_hours"]["expected"], -row["cpu_hours"]["expected"], row["engine"]))


def by_endpoint(jobs: Sequence[JobRow]) -> list[dict[str, Any]]:
    """Return what is asked of each endpoint: jobs, requests, tokens, and their price, which is None where one is unknown."""
    groups: dict[str, list[Asks]] = defaultdict(list)
    for job in jobs:
        if asks := job.get("asks"):
            groups[asks["endpoint"]].append(asks)
    rows: list[dict[str, Any]] = []
    for name, group in sorted(groups.items()):
        prices = [("generate", asks["usd"], 1) for asks in group if asks["usd"] is not None]
        numbers = {key: sum(asks[key] for asks in group) for key in ("requests", "prompt_tokens", "response_tokens")}
        known = together(prices) if len(prices) == len(group) else None
        rows.append({"endpoint": name, "jobs": len(group), **numbers, "usd": known})
    return rows


def usd(machines: Machines, device: str, hours: Spread) -> Spread | None:
    """Return the price of a job in USD, with electricity where its price is known; None where the machine's price is unknown.

    hours: {bound: GPU-hours, or core-hours on CPUs}.
    """
    power = machines.electricity_usd_per_kwh
    prices: Spread = {}
    for bound, n in hours.items():
        price, energy = machines.usd(device, n), machines.kwh(device, n)
        if price is None:
            return None
        prices[bound] = price + (power * energy if power is not None and energy is not None else 0.0)
    return prices


def by_stage(jobs: Sequence[JobRow], rules: Sequence[str], reused: Counter[str]) -> list[dict[str, Any]]:
    """Return the sums of each rule that has jobs or results, in the order of the workflow."""
    groups: dict[str, list[JobRow]] = defaultdict(list)
    for job in jobs:
        groups[job["rule"]].append(job)
    return [
        {"stage": rule, **summed(groups[rule]), "reused": reused[rule]}
        for rule in rules
        if rule in groups or reused[rule]
    ]


def by_word(jobs: Sequence[JobRow], word: str) -> list[dict[str, Any]]:
    """Return the sums of the jobs of each teacher (base), the costliest first; None in its place for jobs without one."""
    groups: dict[str | None, list[JobRow]] = defaultdict(list)
    for job in jobs:
        groups[job["words"].get(word)].append(job)
    rows: list[dict[str, Any]] = [{word: key, **summed(group)} for key, group in groups.items()]
    return sorted(rows, key=lambda row: (row[word] is None, -row["gpu_hours"]["expected"], -row["jobs"], row[word]))


def by_reason(jobs: Sequence[JobRow]) -> list[dict[str, Any]]:
    """Return the sums of each reason over the jobs that have it and those that follow from them, the costliest first."""
    groups: dict[str, list[JobRow]] = defaultdict(list)
    for job in jobs:
        groups[job["because"]["reason"]].append(job)
    rows: list[dict[str, Any]] = []
    for reason, group in groups.items():
        direct = [job for job in group if job["reason"] == reason]
        details = Counter(job["because"]["detail"] for job in direct if job["because"]["detail"])
        examples = [{"detail": detail, "jobs": n} for detail, n in details.most_common(5)]
        rows.append({"reason": reason, "direct": len(direct), "details": examples, **summed(group)})
    return sorted(rows, key=lambda row: (-row["gpu_hours"]["expected"], -row["jobs"], row["reason"]))


# --- of one job, and on the disk


def disk_space(cells: "Cells", jobs: Iterable[tuple[str, str]], at_once: int) -> dict[str, Any]:
    """Return the disk space of a plan in bytes.

    Args:
        jobs: (rule, cell) of those to run.
        at_once: jobs that may run at the same time.
    Returns:
        new (the most that the planned jobs hold at once, by kind), whole_grid (the same for all cells), free, can_go (what can
        be deleted of the results), lacking (a sentence where the disk is too small, else None).
    """
    rows: dict[str, dict[str, dict]] = defaultdict(dict)
    for rule, cell in jobs:
        rows[rule][cell] = cells.rows[rule][cell]
    return {
        "new": storage.peak(SimpleNamespace(rows=rows), at_once),
        "whole_grid": sum(storage.peak(cells, at_once).values()),
        "free": disk.free_bytes(RESULTS),
        "can_go": sum(n for _, n, _ in disk.what_can_go()),
        "lacking": storage.lacking(cells, at_once),
    }
