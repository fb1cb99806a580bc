"""The whole demo on the cluster, undisturbed and with nodes that die; about as long as two demos on this machine."""

import shutil
from pathlib import Path

import pytest
from slurm_cluster import Cluster, wait
from slurm_grids import Run, at_the_same_time, differing, states, tables
from teachergrid.slurm import scheduler
from workspace import ROOT, Grid, copy_code

pytestmark = pytest.mark.slurm_long
LONG = 3600
TYPES = {"bs": "h100", "bm": "h100", "rm": "h100"}  # the others are teachers only


def demo(folder: Path) -> Grid:
    folder.mkdir(parents=True)
    copy_code(folder, stand_in=False)
    shutil.rmtree(folder / "config")
    shutil.copytree(ROOT / "config", folder / "config")
    (folder / "workflow/miniworld").symlink_to(ROOT / "workflow/miniworld")
    grid = Grid(folder)

    def types(config):
        for name, model in config["models"].items():
            model |= {"gpus": 1, "gpu_model": TYPES.get(name, "a100")}

    grid.edit(types)
    return grid


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> dict:
    grid = demo(tmp_path_factory.mktemp("demo").resolve() / "local")
    done = grid.call("teachergrid", "run")
    assert done.returncode == 0, done.stderr[-2000:]
    return tables(grid.folder)


def test_undisturbed(cluster, local, tmp_path):
    grid = demo(tmp_path.resolve() / "grid")
    run = Run(grid.folder)
    assert run.ends(LONG) == 0, run.story()
    assert differing(tables(grid.folder), local) == set()
    assert at_the_same_time(grid.folder) == set()


def first_running(folder: Path, rule: str) -> scheduler.Job:
    def found():
        return [
            job
            for job in scheduler.live(folder) or []
            if job.rule == rule and job.state == "RUNNING" and job.elapsed_s > 3
        ]

    return wait(f"a job of {rule}", found, LONG)[0]


def lose_node(cluster: Cluster, folder: Path, rule: str) -> str:
    """Let the node under a job die, bring it back once SLURM has seen it; return the cell."""
    job = first_running(folder, rule)
    cluster.lose(job.node)
    cell = f"{job.rule} {job.cell}"
    wait("the failure of the node", lambda: states(folder, cell)[:1] == ["NODE_FAIL"], 300)
    cluster.revive(job.node)
    return cell


def test_nodes_die_under_generation_and_training(cluster, local, tmp_path):
    grid = demo(tmp_path.resolve() / "grid")
    run = Run(grid.folder)
    cells = [lose_node(cluster, grid.folder, rule) for rule in ("generate", "finetune")]
    assert run.ends(LONG) == 0, run.story()
    assert [states(grid.folder, cell) for cell in cells] == [["NODE_FAIL", "COMPLETED"]] * 2
    assert differing(tables(grid.folder), local) == set()
    assert at_the_same_time(grid.folder) == set()
