"""A pilot's two phases as exact job sets of the real Snakemake."""

import json
import shutil
from pathlib import Path

import pytest
from pilot_grid import (
    CHOICE,
    ONE_EACH,
    PHASE_ONE,
    PHASE_TWO,
    SUMMARY,
    add_teacher,
    column,
    exams,
    responses,
    students,
    with_pilot,
)
from workspace import Grid, copy_code, jobs, setting


def choose(grid: Grid, chosen: dict) -> None:
    (grid.folder / "choice.json").write_text(json.dumps(chosen))


@pytest.fixture(scope="module")
def piloted(tmp_path_factory) -> Path:
    """The small grid with a pilot, both phases made."""
    folder = tmp_path_factory.mktemp("piloted")
    copy_code(folder)
    (folder / "workflow/scripts/pilot.py").write_text(CHOICE)
    grid = Grid(folder)
    grid.edit(with_pilot)
    choose(grid, ONE_EACH)
    assert grid.jobs() == PHASE_ONE
    grid.run()
    assert grid.jobs() == PHASE_TWO
    grid.run()
    return folder


@pytest.fixture
def grid(piloted, tmp_path) -> Grid:
    shutil.copytree(piloted, tmp_path / "grid", symlinks=True)
    return Grid(tmp_path / "grid")


@pytest.mark.slow
def test_nothing_is_left_after_two_calls(grid):
    assert grid.jobs() == set()


@pytest.mark.slow
def test_a_new_teacher_that_is_not_kept(grid):
    """Its pilot column and the summaries; no student of another teacher."""
    grid.edit(add_teacher)
    assert grid.jobs() == column("new")
    grid.run()
    assert grid.jobs() == SUMMARY
    grid.run()
    assert grid.jobs() == set()


@pytest.mark.slow
def test_a_new_teacher_that_is_kept_for_one_base(grid):
    grid.edit(add_teacher)
    choose(grid, {"q": ["new"], "w": ["small"]})
    grid.run()
    # the students of the teacher that it replaces stay on disk and in no table
    assert grid.jobs() == responses("new") | students("q", "new") | SUMMARY


@pytest.mark.slow
def test_a_changed_teacher_is_piloted_before_it_is_trained_on(grid):
    grid.edit(setting("teachers", "large", "sampling", "temperature", to=0.5))
    assert grid.jobs() == column("large")
    grid.run()
    assert grid.jobs() == responses("large") | students("q", "large") | SUMMARY


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (setting("grids", "teachers", "pilot", "keep", to=1.0), set()),
        (setting("grids", "teachers", "pilot", "by", to=["length"]), jobs("pilot teachers")),
        (setting("grids", "teachers", "bootstrap", to=500), SUMMARY),
        (
            setting("grids", "teachers", "seeds", to=[1, 2]),
            jobs("finetune q__seed__large__sft__s2", "finetune w__seed__small__sft__s2")
            | exams("q__seed__large__sft__s2", "w__seed__small__sft__s2")
            | SUMMARY,
        ),
        (setting("models", "large", "gpus", to=8), set()),
    ],
    ids=["1.0 for 1", "ranked by another metric", "bootstrap", "a seed", "gpus"],
)
def test_reruns(grid, change, expected):
    grid.edit(change)
    assert grid.jobs() == expected


@pytest.mark.slow
def test_a_result_made_anew_does_not_disturb_the_jobs_of_its_run(grid):
    """The pilot runs again beside a job of phase two, and chooses others: that run ends with what it began with."""
    choose(grid, {"q": ["small"], "w": ["large"]})
    (grid.folder / "results/students/q__seed__large__sft__s1/student.json").unlink()
    grid.run("--forcerun", "pilot", "finetune")
    assert (grid.folder / "results/students/q__seed__large__sft__s1/student.json").exists()
    assert grid.jobs() == students("q", "small") | students("w", "large") | SUMMARY


@pytest.mark.slow
def test_a_run_of_two_phases_forces_each_job_once(grid):
    (grid.folder / "results/grids/teachers/pilot.json").unlink()
    done = grid.call("teachergrid", "run", "--forcerun", "generate")
    assert done.returncode == 0, done.stderr
    made = json.loads((grid.folder / "results/run.json").read_text())["done"]
    first = column("small") | column("large")
    second = responses("large") | responses("small") | students("q", "large") | students("w", "small") | SUMMARY
    assert made[: len(first)] and {*made[: len(first)]} == first
    assert sorted(made[len(first) :]) == sorted(second)


@pytest.mark.slow
def test_one_command_runs_both_phases(tmp_path):
    copy_code(tmp_path)
    (tmp_path / "workflow/scripts/pilot.py").write_text(CHOICE)
    grid = Grid(tmp_path)
    grid.edit(with_pilot)
    choose(grid, ONE_EACH)
    done = grid.call("teachergrid", "run")
    assert done.returncode == 0 and "the pilot of teachers has chosen teachers; continuing with them" in done.stderr
    assert grid.jobs() == set()
    summary = json.loads((tmp_path / "results/run.json").read_text())
    assert summary["restarts"] == 0 and set(summary["done"]) == PHASE_ONE | PHASE_TWO
