"""`teachergrid run` on a real cluster: nothing is submitted twice, and every way to stop it leaves what it says."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from slurm_grids import Run, SlurmGrid
from teachergrid.slurm.scheduler import cancel, live
from teachergrid.store import lock

pytestmark = pytest.mark.usefixtures("cluster", "started")  # the cases go on meanwhile
CELL = "generate seed__small"
TARGET = "results/responses/seed__small.parquet"
LONG = 1800  # seconds, on a busy machine


@pytest.fixture
def slow(tmp_path) -> SlurmGrid:
    """A grid whose teacher works until it is told to go on."""
    return SlurmGrid(tmp_path / "grid", faults={CELL: {"waits": 0}})


def start(grid: SlurmGrid, env: dict | None = None) -> Run:
    """Start a run of one cell and return when its job runs."""
    run = Run(grid.folder, TARGET, env=env)
    until(lambda: states(grid) == ["RUNNING"] and grid.tries(CELL), run)
    return run


def until(found, run: Run) -> None:
    end = time.monotonic() + LONG
    while not found():
        assert time.monotonic() < end and run.process.poll() is None, run.text()
        time.sleep(0.3)


def states(grid: SlurmGrid) -> list[str]:
    return [job.state for job in live(grid.folder)]


def summary(grid: SlurmGrid) -> dict:
    return json.loads((grid.folder / "results/run.json").read_text())


def is_free(grid: SlurmGrid) -> bool:
    return lock.holder(str(grid.folder / "results")) is None and not list((grid.folder / ".snakemake").glob("locks/*"))


@pytest.mark.slurm_long
def test_a_job_of_a_killed_run_is_neither_doubled_nor_lost(slow):
    killed = start(slow)
    killed.kill()
    (job,) = live(slow.folder)
    assert (job.rule, job.cell) == ("generate", "seed__small") and 0 < job.elapsed_s < job.limit_s and job.node

    refused = Run(slow.folder, TARGET)
    assert refused.ends(LONG) == 2, refused.text()
    assert f"{job.id} RUNNING generate seed__small" in refused.text()
    assert all(way in refused.text() for way in ("--live wait", "--live cancel", f"scancel {job.id}"))

    waited = Run(slow.folder, "--live", "wait", TARGET)
    until(lambda: "waiting for them" in waited.text(), waited)
    slow.go(CELL)
    assert waited.ends(LONG) == 0, waited.story()
    assert "nothing to do" in waited.text()
    assert len(slow.tries(CELL)) == 1 and is_free(slow)


@pytest.mark.slurm
def test_jobs_of_a_killed_run_are_cancelled_when_asked(slow):
    start(slow).kill()
    run = Run(slow.folder, "--live=cancel", TARGET)
    until(lambda: len(slow.tries(CELL)) == 2, run)
    slow.go(CELL)
    assert run.ends(LONG) == 0, run.story()
    first, second = slow.tries(CELL)
    assert first["end"] < second["begin"] and summary(slow)["done"] == [CELL]


@pytest.mark.slurm
def test_a_squeue_without_answer_is_no_empty_queue(slow, tmp_path):
    """The controller of this configuration is not there."""
    text = re.sub(r"(?m)^SlurmctldPort=.*", "SlurmctldPort=1", Path("/etc/slurm/slurm.conf").read_text())
    (tmp_path / "slurm.conf").write_text(text + "\nMessageTimeout=2\n")
    run = Run(slow.folder, TARGET, env={"SLURM_CONF": str(tmp_path / "slurm.conf")})
    assert run.ends(LONG) == 2 and "squeue does not answer" in run.text(), run.text()


@pytest.mark.slurm_long
def test_a_job_that_a_person_cancels_is_not_submitted_again_by_itself(slow):
    run = start(slow)
    (job,) = live(slow.folder)
    cancel([job.id])
    assert run.ends(LONG) == 1, run.story()
    (failed,) = summary(slow)["failed"]
    assert (failed["kind"], failed["line"], failed["slurm"]) == ("cancelled", "cancelled by root", job.id)
    assert len(slow.tries(CELL)) == 1 and is_free(slow)
    slow.go(CELL)
    again = Run(slow.folder, TARGET)
    assert again.ends(LONG) == 0, again.story()
    first, second = slow.tries(CELL)
    assert first["end"] < second["begin"]


@pytest.mark.slurm_long
def test_a_run_that_waits_for_a_preempted_job_goes_on(tmp_path):
    """A partition with PreemptMode=CANCEL: SLURM has dropped the job; it is submitted again as it was."""
    where = {"generate": {"slurm_partition": "gpu-h100-cancel"}}
    grid = SlurmGrid(tmp_path / "grid", faults={CELL: {"waits": 0}}, resources=where)
    run = start(grid)
    other = ["sbatch", "--parsable", "-A", "teachergrid", "-p", "gpu-h100-high", "--nodes=2", "--exclusive", "-t", "1"]
    other = subprocess.run([*other, "-o", "/dev/null", "--wrap", "sleep 5"], capture_output=True, text=True, check=True)
    until(lambda: len(grid.tries(CELL)) == 2, run)
    grid.go(CELL)
    assert run.ends(LONG) == 0, run.story()
    assert f"preempted: {CELL} waits" in run.text() and summary(grid)["restarts"] == 0, other
    first, second = grid.tries(CELL)
    assert first["end"] < second["begin"] and is_free(grid)


@pytest.mark.slurm_long
def test_ctrl_c_cancels_the_jobs(slow):
    run = start(slow)
    run.interrupt()
    assert run.ends(LONG) == 130, run.text()
    assert states(slow) == [] and is_free(slow) and "what is finished is kept" in run.text()
    slow.go(CELL)
    again = Run(slow.folder, TARGET)
    assert again.ends(LONG) == 0, again.story()
    first, second = slow.tries(CELL)
    assert first["end"] < second["begin"]


@pytest.mark.slurm
def test_a_second_ctrl_c_leaves_the_jobs_running(slow):
    run = start(slow, {"TEACHERGRID_GRACE": "60"})
    run.interrupt()
    until(lambda: "Ctrl-C again leaves them running" in run.text(), run)
    run.interrupt()
    assert run.ends(LONG) == 131, run.text()
    assert states(slow) == ["RUNNING"] and "teachergrid run --live wait" in run.text()
    # another checkout that shares the results finds the jobs too
    other = slow.folder.with_name("other")
    shutil.copytree(slow.folder, other, ignore=shutil.ignore_patterns("results", ".snakemake", "run-*"))
    os.symlink(slow.folder / "results", other / "results")
    refused = Run(other, TARGET)
    assert refused.ends(LONG) == 2 and "1 jobs of an earlier run are alive" in refused.text(), refused.text()
    waited = Run(slow.folder, "--live", "wait", TARGET)
    until(lambda: "waiting for them" in waited.text(), waited)
    slow.go(CELL)
    assert waited.ends(LONG) == 0, waited.story()
    assert len(slow.tries(CELL)) == 1 and is_free(slow)
