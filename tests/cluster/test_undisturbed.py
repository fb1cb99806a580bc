"""The demo through profiles/slurm: three kinds of nodes, typed GPUs, and the same tables as on one machine."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml
from slurm_cluster import Cluster
from slurm_grids import Run, accounting, at_the_same_time, differing, overlapping, tables
from small_demo import small_demo
from workspace import ENV, ROOT, Grid

# type and number of GPUs that a job asks for, by the model that it loads
GPUS = {"concise-s": ("a100", 1), "concise-m": ("h100", 2), "steps-s": ("a100", 1), "bs": ("h100", 1)}
TEACHERS = ("concise-s", "concise-m", "steps-s")


def three_teachers(config: dict) -> None:
    """Give the cut demo a third teacher and each model its GPUs, and leave out the judge: two minutes less."""
    whole = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    for name, (gpu_model, gpus) in GPUS.items():
        config["models"][name] |= {"gpu_model": gpu_model, "gpus": gpus}
    config["teachers"] = {name: {**whole["teachers"][name], "shard": 8, "batch": 8} for name in TEACHERS}
    del config["judges"], config["suites"]["miniworld"]["judges"], config["rewards"]["rm"], config["models"]["rm"]


def asked(row: dict) -> tuple[str, int] | None:
    """Return type and number of GPUs that the config asks for a job; None: a job without GPU."""
    rule, first = row["cell"].split(" ")[0], row["cell"].split(" ")[1].split("/")[0]
    if rule == "generate":
        return GPUS[first.split("__")[1]]
    if rule in ("likelihood", "finetune"):
        return GPUS[first.split("__")[0]]
    if rule == "answer":
        return GPUS["steps-s" if first == "bs-instruct" else "bs"]
    return None


def allocated(row: dict) -> tuple[str, int] | None:
    typed = [
        (name.removeprefix("gres/gpu:"), int(n)) for name, n in row["tres"].items() if name.startswith("gres/gpu:")
    ]
    return typed[0] if typed else None


def check_devices(cluster: Cluster, rows: list[dict]) -> None:
    """Each job sees as many devices as it asked for, those that SLURM gave it, and no two jobs on a node the same."""
    seen = {}
    for row in rows:
        tasks = cluster.tasks(row["id"])
        assert tasks, f"{row['cell']} left no note"
        for task in tasks:
            assert task["SLURMD_NODENAME"] == row["node"]
            devices = task.get("CUDA_VISIBLE_DEVICES", "")
            assert devices == task.get("SLURM_STEP_GPUS", "")
            seen[row["id"]] = [device for device in devices.split(",") if device]
            assert len(seen[row["id"]]) == (asked(row) or ("", 0))[1]
    for node in {row["node"] for row in rows}:
        for device in map(str, range(4)):
            used = [row for row in rows if row["node"] == node and device in seen[row["id"]]]
            assert not overlapping([(row["start"], row["end"] - 1) for row in used if row["end"] > row["start"]])


def check_accounting(folder: Path, planned: list[dict]) -> list[dict]:
    """Each planned cell that is not local ran once, on a node of its type, with the GPUs that its model asks for."""
    rows = accounting(folder)
    here = ("gate", "free")
    cells = sorted(job["job"] for job in planned if job["job"].split(" ")[0] not in here)
    assert sorted(row["cell"] for row in rows) == cells
    assert {row["state"] for row in rows} == {"COMPLETED"}
    kinds = {None: ("cpu1",), "a100": ("a1",), "h100": ("h1", "h2")}
    for row in rows:
        assert allocated(row) == asked(row), row
        # a job without GPU may go anywhere that its partition reaches
        assert asked(row) is None or row["node"] in kinds[asked(row)[0]], row
    assert len({row["node"] for row in rows}) >= 3
    return rows


def local_and_cluster(folder: Path, config) -> tuple[Grid, Grid, list[dict]]:
    """Run one config on this machine and on the cluster. Return both, and the cluster's plan."""
    grids = small_demo(folder / "local"), small_demo(folder / "cluster")
    for grid in grids:
        grid.edit(config)
    local, on_cluster = grids
    planned = on_cluster.plan("--workflow-profile", "profiles/slurm")
    run = Run(on_cluster.folder)
    done = subprocess.run([sys.executable, "-m", "teachergrid", "run"], cwd=local.folder, env=ENV, capture_output=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert run.ends(1500) == 0, run.story()
    return local, on_cluster, planned


def demo(cluster: Cluster, folder: Path) -> None:
    local, on_cluster, planned = local_and_cluster(folder, three_teachers)
    rows = check_accounting(on_cluster.folder, planned)
    check_devices(cluster, rows)
    rules = Counter(row["cell"].split(" ")[0] for row in rows)
    assert rules["generate"] == rules["finetune"] == 3 and rules["answer"] == 5
    assert at_the_same_time(on_cluster.folder) == set()
    made = tables(local.folder)
    tuned = "results/students/bs__pool__concise-m__sft__s1/training.parquet"
    assert {"results/grids/teachers/performance.parquet", tuned} <= made.keys()
    assert differing(made, tables(on_cluster.folder)) == set()


@pytest.mark.slurm
@pytest.mark.parametrize("case", [demo])
def test_demo_on_three_kinds_of_nodes(case, started):
    started[case].result()
