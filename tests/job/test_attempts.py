"""What is kept of a cell's earlier tries."""

import json
from pathlib import Path

import pytest
from teachergrid.job import attempts, failures

CELL = "answer", "q/math"
LOG = Path("results/logs/answer/q/math.log")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    LOG.parent.mkdir(parents=True)


def fails(text: str, kind: str = failures.TIME_OUT, log: str | None = str(LOG)) -> None:
    LOG.write_text(text)
    where = {"node": "gh1", "slurm": "41", "resources": {"runtime": 60}}
    failures.write("results", failures.Record(*CELL, kind, text, ["x"], log, **where))


def kept() -> list[tuple]:
    return [(one.line, one.log, Path(one.log).read_text()) for one in attempts.read("results", *CELL)]


def test_the_first_failure_is_not_lost_when_the_cell_is_tried_again():
    fails("first")
    attempts.keep("results", *CELL)
    assert not LOG.exists() and failures.read("results") == {}
    # the job that starts does the same, and finds nothing to do
    attempts.keep("results", *CELL, environment={})
    (one,) = attempts.read("results", *CELL)
    assert (one.kind, one.line, one.node, one.slurm, one.resources) == (
        failures.TIME_OUT,
        "first",
        "gh1",
        "41",
        {"runtime": 60},
    )
    assert kept() == [("first", "results/logs/answer/q/math~1.log", "first")]


def test_the_last_three_are_kept():
    for number in range(1, 6):
        fails(f"try {number}")
        attempts.keep("results", *CELL)
    assert kept() == [(f"try {n}", f"results/logs/answer/q/math~{n}.log", f"try {n}") for n in (3, 4, 5)]
    assert sorted(path.name for path in LOG.parent.iterdir()) == [
        "math~3.log",
        "math~4.log",
        "math~5.log",
        "math~tries.json",
    ]


def test_a_log_of_slurm_stays_where_it_is():
    slurm = Path("results/logs/slurm/41.log")
    slurm.parent.mkdir()
    slurm.write_text("DUE TO TIME LIMIT")
    for _ in range(5):
        fails("x", log=str(slurm))
        attempts.keep("results", *CELL)
    assert slurm.exists() and {one.log for one in attempts.read("results", *CELL)} == {str(slurm)}
    assert sorted(path.name for path in LOG.parent.glob("*.log")) == ["math~3.log", "math~4.log", "math~5.log"]


def test_a_start_that_slurm_repeats_is_a_try_and_a_success_is_none():
    LOG.write_text("as far as it came")
    attempts.keep("results", *CELL, environment={"SLURM_JOB_ID": "41"})
    assert LOG.exists() and attempts.read("results", *CELL) == []
    attempts.keep("results", *CELL, environment={"SLURM_JOB_ID": "41", "SLURM_RESTART_COUNT": "1"})
    (one,) = attempts.read("results", *CELL)
    assert (one.kind, one.slurm) == (attempts.REQUEUED, "41") and Path(one.log).read_text() == "as far as it came"


@pytest.mark.parametrize("text", ["", "{", "[1]", json.dumps([{"unknown": 1}])])
def test_a_damaged_file_loses_only_itself(text):
    attempts.path("results", *CELL).write_text(text)
    assert attempts.read("results", *CELL) == []
    fails("next")
    attempts.keep("results", *CELL)
    assert [one.line for one in attempts.read("results", *CELL)] == ["next"]
