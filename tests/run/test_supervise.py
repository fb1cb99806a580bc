"""One Snakemake on this machine, watched and stopped. A cluster: tests/cluster."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import failing_workflow
import pytest
from teachergrid.run import supervise
from teachergrid.run.progress import Progress
from teachergrid.slurm import scheduler
from teachergrid.store import lock


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    failing_workflow.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def until(found, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_a_job_that_ignores_ctrl_c_ends_with_the_second(folder):
    with Path("run.log").open("wb", buffering=0) as file, supervise.Signals() as signals:
        log = supervise.Log(file)
        progress = Progress(log.say)
        snakemake = supervise.Snakemake(["--cores", "1", "never"], log.write, progress)

        def say(line: str) -> None:
            log.say(line)
            if line == "stopping":  # Snakemake has been told: the job does not care
                signals.stop()

        progress.say = say
        until(lambda: snakemake.read(0.05) or (Path("pid").exists() and Path("pid").read_text()))
        signals.stop()
        context = supervise.Context(log, signals, None, supervise.Patience.of_environment())
        how = supervise.Supervision(snakemake, progress, context).follow()
        assert how == "stopped" and snakemake.close() == -signal.SIGKILL
    assert lock.start_ticks(int(Path("pid").read_text())) is None


@pytest.mark.parametrize(("folder", "how"), [(None, "stopped"), ("here", "detached")])
def test_two_signals_at_once_leave_jobs_only_on_a_cluster(folder, how):
    """As `timeout` sends them: to a process and to its group."""
    with supervise.Signals() as signals:
        context = supervise.Context(None, signals, folder, supervise.Patience.of_environment())
        told = []
        snakemake = SimpleNamespace(tell=told.append)
        run = supervise.Supervision(snakemake, Progress(lambda line: None), context)
        signals.stop()
        signals.stop()
        run.step(1.0)
        run.step(1.0)
        assert (run.how, told) == (how, [signal.SIGKILL])


@pytest.mark.slow
def test_nothing_outlives_a_killed_run(folder):
    text = "import sys, time; from teachergrid.run import supervise; supervise.Snakemake(['--cores', '1', 'never'], print, None)"
    main = subprocess.Popen([sys.executable, "-c", f"{text}; time.sleep(600)"], start_new_session=True)
    until(lambda: Path("pid").exists() and Path("pid").read_text())
    job = int(Path("pid").read_text())
    main.kill()
    main.wait()
    until(lambda: lock.start_ticks(job) is None, 10)


def test_a_closed_terminal_ends_nothing(tmp_path):
    text = "import os, sys; from teachergrid.run import supervise\nwith supervise.Signals():\n print('ready', flush=True)\n input()\n"
    text += " print('more', flush=True); open('alive', 'w').close()"
    ends, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", text], cwd=tmp_path, stdin=subprocess.PIPE, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    assert b"ready" in os.read(ends, 100)
    process.send_signal(signal.SIGHUP)
    os.close(ends)
    process.communicate(b"\n", timeout=30)
    assert process.returncode == 0 and (tmp_path / "alive").exists()


@pytest.mark.parametrize(("answer", "hung"), [([], True), (None, False), (["a job"], False)])
def test_only_an_empty_answer_of_squeue_is_a_hang(monkeypatch, answer, hung):
    monkeypatch.setattr(scheduler, "live", lambda folder: answer)
    progress = Progress(lambda line: None)
    progress.take({"event": "started", "jobs": [1]})
    progress.take({"event": "ready", "job": 1, "known": {"rule": "generate", "cell": "x", "local": False}})
    watchdog = supervise.Watchdog("/", progress, supervise.Patience(watch=0, hang=1000))
    assert not watchdog.hung(), "not for long yet"
    # as if nothing had happened since long ago
    watchdog.alive -= 2000
    progress.last -= 2000
    assert watchdog.hung() is hung


def test_what_a_run_says_and_logs_shows_control_characters(tmp_path, capsys):
    with (tmp_path / "run.log").open("wb", buffering=0) as file:
        supervise.Log(file).say("failed: \x1b[2J\u202e")
    assert capsys.readouterr().err.endswith(" failed: \\x1b[2J\\u202e\n")
    assert (tmp_path / "run.log").read_text().endswith(" failed: \\x1b[2J\\u202e\n")
