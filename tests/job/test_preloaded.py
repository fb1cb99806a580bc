"""Forks of a process that has libraries imported: each is what a process of its own would be, and none is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from teachergrid.job import interpreter, preloaded

# the real server, with a quick module in the place of torch
SERVER = "import sys; from teachergrid.job import preloaded; preloaded.LIBRARIES = ('colorsys',); preloaded.main(*sys.argv[1:])"
WAIT = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A running server, of which preloaded.SOCKET in the environment knows."""
    monkeypatch.setattr(preloaded.devices, "known", lambda: [])
    monkeypatch.setattr(preloaded.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv(preloaded.WANTED, "yes")
    monkeypatch.setenv(preloaded.SOCKET, "")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    started, pipes = [], []
    popen, pipe = subprocess.Popen, os.pipe

    def quick(command, **options):
        started.append(popen([sys.executable, "-c", SERVER, *command[3:]], **options))

    monkeypatch.setattr(preloaded.subprocess, "Popen", quick)
    monkeypatch.setattr(preloaded.os, "pipe", lambda: pipes.append(pipe()) or pipes[-1])
    preloaded.start()
    monkeypatch.setattr(preloaded.subprocess, "Popen", popen)
    started[0].lifeline = pipes[0][1]
    yield started[0]
    started[0].kill()
    started[0].wait()
    os.close(pipes[0][1])


def stand_in(code: str, name: str = "tmp1.answer.py", **environment: str) -> subprocess.Popen:
    Path(name).write_text(code)
    return subprocess.Popen(
        [sys.executable, "-IS", str(interpreter.STAND_IN), os.environ[preloaded.SOCKET], name],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(holds) -> bool:
    """Whether something holds within 20 seconds."""
    deadline = time.monotonic() + 20
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


def waiting_job() -> tuple[subprocess.Popen, int]:
    """Return a stand-in, and the process of its job."""
    asks = stand_in(WAIT)
    assert until(lambda: Path("pid").exists() and Path("pid").read_text())
    return asks, int(Path("pid").read_text())


def gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


JOB = "import os, sys\nprint(os.getcwd(), os.environ['WORD'], sys.argv, __name__, 'colorsys' in sys.modules, flush=True)\n"
JOB += "print('to stderr', 'teachergrid' in sys.modules, file=sys.stderr)\nsys.exit(3)"


@pytest.mark.parametrize(
    ("name", "threads", "forked"),
    [("tmp1.answer.py", "1", True), ("tmp1.metric.py", "1", False), ("tmp1.answer.py", "2", False)],
)
def test_a_job_is_what_a_process_of_its_own_would_be(server, tmp_path, name, threads, forked):
    for word in ("one", "two"):
        job = stand_in(JOB, name, WORD=word, OMP_NUM_THREADS=threads)
        out, err = job.communicate(timeout=20)
        assert out == f"{tmp_path} {word} ['{name}'] __main__ {forked}\n"
        assert (err, job.returncode) == ("to stderr False\n", 3)


def test_a_stand_in_ends_as_its_job_did(server):
    asks, job = waiting_job()
    os.kill(job, signal.SIGTERM)
    assert asks.wait(20) == -signal.SIGTERM
    asks.communicate()


def test_a_job_dies_with_its_stand_in(server):
    asks, job = waiting_job()
    asks.kill()
    assert until(lambda: gone(job))
    asks.communicate()


def test_jobs_die_with_the_server_and_later_ones_do_without(server):
    asks, job = waiting_job()
    server.kill()
    assert asks.wait(20) == -signal.SIGKILL and until(lambda: gone(job))
    asks.communicate()
    later = stand_in(JOB, WORD="alone")
    assert "alone" in later.communicate(timeout=20)[0] and later.returncode == 3


def test_the_server_ends_with_the_process_that_started_it(server):
    asks, job = waiting_job()
    os.dup2(os.open(os.devnull, os.O_RDONLY), server.lifeline)  # closes the pipe
    assert server.wait(20) == 0 and until(lambda: gone(job)) and asks.wait(20) == -signal.SIGKILL
    asks.communicate()


@pytest.mark.parametrize("why", ["not wanted", "GPUs", "vllm"])
def test_where_there_is_no_server(monkeypatch, why):
    monkeypatch.setattr(preloaded.devices, "known", lambda: ["0"] if why == "GPUs" else [])
    monkeypatch.setattr(preloaded.importlib.util, "find_spec", lambda _: why == "vllm" or None)
    monkeypatch.setattr(preloaded.socket, "socket", lambda *_: pytest.fail("a server was started"))
    monkeypatch.setenv(preloaded.SOCKET, "of a run that is over")
    if why != "not wanted":
        monkeypatch.setenv(preloaded.WANTED, "yes")
    preloaded.start()
    assert preloaded.SOCKET not in os.environ and preloaded.WANTED not in os.environ
