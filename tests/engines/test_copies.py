"""Work is given out by need to copies of a model, and a copy that dies is told. vLLM itself is in test_vllm."""

import os
import subprocess
import sys
import threading
import time
from array import array
from contextlib import suppress
from multiprocessing.connection import Pipe
from pathlib import Path

import pytest
from teachergrid.engines import copies
from teachergrid.engines.vllm_copy import Asked
from teachergrid.errors import BadInput


class Slow:
    """A copy that holds few requests, and takes some time for each."""

    delays: tuple[float, ...] = ()
    held: list[int]

    def __init__(self, options, gpus):
        if options.get("refused"):
            raise BadInput("no such model")
        self.delay = Slow.delays[int(gpus[0])]

    def work(self, more, stops):
        queue, waiting = [], True
        while waiting or queue:
            if waiting and len(queue) < 20:
                given, waiting = more(20 - len(queue))
                queue += given
            if queue:
                time.sleep(self.delay)
                one = queue.pop(0)
                yield [(one.number, [*one.prompt, *stops])]


class InThread(copies.Process):
    """The same in a thread."""

    def __init__(self, number, gpus):
        self.number, self.gpus = number, gpus
        self.connection, theirs = Pipe()
        threading.Thread(target=self.run, args=[theirs], daemon=True).start()

    def run(self, connection):
        with suppress(EOFError, OSError):
            copies.work(connection)


@pytest.fixture
def loaded(monkeypatch):
    monkeypatch.setattr(copies, "Copy", Slow)
    monkeypatch.setattr(copies, "Process", InThread)
    return lambda n: copies.opened({}, [[str(i)] for i in range(n)])


def asked(n: int) -> list[Asked]:
    return [Asked(i, array("i", [i]), 1, None) for i in range(n)]


def test_all_is_done_once_and_a_slow_copy_gets_less(loaded, monkeypatch):
    monkeypatch.setattr(Slow, "delays", (0.001, 0.02))
    model = loaded(2)
    begun = time.monotonic()
    found = list(model.stream(asked(200), [7]))
    took = time.monotonic() - begun
    assert sorted(found) == [(i, [i, 7]) for i in range(200)]
    # half of them each would take the slow one 2 s
    assert took < 1.5
    # the same copies take more work, also less than there are copies
    assert list(model.stream(asked(1), [8])) == [(0, [0, 8])]
    assert list(model.stream([], [8])) == []


def test_no_copy_holds_more_than_its_part(loaded, monkeypatch):
    """Where there is little work, the first to ask does not take all of it."""
    monkeypatch.setattr(Slow, "delays", (0.05, 0.05, 0.05))
    begun = time.monotonic()
    assert len(list(loaded(3).stream(asked(12), []))) == 12
    assert time.monotonic() - begun < 0.5, "12 of one copy take 0.6 s"


def test_a_copy_that_refuses_its_model_or_dies_is_told(tmp_path):
    """In real processes: the message of the one, and the exit code of the other."""
    process = copies.Process(1, [""])
    process.process.kill()
    with pytest.raises(RuntimeError, match="copy 2 of the model has ended with exit code -9"):
        process.receive()
    process = copies.Process(0, [""])
    # before the model is looked for: what it gets is no setup
    process.send("nonsense")
    with pytest.raises(RuntimeError, match="copy 1 of the model has ended with exit code 1"):
        process.receive()


def test_a_copy_ends_with_its_job(tmp_path):
    code = (
        "import os, sys; from teachergrid.engines import copies; one = copies.Process(0, ['']); "
        "print(one.process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    # its output must not wait for that of the copy, which would keep a pipe open
    with open(tmp_path / "out", "w+") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, env=env)
        out.seek(0)
        state = Path(f"/proc/{int(out.readline())}/stat")
    for _ in range(300):
        with suppress(OSError):
            if state.read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.1)
                continue
        return
    pytest.fail("the copy still runs")
