"""Where a grid stands: asked of the real workflow, and of some cells made here."""

import json
import os
import socket
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from teachergrid.job import failures
from teachergrid.run import outcome, status, status_page
from teachergrid.slurm.scheduler import Job
from teachergrid.store import history, lock
from workspace import Grid

DEAD = "q__seed__small__sft__s1"


def asked(grid: Grid, *argv: str) -> dict:
    done = grid.call("teachergrid", "status", "--json", *argv)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def counts(found: dict, *states: str) -> dict:
    """Return rule -> number of cells in these states, where there are any."""
    summed = {rule: sum(row[state] for state in states) for rule, row in found["stages"].items()}
    return {rule: n for rule, n in summed.items() if n}


def files(folder: Path) -> dict:
    inside = ("results", ".snakemake")
    return {path: path.stat().st_mtime_ns for part in inside for path in (folder / part).rglob("*")}


@pytest.mark.slow
def test_a_whole_grid_and_a_change_of_settings(grid):
    student = grid.folder / f"results/students/{DEAD}/student.json"
    student.unlink()  # nothing that is left reads it
    before = files(grid.folder)
    found = asked(grid)
    assert files(grid.folder) == before  # so it may be asked beside a live run
    assert counts(found, *status.STATES[1:]) == {} and counts(found, "done")["finetune"] == 7
    assert found["failures"] == [] and found["time_left"]["job_s"] == 0 and found["run"] == "no run is alive"
    grid.replace("config/config.yaml", "repo: org/w,", "repo: org/v,")
    planned = Counter(job.split()[0] for job in grid.jobs())
    # three students of the base, and the one that is gone: the new summary reads it
    assert counts(asked(grid), "to do") == planned and planned["finetune"] == 4


def test_failed_and_blocked_cells(grid):
    student = f"results/students/{DEAD}/student.json"
    (grid.folder / student).unlink()
    (grid.folder / "dead").write_text(DEAD)
    grid.run(student, ok=False)
    found = asked(grid)
    assert counts(found, "failed") == {"finetune": 1} and counts(found, "to do", "running", "waiting") == {}
    assert counts(found, "blocked") == {"answer": 2, "verify": 2, "judge": 1, "correlate": 2, "report": 2}
    [group] = found["failures"]
    log = f"results/logs/finetune/{DEAD}.log"
    assert group["cells"] == [{"job": f"finetune {DEAD}", "line": "AssertionError", "log": log}]


# --- cells made here


def made(path: str, spec: str = "{}", inputs=()) -> None:
    """Write an output and Snakemake's record of it."""
    for name, text in {
        path: "x",
        history.record_path(Path("results/.history"), path): json.dumps(
            {
                "record_format_version": history.FORMAT,
                "params": [repr(spec)],
                "input": list(inputs),
                "input_checksums": {},
            }
        ),
    }.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)


def marked(path: str) -> None:
    mark = history.record_path(Path(".snakemake/incomplete"), path)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text("{}")


@pytest.fixture
def chain(tmp_path, monkeypatch) -> list[status.CellStatus]:
    """A cell that is made, and two that follow from it one after the other."""
    monkeypatch.chdir(tmp_path)
    names = [f"results/{name}.json" for name in "abc"]
    cells = [
        status.CellStatus("r", name[8], "{}", 2, True, names[max(i - 1, 0) : i], [name]) for i, name in enumerate(names)
    ]
    for before, cell in pairwise(cells):
        cell.upstream = {before}
    made(names[0])
    return cells


def states(chain, queue=(), accounts=()) -> list[str]:
    for cell in chain:
        cell.state = status.TO_DO
    status.look(chain, list(queue), list(accounts))
    return [cell.state for cell in chain]


def test_states_follow_from_what_lies_there(chain):
    a, b, c = chain
    assert states(chain) == ["done", "to do", "to do"]
    made(b.outputs[0], inputs=a.outputs)
    made(c.outputs[0], inputs=b.outputs)
    assert states(chain) == ["done", "done", "done"]
    # with other settings, or from other inputs, nor what follows from such a cell
    made(b.outputs[0], spec='{"x": 1}', inputs=a.outputs)
    assert states(chain) == ["done", "to do", "to do"]
    made(b.outputs[0], inputs=["results/other.json"])
    assert states(chain) == ["done", "to do", "to do"]
    # what is gone is made again for a reader alone
    os.unlink(b.outputs[0])
    assert states(chain) == ["done", "done", "done"]
    os.unlink(c.outputs[0])
    assert states(chain) == ["done", "to do", "to do"]
    failure = failures.Record("r", "b", "bad input", "config.x: no such y", b.outputs, "results/logs/r/b.log")
    failures.write("results", failure)
    assert states(chain) == ["done", "failed", "blocked"]
    # in whatever order: an evolved set feeds rules that come before its own
    d = status.CellStatus("r", "d", "{}", 2, True, c.outputs, ["results/d.json"], upstream={c})
    assert states([d, c, b, a]) == ["blocked", "blocked", "failed", "done"]
    assert b.failure == failure and status.shown(failure)[1]["log"] == "results/logs/r/b.log"
    # what has finished since has not failed
    made(b.outputs[0], inputs=a.outputs)
    assert states(chain) == ["done", "done", "to do"]


