"""Which run is alive, and what to do where it is not."""

import json
from pathlib import Path

import pytest
from teachergrid.run import alive
from teachergrid.slurm.scheduler import Job
from teachergrid.store import lock

JOBS = [Job("7", "RUNNING", "generate", "a", "g1", 5, 60), Job("8", "PENDING", "generate", "b", "", 0, 60)]


@pytest.fixture
def dead(tmp_path, monkeypatch) -> str:
    """A lock whose process is gone; return how it is named."""
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    owner = {**lock.this_process(), "started": "0"}
    Path("results/.lock").write_text(json.dumps(owner))
    return f"the run of {lock.described(lock.holder('results'))} died"


def test_the_advice_after_a_kill_is_what_works(dead, monkeypatch):
    monkeypatch.setattr(lock, "orphaned_jobs", lambda folder: [])
    assert alive.who_runs([]) == f"{dead}; `teachergrid run` continues it"
    assert alive.who_runs(JOBS) == (
        f"{dead} and has left 2 jobs on the cluster: `teachergrid run --live wait` waits for them and continues, "
        "`--live cancel` cancels them first"
    )
    assert alive.who_runs(None).endswith("squeue does not answer, so what runs there is unknown")
    monkeypatch.setattr(lock, "orphaned_jobs", lambda folder: [12])
    assert "its jobs still work (processes 12)" in alive.who_runs([])


def test_a_run_that_could_not_say_how_it_ended(dead):
    Path("results/.lock").unlink()
    assert alive.who_runs([]) == "no run is alive"
    assert "1 job on the cluster: `teachergrid run --live wait`" in alive.who_runs(JOBS[:1])
    Path("results/run.json").write_text(json.dumps({"started": 1, "ended": 2}))
    assert alive.who_runs([]) == "no run is alive"
    for cut in ({"started": 1, "ended": None}, {"started": 1}):
        Path("results/run.json").write_text(json.dumps(cut))
        assert "killed, or the disk was full" in alive.who_runs([])
    Path("results/run.json").write_text("")
    assert alive.summary() == {} and alive.who_runs([]) == "no run is alive"
