"""What was expected of the jobs and what they took (estimates), as numbers and sentences of a page and a terminal."""

from . import text


def table(found: dict | None) -> dict | None:
    """Return {"rows": stages as shown, "total": the same over all, apart for GPUs and CPUs, "sentences"}.

    None where no job has an estimate. found: of estimates.compared.
    """
    stages = [stage for stage in (found or {}).get("stages") or () if stage["estimated_s"] and stage["actual_s"]]
    if not stages:
        return None
    return {
        "rows": list(map(shown, stages)),
        "total": list(map(shown, totals(stages))),
        "sentences": sentences(found, stages),
    }


def totals(stages: list[dict]) -> list[dict]:
    """Return the sums over the stages, of the jobs on GPUs and of those on CPUs."""
    found = []
    for on_gpus in (True, False):
        mine = [stage for stage in stages if stage["on_gpus"] == on_gpus]
        sums = {key: sum(stage[key] for stage in mine) for key in ("jobs", "estimated_s", "actual_s", "inside")}
        found += [{"rule": None, "on_gpus": on_gpus, **sums}] * bool(mine)
    return found


def shown(stage: dict) -> dict:
    """Return a row with its ratio, its share of jobs inside the range, and its times in words."""
    return {
        **stage,
        "ratio": stage["actual_s"] / stage["estimated_s"],
        "share": stage["inside"] / stage["jobs"],
        "estimated": amount(stage["estimated_s"], stage["on_gpus"]),
        "actual": amount(stage["actual_s"], stage["on_gpus"]),
    }


def amount(seconds: float, on_gpus: bool) -> str:
    return f"{text.significant(seconds / 3600)}{text.SPACE}GPU-h" if on_gpus else text.duration(seconds)


def sentences(found: dict, stages: list[dict]) -> list[str]:
    """Return what the numbers say, and what they leave out."""
    jobs, inside = (sum(stage[key] for stage in stages) for key in ("jobs", "inside"))
    parts = [
        f"{row['actual']} taken where {row['estimated']} were expected ({text.significant(row['ratio'], 2)} times)"
        for row in map(shown, totals(stages))
    ]
    said = [f"{' and '.join(parts)}; {text.percent(inside / jobs)} of {text.count(jobs)} jobs within their range."]
    if n := found["elsewhere"]:
        said.append(f"{text.count(n)} of them ran on another type of device than was counted with.")
    left = {
        "began without an estimate": found["unplanned"],
        "went on from what a killed job had left": found["resumed"],
    }
    if any(left.values()):
        said.append(f"Not compared: {', '.join(f'{text.count(n)} that {what}' for what, n in left.items() if n)}.")
    return said
