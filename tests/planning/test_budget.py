"""Budgets, differences and words of a plan, on documents made by hand."""

import json
import threading
import time
from types import SimpleNamespace

import pytest
from teachergrid import units
from teachergrid.commands import parser
from teachergrid.errors import BadInput
from teachergrid.planning import archive, budget, diff, document, options, sums, terminal
from teachergrid.run import spend_limit

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


def asked(**limits) -> SimpleNamespace:
    none = {"max_gpu_hours": None, "max_usd": None, "deadline": None, "fit_budget": False}
    return SimpleNamespace(**none | limits)


# --- budgets


def test_within_and_over():
    assert grid()["total"]["gpu_hours"] == {"low": 16.5, "expected": 33, "high": 66}
    assert budget.over(grid(), asked(max_gpu_hours=33, max_usd=66, deadline=33 * HOUR)) == []
    assert budget.over(grid(), asked(max_gpu_hours=32, max_usd=60, deadline=HOUR)) == [
        "max_gpu_hours",
        "max_usd",
        "deadline",
    ]


def test_the_shortest_list_of_cuts():
    # without the largest teacher 33 - 10 - 6 = 17 are left, without base w 21, without the second seed 24
    assert budget.cuts(grid(), "max_gpu_hours", 17) == ["without teacher big: about 17.0 GPU-hours"]
    assert budget.cuts(grid(), "max_gpu_hours", 24) == [
        "without seed s2: about 24.0 GPU-hours",
        "without base w: about 21.0 GPU-hours",
        "without teacher big: about 17.0 GPU-hours",
    ]
    assert budget.cuts(grid(), "max_gpu_hours", 8) == ["without teacher big, mid: about 7.0 GPU-hours"]
    assert "is not enough" in budget.cuts(grid(), "max_gpu_hours", 1)[0]
    assert budget.cuts(grid(), "max_usd", 34) == ["without teacher big: about 34.0 USD"]
    assert budget.cuts(grid(), "deadline", 17 * HOUR) == ["without teacher big: about 17.0 h"]


def test_the_part_of_the_grid_that_tells_most():
    # all six cells of base and teacher with one seed cost 24; one seed goes before a teacher or a base
    lines = budget.fitted(grid(), "max_gpu_hours", 24)
    assert lines[1:-1] == ["  - {seed: 2}"] and "keeps 6 of 6 cells" in lines[-1] and "lost: 1 of 2 seeds" in lines[-1]
    # 17: four cells with both seeds; three teachers on one base would be three cells
    lines = budget.fitted(grid(), "max_gpu_hours", 17)
    assert lines[1:-1] == ["  - {teacher: big}"] and "keeps 4 of 6 cells" in lines[-1]
    assert budget.fitted(grid(), "max_gpu_hours", 2) == ["no part of the grid with two teachers fits this budget"]


def test_no_budget_without_a_price_or_a_cluster():
    free = plan([job("generate a", 1, usd_per_hour=None)])
    assert free["total"]["usd"] is None and terminal.money(free["total"]).startswith("unknown")
    with pytest.raises(BadInput, match="h100, whose price is unknown; add `usd_per_hour`"):
        budget.over(free, asked(max_usd=1))
    with pytest.raises(BadInput, match="--deadline: no GPUs"):
        budget.over(free | {"schedule": None, "no_schedule": "no GPUs"}, asked(deadline=1))


def test_a_run_stops_when_its_hours_are_used_up():
    stopped, said = threading.Event(), []
    run = SimpleNamespace(running={1: 0.0, 2: 0.0}, jobs={1: {"gpus": 4}, 2: {"gpus": 0}})
    live = spend_limit.Bound(0.001, None, None, stopped.set, said.append)
    live.progress = run
    live.look()
    assert live.broken is None and live.gpus == 4
    live.looked -= 1  # a second with four GPUs: 0.0011 hours
    live.look()
    assert "0.00111 GPU-hours are used, 0.001 were allowed" in live.broken
    late = spend_limit.Bound(None, -1.0, None, stopped.set, said.append)
    late.watch(every_s=0.01)
    assert stopped.is_set() and said == ["over budget: the deadline has passed"]


