"""Plan documents made by hand, with jobs whose cost one can sum in the head."""

from collections import Counter

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
        "cluster": {"source": "--cluster", "delay_s": 0, "pools": {"h100": {"amount": 1, "limit_s": None}}},
    }


def grid() -> dict:
    """Three teachers that cost 10, 4 and 1 hours, two bases of 1 and 2 hours a student, two seeds."""
    jobs = [job(f"generate {t}", n, teacher=t) for t, n in (("big", 10), ("mid", 4), ("small", 1))]
    for t in ("big", "mid", "small"):
        for b, n in (("q", 1), ("w", 2)):
            jobs += [job(f"finetune {b}__{t}__{s}", n, teacher=t, base=b, seed=s) for s in ("s1", "s2")]
    return plan(jobs)


def without(document: dict, dropped: dict) -> dict:
    """The plan of the jobs that have none of the dropped names. dropped: {kind: names}."""
    return plan([j for j in document["jobs"] if not any(j["words"].get(kind) in dropped[kind] for kind in dropped)])


def chain() -> dict:
    """A whole document, as the schema wants it: two responses, a student of the first one, which waits for it."""
    small, large = job("generate small", 1, teacher="small"), job("generate large", 2, teacher="large")
    student = job("finetune q__small__s1", 4, usd_per_hour=None, teacher="small", base="q", seed="s1")
    jobs = [small, large, student]
    for one, (start, end, needs) in zip(jobs, ((0, 1, []), (0, 2, []), (1, 5, [0])), strict=True):
        one |= {"start": start * HOUR, "end": end * HOUR, "needs": needs, "output": f"results/{one['job']}"}
        one |= {"reason": "follows" if needs else "first run", "details": ["<its first>"]}
    document = plan(jobs)
    critical = [
        {"job": one["job"], "pool": "h100", "start": one["start"], "end": one["end"]} for one in (small, student)
    ]
    return document | {
        "options": [],
        "cluster": {"source": "--cluster", "delay_s": 0, "pools": {"h100": {"amount": 2, "limit_s": None}}},
        "total": document["total"] | {"reused": 3},
        "storage": {"new": {"students": 10**9}, "whole_grid": 2 * 10**9, "free": 10**10, "can_go": 0, "lacking": None},
        "stages": sums.by_stage(jobs, ["load_instructions", "generate", "finetune"], Counter(load_instructions=3)),
        "teachers": sums.by_word(jobs, "teacher"),
        "bases": sums.by_word(jobs, "base"),
        "reasons": sums.by_reason(jobs),
        "older": [],
        "problems": [],
        "schedule": {
            "seconds": 5 * HOUR,
            "longest_path_s": 5 * HOUR,
            "critical": critical,
            "utilisation": {"h100": [1.0, 0.75, 0.5, 0.5, 0.5]},
            "halving": [{"change": "finetune twice as fast", "seconds": 3 * HOUR}],
        },
        "machines_date": "2026-01",
    }
