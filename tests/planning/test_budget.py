"""Plans over budget: what to cut, and which part of the grid fits."""

from types import SimpleNamespace

import pytest
from plan_documents import HOUR, grid, job, plan
from teachergrid.errors import BadInput
from teachergrid.planning import budget, terminal


def asked(**limits) -> SimpleNamespace:
    none = {"max_gpu_hours": None, "max_usd": None, "deadline": None, "fit_budget": False}
    return SimpleNamespace(**none | limits)


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
