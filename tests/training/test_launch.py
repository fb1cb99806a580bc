"""Several processes train as one: the same updates, each rank exactly once, and nothing left when the job is killed."""

import json
import math
import shutil
import subprocess
import sys

import pytest
from teachergrid.errors import BadInput
from teachergrid.training import launch
from trainings import kill, losses, result, start, tiny_model, weights

WORKER = ["-m", "teachergrid.training.worker", "rank", "{folder}"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> dict:
    return tiny_model(tmp_path_factory.mktemp("models") / "llama")


def last_line(job: subprocess.Popen) -> str:
    _, err = job.communicate()
    assert job.returncode == 1, err[-3000:]
    return err.splitlines()[-1]


@pytest.mark.parametrize(
    "resources, expected",
    [
        ({}, (1, 1, None)),
        ({"gpu": 0}, (1, 1, None)),
        ({"gpu": 1}, (1, 1, None)),
        ({"gpu": 4, "nodes": None}, (4, 1, None)),
        ({"gpu": 4, "nodes": 2, "deepspeed": "zero3"}, (4, 2, "zero3")),
        ({"gres": "gpu:h100:2", "nodes": 2, "deepspeed": ""}, (4, 2, None)),
        ({"gres": "gpu:3", "nodes": 1}, (3, 1, None)),
        ({"gpu": 0, "nodes": 2}, (2, 2, None)),
    ],
)
def test_the_team_is_what_the_job_has(resources, expected):
    assert launch.team(resources) == expected


def test_deepspeed_that_is_not_installed_is_refused_before_the_work(monkeypatch):
    monkeypatch.setattr(launch.importlib.util, "find_spec", lambda name: None)
    launch.check_deepspeed(None, "big")
    with pytest.raises(BadInput, match=r"recipe big: deepspeed zero3, but .* pip install deepspeed"):
        launch.check_deepspeed("zero3", "big")


def test_a_port_that_is_taken_is_passed_over():
    import socket

    with socket.socket() as taken:
        port = launch.free_port("127.0.0.1", 123)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert launch.free_port("127.0.0.1", 123) in launch.PORTS[port - launch.PORTS[0] + 1 :]
    assert launch.free_port("127.0.0.1", 123 + 7 * len(launch.PORTS)) == port


def test_several_nodes_need_slurm(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_NODELIST", raising=False)
    with pytest.raises(BadInput, match="several nodes need SLURM"):
        launch.command(launch.Team(2, 2), tmp_path)


@pytest.mark.parametrize(
    "files, ended, error, said",
    [
        ({"rank-0": "{}", "rank-1": "{}", "result.json": "{}"}, 0, None, ""),
        ({"rank-0": "{}", "result.json": "{}"}, 0, RuntimeError, "of 2 processes these ran: .'rank-0'."),
        ({"rank-0": "{}", "rank-1": "{}"}, 0, RuntimeError, "said that all went well"),
        ({"rank-0": "{}", "rank-1": "{}"}, -9, RuntimeError, "a process was killed"),
        ({"error-1": '{"type": "BadInput", "message": "no row"}'}, 1, BadInput, "^no row$"),
        (
            {"error-1": '{"type": "OutOfMemoryError", "message": "CUDA"}'},
            1,
            RuntimeError,
            "rank 1: OutOfMemoryError: CUDA",
        ),
    ],
)
def test_what_the_ranks_left_decides(tmp_path, files, ended, error, said):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    if error is None:
        return launch.refuse_failure(tmp_path, 2, ended)
    with pytest.raises(error, match=said):
        launch.refuse_failure(tmp_path, 2, ended)


@pytest.mark.slow
def test_two_processes_do_the_updates_of_one(model, tmp_path):
    """Two jobs start at once, so that their launchers would meet on a fixed port."""
    ways = {"random": {}, "by-length": {"group_by_length": True}}
    jobs = {name: start(model, tmp_path / name, 2, **way) for name, way in ways.items()}
    for name, job in jobs.items():
        found, alone = result(job), result(start(model, tmp_path / f"{name}-alone", 1, **ways[name]))
        assert found["facts"] == alone["facts"] and found["facts"]["steps"] == 10
        for key in ("loss", "learning_rate", "grad_norm", "epoch"):
            pairs = zip(found["log"], alone["log"], strict=True)
            assert all(math.isclose(a[key], b[key], rel_tol=1e-4) for a, b in pairs), key
        ranks = {path.name: json.loads(path.read_text()) for path in (tmp_path / name / "launch").glob("rank-*")}
        assert set(ranks) == {"rank-0", "rank-1"} and len({rank["pid"] for rank in ranks.values()}) == 2
        assert found["said"].count("40 examples, from the start") == 1, "one rank speaks"


@pytest.mark.slow
def test_kill_9_of_the_job_ends_all_and_the_next_goes_on(model, tmp_path):
    undisturbed = result(start(model, tmp_path / "undisturbed", 2, seconds=0, num_train_epochs=4))
    work = tmp_path / "killed"
    job = start(model, work, 2, seconds=0, num_train_epochs=4)
    assert len(kill(job, work, 4)) >= 3, "a launcher and two workers"
    shutil.copytree(work, tmp_path / "copy")
    for processes, folder in ((2, work), (1, tmp_path / "copy")):
        found = result(start(model, folder, processes, seconds=0, num_train_epochs=4))
        assert "examples, from checkpoint-" in found["said"] and found["facts"] == undisturbed["facts"]
        assert losses(found) == pytest.approx(losses(undisturbed), rel=1e-4)
    assert weights(work) == weights(tmp_path / "undisturbed")


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher, error",
    [
        (
            ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"],
            "1 processes were started, 2 were asked for",
        ),
        (["-c", "pass"], "the launcher said that all went well, but of 2 processes these ran: []"),
    ],
    ids=["accelerate", "nothing"],
)
def test_a_launch_that_falls_back_is_an_error(model, tmp_path, launcher, error):
    assert error in last_line(start(model, tmp_path, 2, launcher=[sys.executable, *launcher, *WORKER]))
    assert not (tmp_path / "final").exists()


@pytest.mark.slow
def test_an_error_of_a_worker_is_the_jobs(model, tmp_path):
    said = last_line(start(model, tmp_path, 2, max_length=8))
    assert said.startswith("teachergrid.errors.BadInput: no example fits max_length 8")
