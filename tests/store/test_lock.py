"""One run at a time on one results folder; a dead run's lock gives way, a live one's does not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from teachergrid.errors import BadInput
from teachergrid.store import lock
from workspace import ENV, setting


@pytest.fixture
def results(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    return "results"


def write(owner: dict) -> None:
    Path("results", lock.LOCK).write_text(json.dumps(owner))


def test_take_and_release(results):
    lock.take(results)
    assert lock.holder(results)["pid"] == os.getpid()
    lock.take(results)  # ours already
    lock.release(results)
    assert lock.holder(results) is None


def test_a_live_run_is_refused(results, capsys):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        write({**lock.this_process(), "pid": other.pid, "started": lock.start_ticks(other.pid)})
        with pytest.raises(BadInput, match=f"another run works on these results .process {other.pid}"):
            lock.take(results)
        lock.warn_of_another(results)
        assert f"another run works on these results (process {other.pid}" in capsys.readouterr().err
    finally:
        other.kill()
        other.wait()
    # now it is dead
    lock.warn_of_another(results)
    lock.take(results)
    lock.warn_of_another(results)
    assert not capsys.readouterr().err


def test_a_run_is_refused_before_anything_else_is_looked_at(grid):
    """With a plan that nobody agreed on, which is the next reason to refuse."""
    Path(grid.folder, "results", lock.LOCK).write_text(json.dumps(lock.this_process() | {"host": "elsewhere"}))
    done = grid.call("teachergrid", "run", "--plan", "0" * 64)
    assert done.returncode == 2 and "not started: results: another run works on these results" in done.stderr
    Path(grid.folder, "results", lock.LOCK).unlink()
    assert "another run" not in (again := grid.call("teachergrid", "run", "--plan", "0" * 64)).stderr
    assert again.returncode == 2 and "is saved in these results" in again.stderr


@pytest.mark.parametrize(
    ("owner", "refused"),
    [
        ({"pid": 2**22 + 1}, False),
        ({"started": "0"}, False),  # the number is in use again, by another process
        ({"boot": "before"}, False),  # the machine was started anew
        ({"host": "elsewhere", "pid": 2**22 + 1}, True),  # nothing is proven about another machine
        ({"host": "elsewhere"}, True),  # where the same number is another process
    ],
)
def test_what_proves_death(results, owner, refused):
    write({**lock.this_process(), "pid": os.getppid() if "started" in owner else os.getpid(), **owner})
    assert lock.is_dead(lock.holder(results)) is not refused
    if refused:
        with pytest.raises(BadInput, match=r"remove results/\.lock"):
            lock.take(results)


def test_jobs_of_a_dead_run_that_still_work_are_waited_for(results, tmp_path):
    script = tmp_path / ".snakemake/scripts/tmp.generate.py"
    script.parent.mkdir(parents=True)
    script.write_text("import time; time.sleep(60)")
    job = subprocess.Popen([sys.executable, script], cwd=tmp_path)
    try:
        write({**lock.this_process(), "pid": 2**22 + 1})
        deadline = time.monotonic() + 5
        while not lock.orphaned_jobs(str(tmp_path)) and time.monotonic() < deadline:
            time.sleep(0.05)
        with pytest.raises(BadInput, match=f"its jobs still work .processes {job.pid}"):
            lock.take(results)
    finally:
        job.kill()
        job.wait()
    lock.take(results)


def test_a_lock_cut_off_in_writing_holds_nothing(results):
    Path("results", lock.LOCK).write_text("")
    assert lock.refuse_if_held(results) is None


def slow_run(grid) -> subprocess.Popen:
    """Start a run in a process group of its own, and return when it is in the middle of a training."""
    grid.edit(setting("grids", "instructions", "seeds", to=[1, 2]))
    start = 'if __name__ == "__main__":'
    grid.replace("workflow/scripts/finetune.py", start, f"{start}\n    import time; time.sleep(2)")
    argv = [sys.executable, "-m", "teachergrid", "run"]
    run = subprocess.Popen(argv, cwd=grid.folder, env=ENV, start_new_session=True, stderr=subprocess.PIPE)
    for line in run.stderr:
        if b"finetune" in line:
            return run
    raise AssertionError("no training was seen")


@pytest.mark.slow
def test_a_killed_run_goes_on(grid):
    """kill -9 of the whole process group; the next run frees the lock by itself and finishes."""
    run = slow_run(grid)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert lock.is_dead(lock.holder(str(grid.folder / "results")))
    assert grid.jobs()
    done = grid.call("teachergrid", "run")
    assert done.returncode == 0 and "died; its lock is freed" in done.stderr
    assert "nothing to do: every result is up to date" in grid.call("teachergrid", "run").stderr


@pytest.mark.slow
def test_ctrl_c_stops_and_keeps(grid):
    run = slow_run(grid)
    os.killpg(run.pid, signal.SIGINT)
    said = run.stderr.read().decode()
    assert run.wait() == 130 and "stopped; what is finished is kept" in said
    assert lock.holder(str(grid.folder / "results")) is None
    assert not list((grid.folder / ".snakemake/locks").glob("*"))
    done = grid.call("teachergrid", "run")
    assert done.returncode == 0 and "lock is freed" not in done.stderr
