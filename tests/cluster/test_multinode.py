"""A training over two nodes of the cluster: one launcher per node, one process per GPU, one training."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from trainings import CHAT, LENGTHS, TRAIN_BY_TEAM, losses, recipe, result, start, tiny_model
from workspace import ENV, ROOT

# as the jobstep plugin starts a job's Snakemake: once, in a step of its own on the first node
STEP = """#!/bin/sh
exec srun -n1 --cpu-bind=q --cpus-per-task=1 --nodes=2 {python} -c "$PROGRAM" "$GIVEN"
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> dict:
    return tiny_model(tmp_path_factory.mktemp("models") / "llama")


@pytest.mark.slurm
@pytest.mark.usefixtures("cluster", "started")  # the cases go on meanwhile
def test_two_nodes_train_as_one_process(model, tmp_path):
    work = tmp_path / "work"
    given = [CHAT, model, recipe(gradient_accumulation_steps=4), LENGTHS, str(work), [2, 2], None]
    job = tmp_path / "job.sh"
    job.write_text(STEP.format(python=sys.executable))
    # GPUs are asked for per node: a step refuses a number over all nodes
    asked = ["--nodes=2", "--gres=gpu:h100:1", "--partition=gpu-h100", "--cpus-per-task=1", "--mem=3000", "--time=5"]
    done = subprocess.run(
        ["sbatch", "--wait", *asked, f"--output={tmp_path}/log", f"--chdir={ROOT}", str(job)],
        env=ENV | {"PROGRAM": TRAIN_BY_TEAM, "GIVEN": json.dumps(given), "TEACHERGRID_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )
    said = Path(tmp_path, "log").read_text()
    assert done.returncode == 0, done.stderr + said[-3000:]
    assert {path.name for path in (work / "launch").glob("rank-*")} == {"rank-0", "rank-1"}
    nodes = {json.loads(path.read_text())["node"] for path in (work / "launch").glob("rank-*")}
    assert nodes == {"h1", "h2"}
    found = json.loads(said.splitlines()[-1])
    alone = result(start(model, tmp_path / "alone", 1, gradient_accumulation_steps=4))
    assert losses(found) == pytest.approx(losses(alone), rel=1e-4) and found["facts"] == alone["facts"]
