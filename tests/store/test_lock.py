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
        ({"boot": "before", "machine": None}, True),  # the machine was started anew, or another container has its name
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


GARBAGE = ["{", "[]", "5", '"x"', "null", '{"pid": 1}', "[" * 100_000, "\0\x1b[2J"]
WRONG = [
    {"pid": "1"},
    {"pid": 0},
    {"pid": -1},
    {"pid": True},
    {"pid": 2**31},
    {"pid": 1.5},
    {"host": 5},
    {"folder": None},
]


@pytest.mark.parametrize("content", [*GARBAGE, *(json.dumps({**lock.this_process(), **wrong}) for wrong in WRONG)])
def test_garbage_is_held_by_an_unknown_process(results, content, capsys):
    """Nobody knows whose it is; a person has to look."""
    Path(results, lock.LOCK).write_text(content)
    me = lock.this_process()["user"]
    with pytest.raises(
        BadInput, match=rf"an unknown process of {me}, since .* gone, and its jobs too, remove results/\.lock"
    ):
        lock.take(results)
    lock.warn_of_another(results)
    lock.release(results)
    assert "unknown process" in capsys.readouterr().err and Path(results, lock.LOCK).exists()


@pytest.mark.parametrize("kind", [os.mkfifo, os.mkdir, lambda path: os.symlink("nowhere", path)])
def test_what_is_no_file_is_held_by_an_unknown_process(results, kind):
    """A fifo is not waited for."""
    kind(f"{results}/{lock.LOCK}")
    with pytest.raises(BadInput, match="an unknown process"):
        lock.take(results)


def test_a_lock_of_an_earlier_version_is_believed_only_as_far_as_it_goes(results):
    """It does not name the PID namespace, so no process of that number is no proof."""
    old = {
        key: value for key, value in lock.this_process().items() if key in ("pid", "started", "host", "boot", "folder")
    }
    write({**old, "pid": 2**22 + 1})
    with pytest.raises(BadInput, match=rf"process {2**22 + 1} on .* remove results/\.lock"):
        lock.take(results)


def test_everybody_may_read_who_holds_it(results):
    before = os.umask(0o077)
    try:
        lock.take(results)
    finally:
        os.umask(before)
    assert Path(results, lock.LOCK).stat().st_mode & 0o777 == 0o644


def test_where_processes_are_hidden_another_users_dead_run_is_not_taken_over_unasked(results, monkeypatch):
    monkeypatch.setattr(lock, "start_ticks", lambda pid: None)  # as /proc with hidepid answers about process 1
    write({**lock.this_process(), "pid": 2**22 + 1, "uid": os.getuid() + 1, "user": "bob"})
    with pytest.raises(BadInput, match=r"of bob on .* its jobs may still work; ask bob .* run --take-over"):
        lock.take(results)
    lock.take(results, take_over=True)
    lock.release(results)
    write({**lock.this_process(), "pid": 2**22 + 1})
    lock.take(results)  # our own jobs are never hidden


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
