"""What jobs cost together: by stage, by teacher, by reason."""

from collections import Counter

import pytest
from plan_documents import chain, grid, job
from teachergrid.planning import sums


def test_prices_that_are_unknown_are_counted_and_not_summed():
    some = sums.summed([job("a 1", 1), job("b 1", 3, usd_per_hour=None), job("c 1", 0) | {"kwh": None}])
    assert (some["usd"], some["unpriced"]) == ({"low": 1, "expected": 2, "high": 4}, 1)
    assert (some["kwh"], some["gpu_hours"]["expected"], some["cpu_hours"]["expected"]) == (4, 4, 0)
    unknown = sums.summed([job("b 1", 3, usd_per_hour=None) | {"kwh": None}])
    assert unknown["usd"] is None and unknown["kwh"] is None
    # nothing to do costs nothing, which is known
    nothing = sums.summed([])
    assert nothing["usd"] == {"low": 0, "expected": 0, "high": 0} and nothing["kwh"] == 0


def test_blocked_jobs_and_sources_are_counted():
    jobs = [job("a 1", 1) | {"blocked": "no such GPU"}, job("b 1", 1) | {"source": "measured"}, job("c 1", 1)]
    some = sums.summed(jobs)
    assert some["blocked"] == 1 and some["sources"] == {"analytic": 2, "measured": 1}


def test_stages_come_in_the_order_of_the_workflow_with_what_is_reused():
    rules = ["load_instructions", "generate", "check", "finetune"]
    rows = sums.by_stage(grid()["jobs"], rules, Counter(load_instructions=3, finetune=1))
    assert [(row["stage"], row["jobs"], row["reused"]) for row in rows] == [
        ("load_instructions", 0, 3),
        ("generate", 3, 0),
        ("finetune", 12, 1),
    ]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("teacher", [("big", 16), ("mid", 10), ("small", 7)]),
        # 15 hours of responses depend on no base; they come last however much they cost
        ("base", [("w", 12), ("q", 6), (None, 15)]),
    ],
)
def test_the_costliest_teacher_and_base_come_first(word, expected):
    rows = sums.by_word(grid()["jobs"], word)
    assert [(row[word], row["gpu_hours"]["expected"]) for row in rows] == expected


def test_a_reason_has_its_own_jobs_and_those_that_follow_from_them():
    document = chain()
    document["jobs"][1] |= {"reason": "new teacher", "because": {"reason": "new teacher", "detail": "large"}}
    first, new = sums.by_reason(document["jobs"])
    assert (first["reason"], first["direct"], first["jobs"], first["details"]) == ("first run", 1, 2, [])
    assert (new["reason"], new["direct"], new["jobs"]) == ("new teacher", 1, 1)
    assert new["details"] == [{"detail": "large", "jobs": 1}]
