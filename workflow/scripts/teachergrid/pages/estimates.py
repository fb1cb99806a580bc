"""What was estimated for the jobs and what they took (store.estimates), as numbers and sentences for a page or a terminal."""

from collections.abc import Mapping
from typing import Any, TypedDict

from . import text


class Table(TypedDict):
    rows: list[dict]  # of stages, see `formatted`
    total: list[dict]  # of all jobs, separately for GPUs and CPUs
    sentences: list[str]


def table(comparison: Mapping[str, Any] | None) -> Table | None:
    """Return what pages show; None where no job has an estimate. comparison: of store.estimates.compared."""
    if not comparison:
        return None
    stages_with_both = [stage for stage in comparison.get("stages") or () if stage["estimated_s"] and stage["actual_s"]]
    if not stages_with_both:
        return None
    return {
        "rows": list(map(formatted, stages_with_both)),
        "total": list(map(formatted, totals(stages_with_both))),
        "sentences": sentences(comparison, stages_with_both),
    }


def totals(stages: list[dict]) -> list[dict]:
    """Return the sums over the stages, of the jobs on GPUs and of those on CPUs."""
    rows = []
    for on_gpus in (True, False):
        on_device = [stage for stage in stages if stage["on_gpus"] == on_gpus]
        if on_device:
            sums = {
                key: sum(stage[key] for stage in on_device) for key in ("jobs", "estimated_s", "actual_s", "inside")
            }
            rows.append({"rule": None, "on_gpus": on_gpus, **sums})
    return rows


def formatted(stage: dict) -> dict:
    """Return a row with its ratio, its share of jobs inside the range, and its times as text."""
    return {
        **stage,
        "ratio": stage["actual_s"] / stage["estimated_s"],
        "share": stage["inside"] / stage["jobs"],
        "estimated": amount(stage["estimated_s"], stage["on_gpus"]),
        "actual": amount(stage["actual_s"], stage["on_gpus"]),
    }


def amount(seconds: float, on_gpus: bool) -> str:
    return f"{text.significant(seconds / 3600)}{text.SPACE}GPU-h" if on_gpus else text.duration(seconds)


def sentences(comparison: Mapping[str, Any], stages: list[dict]) -> list[str]:
    """Return what the numbers mean, and which jobs they leave out."""
    jobs, inside = (sum(stage[key] for stage in stages) for key in ("jobs", "inside"))
    parts = [
        f"{row['actual']} instead of the expected {row['estimated']} ({text.significant(row['ratio'], 2)} times)"
        for row in map(formatted, totals(stages))
    ]
    texts = [f"{' and '.join(parts)}; {text.percent(inside / jobs)} of {text.count(jobs)} jobs within their range."]
    if n := comparison["elsewhere"]:
        texts.append(f"{text.count(n)} of them ran on another type of device than was estimated for.")
    left_out = {
        "began without an estimate": comparison["unplanned"],
        "continued a job that had been killed": comparison["resumed"],
    }
    if any(left_out.values()):
        parts = [f"{text.count(n)} that {what}" for what, n in left_out.items() if n]
        texts.append(f"Not compared: {', '.join(parts)}.")
    return texts
