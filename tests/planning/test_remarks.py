"""What to know before a run."""

from plan_documents import job
from teachergrid.cost import actuals, workload
from teachergrid.planning import remarks


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
    found = remarks.spared(planned, ["--configfile", "my.yaml"])
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
    found = remarks.spared(twice, [])
    assert found["command"] == "teachergrid run --until generate && teachergrid run"
    assert (found["jobs"], found["deleted"]) == (2, {"generate": 1})
    # where all is changed, nothing is spared
    assert (
        remarks.spared(linked(("generate a", "output missing", ()), ("reward rm/a", "metrics changed", (0,))), [])
        is None
    )
    assert (
        remarks.spared(linked(("generate a", "sampling changed", ()), ("finetune q__a", "follows", (0,))), []) is None
    )
    assert remarks.spared([], []) is None


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
    assert remarks.replaced(planned, took) == {
        "results": 3,
        "gpu_hours": 2.0,
        "unknown": 1,  # how long the student took
        "changes": ["teacher large: model.repo: org/a -> org/b"],
    }
    assert remarks.replaced(planned[4:], took) is None
