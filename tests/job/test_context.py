"""What every job does first and last, in a process of its own: settings, log, record, and an error a person can read."""

import json
import socket
import subprocess
import sys

import pytest
from teachergrid.job import attempts, failures, fingerprint
from teachergrid.store.job_index import index_lines
from workspace import ENV, ROOT

JOB = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
from teachergrid.errors import BadInput
from teachergrid.job import context

cell = SimpleNamespace(
    rule="gate", log=["results/logs/gate/a.log"], output=["results/gates/a.json"], input=["given"], resources={},
    wildcards=["a"], params=SimpleNamespace(spec='{"teacher": {}}'),
)
with context.running(cell) as (settings, made_from):
    print("batch", settings["teacher"]["batch"])
    exec(sys.argv[1])
    Path("results/gates").mkdir()
    Path("results/gates/a.json").write_text(json.dumps({"origin": made_from}))
"""


@pytest.fixture
def job(tmp_path):
    """Runs a job that executes a line of Python."""
    (tmp_path / "given").write_text("rows")

    def run(line: str) -> subprocess.CompletedProcess:
        environment = {**ENV, "PYTHONPATH": str(ROOT / "workflow/scripts"), "TEACHERGRID_DEVICES": ""}
        argv = [sys.executable, "-c", JOB, line]
        return subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True)

    return run


def test_a_job_that_ends_well(job, tmp_path):
    assert job("import os; os.system('echo from a child')").returncode == 0
    log = (tmp_path / "results/logs/gate/a.log").read_text()
    assert "batch 32\n" in log and "from a child\n" in log
    made_from = json.loads((tmp_path / "results/gates/a.json").read_text())["origin"]
    assert made_from["rule"] == "gate" and list(made_from["inputs"]) == ["given"]
    [(_, *line, took)] = index_lines(str(tmp_path / "results"))
    assert line == ["gate", "a", fingerprint.fingerprint("gate")] and json.loads(took)["device"] == "cpu"


def test_the_collector_looks_less_often_than_python_lets_it(job):
    """It is on, and each look comes after more new objects: the imports of a job with a model make millions that stay."""
    assert job("import gc; assert gc.isenabled() and gc.get_threshold() == (10_000, 10, 10)").returncode == 0


@pytest.mark.parametrize(
    ("line", "kind", "said"),
    [
        ("raise BadInput('config.x: no')", failures.BAD_INPUT, "config.x: no"),
        ("raise KeyError('x')", failures.UNKNOWN, "KeyError: 'x'"),
    ],
)
def test_a_job_that_fails_leaves_a_record_until_it_is_run_again(job, tmp_path, monkeypatch, line, kind, said):
    assert job(line).returncode == 1
    log = (tmp_path / "results/logs/gate/a.log").read_text()
    assert log.splitlines()[-1] == f"ERROR: {said}" and ("Traceback" in log) == (kind == failures.UNKNOWN)
    [(cell, record)] = failures.read(str(tmp_path / "results")).items()
    assert cell == ("gate", "a") and (record.kind, record.line) == (kind, said)
    assert list(index_lines(str(tmp_path / "results"))) == []
    assert (record.node, record.slurm) == (socket.gethostname(), None)
    assert job("pass").returncode == 0
    assert not [*tmp_path.rglob("*.failed.json")]
    # what the first try said is kept
    monkeypatch.chdir(tmp_path)
    (first,) = attempts.read("results", "gate", "a")
    assert (first.kind, first.line, first.log) == (kind, said, "results/logs/gate/a~1.log")
    assert (tmp_path / first.log).read_text() == log
