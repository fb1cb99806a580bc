"""What jobs cost together: by stage, by teacher, by reason."""

from collections import Counter

import pytest
from plan_documents import chain, grid, job
from teachergrid.cost import actuals, workload
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


def linked(*jobs: tuple[str, str, tuple[int, ...]]) -> list[dict]:
    """[(job, reason, indices of what it needs)] as jobs of an hour."""
    return [job(name, 1) | {"reason": reason, "needs": list(needs), "details": []} for name, reason, needs in jobs]


def test_what_deleted_outputs_entail_can_be_spared():
    """Beta changed after responses and rewards were deleted: students of the one teacher would be trained again for nothing."""
    planned = linked(
        ("finetune q__large", "follows", (1, 2)),
        ("gate large", "follows", (2,)),
        ("generate large", "output missing", ()),
        ("reward rm/large", "follows", (2,)),
        ("reward rm/small", "output missing", ()),
        ("metric q/large", "metrics changed", (2, 3)),
        ("select best", "follows", (4, 5)),
        ("finetune q__best", "follows", (6,)),
        ("answer q__large", "follows", (0,)),
        ("report g", "follows", (7, 8)),
    )
    found = sums.spared(planned, ["--configfile", "my.yaml"])
    # the student and its answers, the gate, the rewards of the same responses
    run = "teachergrid run --configfile my.yaml"
    assert (found["jobs"], found["gpu_hours"]["expected"]) == (4, 4)
    assert found["command"] == f"{run} --until generate && {run}"
    assert found["deleted"] == {"generate": 1}
    # a deleted output that is made from what is not: a step of its own, after which nothing else is left
    twice = linked(
        ("generate a", "output missing", ()),
        ("select best", "follows", (0,)),
        ("finetune q__best", "follows", (1,)),
        ("answer q__best", "output missing", (2,)),
        ("report g", "title changed", (3,)),
    )
    found = sums.spared(twice, [])
    assert found["command"] == "teachergrid run --until generate && teachergrid run"
    assert (found["jobs"], found["deleted"]) == (2, {"generate": 1})
    # where all is changed, nothing is spared
    assert (
        sums.spared(linked(("generate a", "output missing", ()), ("reward rm/a", "metrics changed", (0,))), []) is None
    )
    assert sums.spared(linked(("generate a", "sampling changed", ()), ("finetune q__a", "follows", (0,))), []) is None
    assert sums.spared([], []) is None


def test_results_that_another_model_of_the_same_name_replaces(tmp_path):
    def made(name: str, needs=(), details=(), exists=True, **words) -> dict:
        path = tmp_path / name.replace("/", "_")
        path.touch() if exists else None
        return job(name, 1, **words) | {"needs": list(needs), "details": list(details), "output": str(path)}

    planned = [
        made("generate s__large", details=["model.repo: org/a -> org/b", "model.revision: 1 -> 2"], teacher="large"),
        made("finetune q__large", [0], teacher="large", base="q"),
        made("answer q__large/math", [1], exists=False),
        made("report g", [1, 2]),
        made("generate s__small", details=["teacher.sampling.temperature: 1 -> 2"], teacher="small"),
    ]
    work = workload.Work("generate", 1, 1, 1, 1, 2, 1, ())
    actual = actuals.Actual("generate", "s__large", work, "h100", 3600, 1, None, None, None, 1)
    took = actuals.Actuals({"generate": [actual._replace(seconds=1), actual]}, {})
    assert sums.replaced(planned, took) == {
        "results": 3,
        "gpu_hours": 2.0,
        "unknown": 1,  # how long the student took
        "changes": ["teacher large: model.repo: org/a -> org/b"],
    }
    assert sums.replaced(planned[4:], took) is None
