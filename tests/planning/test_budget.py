"""Plans over budget: what to cut, and which part of the grid fits."""

from types import SimpleNamespace

import pytest
from plan_documents import HOUR, grid, job, plan, without
from teachergrid.errors import BadInput
from teachergrid.planning import budget, terminal


def asked(**limits) -> SimpleNamespace:
    none = {"max_gpu_hours": None, "max_usd": None, "deadline": None, "fit_budget": False}
    return SimpleNamespace(**none | limits)


def replan(dropped):
    return without(grid(), dropped), []


def test_within_and_over():
    assert grid()["total"]["gpu_hours"]["expected"] == 33
    assert budget.over(grid(), asked(max_gpu_hours=33, max_usd=66, deadline=33 * HOUR)) == []
    assert budget.over(grid(), asked(max_gpu_hours=32, max_usd=60, deadline=HOUR)) == [
        "max_gpu_hours",
        "max_usd",
        "deadline",
    ]


def test_the_shortest_list_of_cuts():
    # without the largest teacher 33 - 10 - 6 = 17 are left, without base w 21, without the second seed 24
    assert budget.cuts(grid(), "max_gpu_hours", 17, replan) == ["without teacher big: about 17.0 GPU-hours"]
    assert budget.cuts(grid(), "max_gpu_hours", 24, replan) == [
        "without seed s2: about 24.0 GPU-hours",
        "without base w: about 21.0 GPU-hours",
        "without teacher big: about 17.0 GPU-hours",
    ]
    assert budget.cuts(grid(), "max_gpu_hours", 8, replan) == ["without teacher big, mid: about 7.0 GPU-hours"]
    assert "is not enough" in budget.cuts(grid(), "max_gpu_hours", 1, replan)[0]
    assert budget.cuts(grid(), "max_usd", 34, replan) == ["without teacher big: about 34.0 USD"]
    assert budget.cuts(grid(), "deadline", 17 * HOUR, replan) == ["without teacher big: about 17.0 h"]


def test_the_part_of_the_grid_that_tells_most():
    # all six cells of base and teacher with one seed cost 24; one seed goes before a teacher or a base
    lines = budget.fitted(grid(), "max_gpu_hours", 24, replan)
    assert lines[1:-1] == ["  - {seed: 2}"] and "keeps 6 of 6 cells" in lines[-1] and "lost: 1 of 2 seeds" in lines[-1]
    # 17: four cells with both seeds; three teachers on one base would be three cells
    lines = budget.fitted(grid(), "max_gpu_hours", 17, replan)
    assert lines[1:-1] == ["  - {teacher: big}"] and "keeps 4 of 6 cells" in lines[-1]
    assert budget.fitted(grid(), "max_gpu_hours", 2, replan) == [
        "no part of the grid with two teachers fits this budget"
    ]


def test_no_budget_without_a_price_or_a_cluster():
    free = plan([job("generate a", 1, usd_per_hour=None)])
    assert free["total"]["usd"] is None and terminal.money(free["total"]).startswith("unknown")
    with pytest.raises(BadInput, match="h100 or at endpoints, whose price is unknown; add `usd_per_hour`"):
        budget.over(free, asked(max_usd=1))
    with pytest.raises(BadInput, match="--deadline: no GPUs"):
        budget.over(free | {"schedule": None, "no_schedule": "no GPUs"}, asked(deadline=1))


def test_what_is_advised_meets_the_limit():
    """A cut is planned before it is printed, with what its plan says: here a corpus still needs the largest teacher's answers."""

    def stays(dropped):
        rest = without(grid(), dropped)
        return plan([*rest["jobs"], *([job("generate big", 10)] if "big" in dropped.get("teacher", ()) else [])]), []

    assert budget.cuts(grid(), "max_gpu_hours", 18, stays) == ["without teacher big, mid: about 17.0 GPU-hours"]
    assert budget.fitted(grid(), "max_gpu_hours", 22, stays)[1:] == [
        "  - {teacher: big}",
        "  - {seed: 2}",
        "# keeps 4 of 6 cells of base and teacher (2 teachers a base), about 21.0 GPU-hours; lost: 1 of 3 teachers, 1 of 2 seeds",
    ]

    def refused(dropped):
        raise BadInput("no grid is left")

    assert "is not enough" in budget.cuts(grid(), "max_gpu_hours", 18, refused)[0]
    assert budget.fitted(grid(), "max_gpu_hours", 18, refused) == [
        "no part of the grid with two teachers fits this budget"
    ]


def test_what_goes_with_a_cut_is_told():
    (line,) = budget.cuts(grid(), "max_gpu_hours", 17, lambda names: (without(grid(), names), ["without grid x"]))
    assert line == "without teacher big: about 17.0 GPU-hours; without grid x"


def test_a_deadline_is_met_by_what_shortens_the_longest_chain():
    """A long job on one of many GPUs decides the end, a teacher with more work in short ones does not; nor does a base."""
    jobs = [job("generate long", 9, teacher="long")]
    jobs += [job(f"generate wide{i}", 2, teacher="wide") for i in range(6)]
    jobs += [job(f"finetune {b}__{t}", 1, teacher=t, base=b) for b in "qw" for t in ("long", "wide", "short")]
    many = plan(jobs) | {"cluster": {"delay_s": 0, "pools": {"h100": {"amount": 16, "limit_s": None}}}}

    def replan(dropped):
        rest = without(many, dropped)
        seconds = budget.Grid(rest | {"cluster": many["cluster"]}, "deadline").without({})
        return rest | {"schedule": {"seconds": seconds}}, []

    many["schedule"]["seconds"] = 9 * HOUR
    assert budget.cuts(many, "deadline", 5 * HOUR, replan) == ["without teacher long: about 2.0 h"]
