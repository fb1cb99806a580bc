"""Plan documents made by hand, with jobs whose cost one can sum in the head."""

from teachergrid.planning import archive, document, sums

HOUR = 3600.0


def job(name: str, hours: float, usd_per_hour: float | None = 2.0, **words) -> dict:
    spread = {"low": hours / 2, "expected": hours, "high": hours * 2}
    return {
        "job": name,
        "rule": name.split()[0],
        "words": words,
        "gpus": 1,
        "cpus": 0,
        "device": "h100",
        "pool": "h100",
        "seconds": {bound: HOUR * n for bound, n in spread.items()},
        "source": "analytic",
        "usd": None if usd_per_hour is None else {bound: usd_per_hour * n for bound, n in spread.items()},
        "kwh": hours,
        "because": {"reason": "first run", "detail": ""},
        "blocked": None,
        "needs": [],
        "spec": "0" * 16,
    }


def plan(jobs: list[dict]) -> dict:
    hours = sum(j["seconds"]["expected"] for j in jobs)
    return {
        "hash": document.agreed({j["job"]: j["spec"] for j in jobs}),
        "made": "today",
        "format": archive.FORMAT,
        "jobs": jobs,
        "total": sums.summed(jobs),
        "schedule": {"seconds": hours, "utilisation": {"h100": [1.0], "cpu": [0.0]}},
        "no_schedule": None,
    }


def grid() -> dict:
    """Three teachers that cost 10, 4 and 1 hours, two bases of 1 and 2 hours a student, two seeds."""
    jobs = [job(f"generate {t}", n, teacher=t) for t, n in (("big", 10), ("mid", 4), ("small", 1))]
    for t in ("big", "mid", "small"):
        for b, n in (("q", 1), ("w", 2)):
            jobs += [job(f"finetune {b}__{t}__{s}", n, teacher=t, base=b, seed=s) for s in ("s1", "s2")]
    return plan(jobs)
