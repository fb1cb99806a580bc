"""A run that has nothing to tell still says what it works on."""

import time
from pathlib import Path

import pytest
from teachergrid.run.heartbeat import Heartbeat
from teachergrid.run.progress import Progress


@pytest.fixture
def run(tmp_path, monkeypatch) -> tuple[Progress, list[str], float]:
    """A run with five jobs since ten minutes: three with a log, one of them long ago, and one that waits in a queue."""
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    progress = Progress(said.append)
    logs = {
        "generate a__t": "loading\na__t: shard 3 of 20, 45 rows/s, 6 min left\n",
        "finetune s": "100%|####|\rstep 40 of 400, loss 0.8, 90 s left\x1b[2J",
        "likelihood q": None,
        "reward r": "",
        "answer x": "step 1\n",
    }
    now = time.monotonic()
    for number, (name, text) in enumerate(logs.items()):
        rule, cell = name.split(" ")
        path = Path(f"{rule}.log")
        if text is not None:
            path.write_text(text)
        known = {"rule": rule, "cell": cell, "local": False, "gpus": 1, "log": [str(path)], "outputs": []}
        progress.take({"event": "ready", "job": number, "known": {**known, "benchmark": None}})
        progress.running[number] = now - 600
    progress.last = now - 30
    said.clear()
    return progress, said, now


def test_it_speaks_after_a_silence_and_then_as_often(run):
    progress, said, now = run
    beat = Heartbeat(progress, every=60)
    beat.spoke = now - 600
    for after in (0, 29, 31, 40, 90, 92):
        beat.step(now + after)
    assert len(said) == 2
    assert said[0] == (
        "at work: generate a__t (11 min: shard 3 of 20, 45 rows/s, 6 min left); finetune s (11 min: step 40 of 400, loss 0.8, "
        "90 s left\\x1b[2J); reward r (11 min); 1 more; 1 wait for a machine"
    )
    progress.running.clear()
    beat.step(now + 1000)
    assert len(said) == 2, "nothing is at work"


def test_where_all_wait_it_says_so(run):
    progress, _, now = run
    progress.running = {2: now}
    assert Heartbeat(progress).line(now) == "1 wait for a machine"


def test_the_log_of_an_earlier_run_is_not_shown(run, monkeypatch):
    progress, _, now = run
    progress.begun = time.time() + 100
    progress.running = {0: now, 2: now}
    assert Heartbeat(progress).line(now) == "2 wait for a machine"
