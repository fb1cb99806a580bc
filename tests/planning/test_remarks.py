"""What to know before a run."""

import json
import shutil
import subprocess
import sys

import pytest
from plan_documents import job
from teachergrid.cost import actuals, workload
from teachergrid.planning import remarks
from workspace import ENV, one_base


def document(grid, *argv: str) -> dict:
    done = grid.call("teachergrid", "plan", "--json", *argv)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


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
        "config": None,
    }
    assert remarks.replaced(planned[4:], took) is None


@pytest.mark.slow
def test_a_second_config_replaces_what_the_first_has_made_under_its_names(grid):
    """Any setting counts then, not only models: all configs of a results folder share their names."""
    summary = grid.folder / "results/run.json"
    summary.write_text(json.dumps({"argv": ["--configfile", "config/config.yaml"]}))
    shutil.copy(grid.folder / "config/config.yaml", grid.folder / "second.yaml")
    grid.replace("second.yaml", "learning_rate: 1,", "learning_rate: 2,")
    plan = document(grid, "--configfile", "second.yaml")
    replaces = plan["replaces"]
    assert replaces["config"] == "config/config.yaml" and replaces["results"] == len(plan["jobs"])
    assert "finetune q__seed__large__sft__s1: recipe.learning_rate: 1 -> 2" in replaces["changes"]
    [line] = remarks.texts(plan)
    assert "made from another config (config/config.yaml: finetune " in line and "a folder of its own" in line
    # of the same config it is a change that the reasons tell
    summary.write_text(json.dumps({"argv": ["--configfile", "second.yaml"]}))
    assert document(grid, "--configfile", "second.yaml")["replaces"] is None


@pytest.mark.slow
def test_a_second_study_has_a_folder_of_its_own(grid):
    """As README.md says: the config's paths start there, and so do its results."""
    before = {path: path.stat().st_mtime_ns for path in (grid.folder / "results").rglob("*.parquet")}
    grid.edit(one_base)
    second = grid.folder / "second"
    shutil.copytree(grid.folder / "config", second / "config")
    env = {**ENV, "PYTHONPATH": str(grid.folder / "workflow/scripts")}
    words = ["--snakefile", "../Snakefile", "--configfile", "config/config.yaml"]
    for command in (["run", *words], ["status", "--json", *words], ["plan", *words]):
        done = subprocess.run(
            [sys.executable, "-m", "teachergrid", *command], cwd=second, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert (second / "results/grids/teachers/report.html").exists()
    assert before == {path: path.stat().st_mtime_ns for path in (grid.folder / "results").rglob("*.parquet")}