def test_a_job_that_runs_here_and_one_whose_run_died(chain):
    _, b, _ = chain
    marked(b.outputs[0])
    lock.take("results")
    assert states(chain) == ["done", "running", "to do"]
    assert b.node == socket.gethostname() and 0 <= b.elapsed_s < 100
    assert outcome.who_runs([]) == f"run of {lock.described(lock.holder('results'))}"
    # finished, and Snakemake has not seen it yet: its record is still that of an older output
    made(b.outputs[0], spec='{"x": 1}')
    Path(b.outputs[0]).write_text(json.dumps({"origin": {"rule": "r", "spec": "{}", "inputs": {}}}))
    assert states(chain) == ["done", "done", "to do"]
    os.unlink(b.outputs[0])
    Path("results/.lock").write_text(json.dumps({**lock.this_process(), "started": "0"}))
    assert states(chain) == ["done", "to do", "to do"] and "died" in outcome.who_runs([])


@pytest.mark.parametrize(("local", "state"), [(False, "unknown"), (True, "running")])
def test_a_job_of_the_cluster_that_the_queue_does_not_show_is_unknown(chain, local, state):
    """Another user's job, or a controller that does not answer: it may wait or run, but not on the login node."""
    _, b, _ = chain
    b.local = local
    marked(b.outputs[0])
    lock.take("results")
    Path("results/run.json").write_text(json.dumps({"cluster": True}))
    assert states(chain) == ["done", state, "to do"]
    assert (b.node is None) is (state == "unknown")


def test_what_slurm_says(chain):
    _, b, c = chain
    queue = [
        Job("1", "RUNNING", "r", "b", "a1", 60, 3600, "gpu"),
        Job("2", "PENDING", "r", "c", "", 0, 3600, "cpu", "Priority"),
    ]
    assert states(chain, queue) == ["done", "running", "waiting"]
    assert (b.node, b.elapsed_s, b.limit_s) == ("a1", 60, 3600)
    assert (b.slurm, b.partition, c.slurm, c.partition, c.reason) == ("1", "gpu", "2", "cpu", "Priority")
    accounts = [
        {"rule": "r", "cell": "b", "state": state, "elapsed_s": 1800, "gpus": 4} for state in ("FAILED", "TIMEOUT")
    ]
    assert states(chain, accounts=accounts) == ["done", "failed", "blocked"] and b.failure.kind == "time-out"
    assert states(chain, queue, accounts) == ["done", "running", "waiting"]
    assert status.gpu_hours(chain, {"r": {}}, accounts)["hours"] == 4
    assert c.failure is None and status.gpu_hours(chain, {"r": {"a": 900}}, [])["hours"] == 0.5


def test_what_the_user_stopped_has_not_failed(chain):
    cancelled = [{"rule": "r", "cell": "b", "state": "CANCELLED"}]
    Path("results/run.json").write_text(json.dumps({"code": 130, "failed": []}))
    assert states(chain, accounts=cancelled) == ["done", "to do", "to do"]
    Path("results/run.json").write_text(json.dumps({"code": 1, "failed": []}))
    assert states(chain, accounts=cancelled) == ["done", "failed", "blocked"]


@pytest.mark.parametrize(
    "running, took, seconds, unknown, words",
    [
        (1, {"r": {"a": 100, "z": 200}}, 140 + 150, {}, "about 4 min 50 s with 1 at a time"),
        (2, {"r": {"a": 100, "z": 200}}, 140, {}, "about 2 min 20 s with 2 at a time"),
        (0, {"r": {"a": 100}}, None, {}, "3 min 20 s of jobs one after another; none runs now"),
        (1, {}, 0, {"r": 2}, "unknown: no job has finished yet of r 2"),
    ],
)
def test_time_left(chain, running, took, seconds, unknown, words):
    chain[0].state = status.DONE
    for cell in chain[1 : 1 + running]:
        cell.state, cell.elapsed_s = status.RUNNING, 10
    found = status.time_left(chain, {"r": {}, **took})
    assert (found["seconds"], found["unknown"]) == (seconds, unknown)
    assert status_page.left(found).replace("\u00a0", " ") == words
