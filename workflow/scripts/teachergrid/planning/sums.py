"""What the jobs of a plan cost: one job, all together, by stage, by teacher or base, by reason; and on the disk."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ..cost import storage
from ..cost.machines import Machines
from ..cost.saved_estimates import BOUNDS
from ..store import disk
from ..store.results import RESULTS
from .archive import JobRow, Spread, Sums

if TYPE_CHECKING:
    from ..grid.cells import Cells


def summed(jobs: Sequence[JobRow]) -> Sums:
    """Return what jobs cost together."""
    prices = [job["usd"] for job in jobs if job["usd"] is not None]
    energies = [job["kwh"] for job in jobs if job["kwh"] is not None]
    price = {b: round(sum(p[b] for p in prices), 6) for b in BOUNDS}
    return {
        "jobs": len(jobs),
        "blocked": sum(job["blocked"] is not None for job in jobs),
        "gpu_hours": hours((job["gpus"], job["seconds"]) for job in jobs),
        "cpu_hours": hours((job["cpus"], job["seconds"]) for job in jobs),
        "usd": price if prices or not jobs else None,
        "unpriced": len(jobs) - len(prices),
        "kwh": round(sum(energies), 3) if energies or not jobs else None,
        "sources": dict(sorted(Counter(job["source"] for job in jobs).items())),
    }


def hours(jobs: Iterable[tuple[int, Spread]]) -> Spread:
    """Return {bound: GPU-hours (core-hours)} of jobs together. jobs: (GPUs or CPUs, {bound: seconds}) of each."""
    pairs = list(jobs)
    return {b: round(sum(n * seconds[b] for n, seconds in pairs) / 3600, 6) for b in BOUNDS}


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