# --- options


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--max-usd", "-1"], "--max-usd -1: give a number of 0 or more"),
        (["--max-gpu-hours", "many"], "invalid float value: 'many'"),
        (["--deadline", "soon"], "--deadline soon: give hours"),
        (["--deadline", "2001-01-01"], "is in the past"),
        (["--start-delay", "-3"], "--start-delay -3"),
    ],
)
def test_mistakes_in_options(argv, told):
    with pytest.raises(BadInput, match=told):
        read("plan", *argv)


def read(*argv: str) -> options.PlanOptions:
    return options.read(*parser.parse(list(argv)))


def test_options_of_ours_and_of_snakemake():
    found = read("plan", "--configfile", "c.yaml", "--max-usd", "5", "--config", "a=1", "-j", "4", "results/x")
    assert found.argv == ["--configfile", "c.yaml", "--config", "a=1", "-j", "4", "results/x"]
    assert found.max_usd == 5 and found.bounded() and not read("plan", "--json").bounded()
    assert read("run", "--plan", "x").plan == "x"
    now = time.mktime((2026, 5, 1, 12, 0, 0, 0, 0, -1))
    assert [options.seconds_until(t, now) for t in ("48", "1.5h", "3d", "2026-05-01T18:00")] == [
        48 * HOUR,
        1.5 * HOUR,
        72 * HOUR,
        6 * HOUR,
    ]


# --- differences, kept plans


def test_the_difference_of_two_plans():
    before = plan([job("generate a", 1), job("generate b", 2)])
    now = plan([job("generate a", 5), job("generate c", 3) | {"because": {"reason": "new teacher", "detail": "c"}}])
    found = diff.between(before, now)
    assert (found["added"]["jobs"], found["removed"]["jobs"], found["changed"]["jobs"], found["kept"]) == (1, 1, 0, 1)
    assert found["added"]["gpu_hours"]["expected"] == 3
    told = diff.text(found, 80)
    assert "+1" in told and "new teacher: c" in told and "-2.0 GPU-h" in told
    assert "the same 2 jobs" in diff.text(diff.between(now, now), 80)
    changed = plan([job("generate a", 1) | {"spec": "1" * 16}, job("generate b", 2)])
    assert changed["hash"] != before["hash"] and diff.between(before, changed)["changed"]["jobs"] == 1


def test_a_plan_is_held_by_its_hash_or_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before, now = plan([job("generate a", 1)]), plan([job("generate a", 1), job("generate b", 2)])
    diff.refuse(now["hash"], now)
    with pytest.raises(BadInput, match="is saved in these results"):
        diff.refuse(before["hash"], now)
    archive.save(before)
    with pytest.raises(BadInput, match=r"from the agreed plan: 1 more \(generate b\)"):
        diff.refuse(before["hash"], now)
    # neither times nor costs are agreed on
    diff.refuse(before["hash"], plan([job("generate a", 9)]))
    assert archive.read(archive.find("last")) == before


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("no json", "is not a plan"),
        ("{}", "is not a plan"),
        ("[1]", "is not a plan"),
        (json.dumps({"format": 99}), "has format 99"),
    ],
)
def test_files_that_are_no_plan_of_ours(tmp_path, content, told):
    path = tmp_path / "plan.json"
    path.write_text(content)
    with pytest.raises(BadInput, match=told):
        archive.read(path)


# --- words


def test_what_is_not_quite_nothing_is_never_zero():
    assert [units.number(n) for n in (0, 0.001, 0.02, 3.21, 1234.5)] == ["0.0", "<0.01", "<0.1", "3.2", "1,234"]
    assert [units.span(n) for n in (50, 250, 8000, 300000)] == ["50 s", "4 min", "2.2 h", "3.5 d"]
    some = sums.summed([job("a 1", 1), job("b 1", 1, usd_per_hour=None)])
    assert (
        terminal.money(some) == "2.0 USD (1.0 to 4.0) and 1 jobs of unknown price" and terminal.dollars(some) == "2.0+?"
    )
    assert max(map(len, terminal.table(["why", "jobs"], [["x" * 200, "1"]], 80).splitlines())) == 80
