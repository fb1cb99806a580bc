"""Jobs as forks of a process that has libraries imported: each is what a process of its own would be, and none is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.benchmark import BenchmarkRecord
from teachergrid.job import forks

MODEL, NONE = '{"model": {}}', '{"rows": 3}'
FACTS = """
import json, os, sys
names = "WORD", "OMP_NUM_THREADS", "TMPDIR", "PYTHONPATH"
facts = [os.getcwd(), *map(os.environ.get, names), sys.argv, __name__, "colorsys" in sys.modules, "teachergrid" in sys.modules]
open("facts", "w").write(json.dumps(facts))
sys.exit(3)
"""
WAIT = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A fork server of its own, with a quick module in the place of torch."""
    own = forkserver.ForkServer()
    for name in ("connect_to_new_process", "set_forkserver_preload", "ensure_running"):
        monkeypatch.setattr(forkserver, name, getattr(own, name))
    own.set_forkserver_preload(["colorsys"])
    monkeypatch.setattr(forks, "possible", lambda: True)
    monkeypatch.chdir(tmp_path)
    yield own
    own._stop()


PLAIN = {
    "threads": 1,
    "resources": {"tmpdir": "/tmp/own"},
    "bench_record": None,
    "conda_env": None,
    "env_modules": None,
    "container_img": None,
}


def job(code: str, spec: str = MODEL, **attributes) -> None:
    """Run a script as Snakemake does. attributes: of Snakemake's object for it, where they are not the usual ones."""
    Path("tmp1.answer.py").write_text(code)
    script = SimpleNamespace(params=SimpleNamespace(spec=spec), **PLAIN | attributes)
    forks.forked(usual)(script, "tmp1.answer.py")


def usual(script, name, edit):
    """What Snakemake does without forks."""
    Path("usual").touch()


@pytest.fixture
def waiting(server):
    """A job that waits, as (its process, the future's box of how it ended)."""
    ended = []

    def run():
        try:
            job(WAIT)
        except subprocess.CalledProcessError as error:
            ended.append(error.returncode)

    thread = threading.Thread(target=run)
    thread.start()
    assert until(lambda: Path("pid").exists() and Path("pid").read_text())
    process = int(Path("pid").read_text())
    yield process, ended, thread
    if not gone(process):
        os.kill(process, signal.SIGKILL)
    thread.join()


def until(holds) -> bool:
    """Whether something holds within 20 seconds."""
    deadline = time.monotonic() + 20
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(holds())


def gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_job_is_what_a_process_of_its_own_would_be(server, tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    for word in ("one", "two"):
        monkeypatch.setenv("WORD", word)
        before, main = dict(os.environ), sys.modules["__main__"].__spec__
        with pytest.raises(subprocess.CalledProcessError) as caught:
            job(FACTS)
        assert caught.value.returncode == 3
        # the server is the first job's: colorsys was imported there, and the workflow's own code is read anew
        facts = f'["{tmp_path}", "{word}", "1", "/tmp/own", null, ["tmp1.answer.py"], "__main__", true, false]'
        assert Path("facts").read_text() == facts
        assert (dict(os.environ), sys.modules["__main__"].__spec__) == (before, main)
    assert not Path("usual").exists()


@pytest.mark.parametrize(
    ("spec", "attributes"),
    [
        (NONE, {}),
        (MODEL, {"threads": 2}),
        (MODEL, {"conda_env": "envs/cpu.yaml"}),
        (MODEL, {"env_modules": "cuda/13"}),
        (MODEL, {"container_img": "image.sif"}),
    ],
)
def test_other_jobs_are_run_as_usual(server, spec, attributes):
    job(FACTS, spec, **attributes)
    assert Path("usual").exists() and not Path("facts").exists()


@pytest.mark.parametrize(("gpus", "found", "possible"), [([], None, True), (["0"], None, False), ([], "a spec", False)])
def test_no_forks_with_gpus_or_vllm(monkeypatch, gpus, found, possible):
    monkeypatch.setattr(forks.devices, "known", lambda: gpus)
    monkeypatch.setattr(forks.importlib.util, "find_spec", lambda _: found)
    forks.possible.cache_clear()
    assert forks.possible() is possible
    forks.possible.cache_clear()


def test_a_job_that_is_killed_ends_as_in_a_shell(waiting):
    process, ended, thread = waiting
    os.kill(process, signal.SIGKILL)
    thread.join()
    assert ended == [137]


def test_a_job_dies_with_the_server_and_the_next_one_has_another(waiting, server):
    process, ended, thread = waiting
    os.kill(server._forkserver_pid, signal.SIGKILL)
    assert until(lambda: gone(process))
    thread.join()
    assert len(ended) == 1 and ended[0] != 0
    with pytest.raises(subprocess.CalledProcessError):
        job(FACTS)
    assert Path("facts").exists()


def test_a_job_dies_with_the_process_that_started_it(waiting, server):
    """The end of the pipe that only that process has is closed, as the kernel does when it dies."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), server._forkserver_alive_fd)
    assert until(lambda: gone(waiting[0]))


def test_a_job_is_measured(server):
    record = BenchmarkRecord()
    job("sum(range(10**7))", bench_record=record)
    assert record.running_time > 0 and record.max_rss


def test_snakemake_is_patched_once(server, monkeypatch):
    from snakemake.script import PythonScript

    monkeypatch.setattr(PythonScript, "execute_script", usual)
    forks.share("colorsys")
    forks.share("colorsys")
    assert PythonScript.execute_script.__wrapped__ is usual


def test_jobs_that_start_while_others_end_take_no_exit_code_from_them(server):
    """A start of Python's multiprocessing reads the exit codes of all processes that have ended, and each can be read only once."""
    Path("tmp1.answer.py").write_text("import sys; sys.exit(3)")
    script = SimpleNamespace(params=SimpleNamespace(spec=MODEL), **PLAIN)
    codes: list[int] = []

    def run():
        for _ in range(60):
            with pytest.raises(subprocess.CalledProcessError) as caught:
                forks.run(script, "tmp1.answer.py")
            codes.append(caught.value.returncode)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [3] * 480
