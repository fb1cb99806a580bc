"""Faults on a real cluster: each grid ends, its tables equal those of an undisturbed run, no cell was worked on twice at once.

Those that disturb their own grid only run at the same time, each in a folder of its own.
"""

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from teachergrid import cluster as queue

from slurm.cluster import Cluster, output, wait
from slurm.grids import SlurmGrid, at_the_same_time, differing, tables

LONG = 420  # seconds, of a grid with faults on a busy machine
TEACHERS = ("small", "large", "whole")


def urgent(node: str) -> str:
    """Fill a node with a job that is more important than all others there."""
    argv = ["-N1", "--gres=gpu:4", "-w", node, "--mem=400", "-t", "2", "-A", "teachergrid", "-o", "/dev/null"]
    return output("sbatch", "--parsable", "-p", "gpu-h100-urgent", *argv, "--wrap", "sleep 5")


def running(grid: SlurmGrid, cell: str) -> list[queue.Job]:
    rule, wildcards = cell.split(" ")
    return [
        job for job in queue.live(grid.folder) or [] if (job.rule, job.cell, job.state) == (rule, wildcards, "RUNNING")
    ]


def working(grid: SlurmGrid, cell: str, number: int = 1) -> queue.Job:
    """Return the running job of a cell as soon as its work has begun for the n-th time."""
    wait(f"try {number} of {cell}", lambda: len(grid.tries(cell)) >= number, LONG)
    return wait(f"the job of {cell}", lambda: running(grid, cell))[0]


def if_(condition: str, then: str, otherwise: str) -> str:
    """Return a resource of one cell alone, as Snakemake reads it in a profile."""
    return f"({then}) if {condition} else ({otherwise})"


# --- faults of one grid


def memory_and_time(cluster: Cluster, folder: Path) -> SlurmGrid:
    """Jobs that need more memory, more time, or hang without a word are given more; a job that somebody cancelled is repeated."""
    faults = {
        "generate seed__large": {"megabytes": 900},
        "likelihood q/seed__small": {"hangs": 1},
        "likelihood q/seed__large": {"hangs": 1},
        "likelihood q/seed__whole": {"seconds": 30},
    }
    resources = {
        "generate": {"mem_mb": if_("wildcards.responses == 'seed__large'", "1000 * attempt", "2000")},
        "likelihood": {"runtime": if_("wildcards.responses == 'seed__small'", "30", "attempt")},
    }
    grid = SlurmGrid(folder, faults, resources)
    run = grid.run_on_cluster(*(f"results/likelihoods/q/chat/seed__{teacher}.parquet" for teacher in TEACHERS))
    output("scancel", working(grid, "likelihood q/seed__small").id)
    assert run.ends(LONG) == 0, run.text()
    # without cgroups the step is killed, which reads as FAILED
    assert grid.states("generate seed__large") in (["FAILED", "COMPLETED"], ["OUT_OF_MEMORY", "COMPLETED"])
    assert grid.states("likelihood q/seed__small") == ["CANCELLED", "COMPLETED"]
    assert grid.states("likelihood q/seed__large") == ["TIMEOUT", "COMPLETED"]
    assert grid.states("likelihood q/seed__whole") == ["TIMEOUT", "COMPLETED"]
    assert "shards are there from an earlier run" in grid.log("likelihood q/seed__whole")
    return grid


def preempted(cluster: Cluster, folder: Path) -> SlurmGrid:
    """A preempted job that SLURM requeues goes on from its shards; one that it cancels is noticed and submitted again."""
    faults = {"generate seed__whole": {"seconds": 4}, "answer rival/math": {"hangs": 1}}
    resources = {"generate": {"slurm_partition": "gpu-h100-preempt"}, "answer": {"slurm_partition": "gpu-h100-cancel"}}
    grid = SlurmGrid(folder, faults, resources)
    run = grid.run_on_cluster("results/responses/seed__whole.parquet", "results/scores/rival/math/verify.parquet")
    for cell in ("answer rival/math", "generate seed__whole"):
        job = working(grid, cell)
        if cell.startswith("generate"):
            wait("a shard", lambda: grid.shards("responses/seed__whole.parquet"))
        urgent(job.node)
    assert run.ends(LONG) == 0, run.text()
    assert grid.states("generate seed__whole") == ["PREEMPTED", "COMPLETED"]
    assert grid.tries("generate seed__whole")[1]["SLURM_RESTART_COUNT"] == "1"
    assert "shards are there from an earlier run" in grid.log("generate seed__whole")
    assert grid.states("answer rival/math") == ["PREEMPTED", "COMPLETED"]
    assert "no job is alive and Snakemake waits" in run.text()
    return grid


def main_process(cluster: Cluster, folder: Path) -> SlurmGrid:
    """Ctrl-C in the first stage, kill -9 in a later one; the same command goes on each time."""
    slow = {f"generate seed__{teacher}": {"seconds": 8} for teacher in TEACHERS}
    students = [f"q__seed__{teacher}__sft__s1" for teacher in TEACHERS]
    grid = SlurmGrid(folder, slow | {f"finetune {student}": {"seconds": 5} for student in students})
    first = grid.run_on_cluster()
    for teacher in TEACHERS:
        wait("a shard", lambda name=teacher: grid.shards(f"responses/seed__{name}.parquet"), LONG)
    first.interrupt()
    assert first.ends(LONG) == 130, first.text()
    assert queue.live(folder) == [] and not (folder / "results/.lock").exists()

    second = grid.run_on_cluster()
    wait("a training", lambda: any(running(grid, f"finetune {student}") for student in students), LONG)
    second.kill()
    assert "shards are there from an earlier run" in grid.log("generate seed__whole")
    assert any(job.rule == "finetune" for job in queue.live(folder))

    third = grid.run_on_cluster()
    assert third.ends(120) == 2 and "alive" in third.text()
    fourth = grid.run_on_cluster("--live", "wait")
    assert fourth.ends(LONG) == 0, fourth.text()
    assert [len(grid.tries(f"finetune {student}")) for student in students] == [1, 1, 1]
    return grid


def refused(cluster: Cluster, folder: Path) -> SlurmGrid:
    """sbatch refuses for a while: the partition is closed."""
    name = f"moody-{os.getpid()}"
    output("scontrol", "create", f"PartitionName={name}", "Nodes=h1,h2", "State=INACTIVE", "MaxTime=60")
    grid = SlurmGrid(folder, resources={"generate": {"slurm_partition": name}})
    run = grid.run_on_cluster("results/responses/seed__small.parquet")
    wait("a refusal", lambda: "sbatch: error" in (folder / "results/logs/run.log").read_text(), LONG)
    output("scontrol", "update", f"PartitionName={name}", "State=UP")
    assert run.ends(LONG) == 0, run.text()
    output("scontrol", "delete", f"PartitionName={name}")
    return grid


def disk_full(cluster: Cluster, folder: Path) -> SlurmGrid:
    """The results' file system is full for a while; the run says so, and with space again the next one makes the rest."""
    grid = SlurmGrid(folder, {f"generate seed__{teacher}": {"seconds": 3} for teacher in TEACHERS})
    results, ballast = folder / "results", folder / "results/ballast"
    results.mkdir(exist_ok=True)
    output("mount", "-t", "tmpfs", "-o", "size=16m", "results", str(results))
    try:
        targets = [f"results/health/seed__{teacher}.parquet" for teacher in TEACHERS]
        run = grid.run_on_cluster(*targets)
        wait("a shard", lambda: grid.shards("responses/seed__whole.parquet"), LONG)
        full = subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=4k"], capture_output=True, text=True)
        assert "No space left" in full.stderr
        assert run.ends(LONG) == 1, run.text()
        assert "disk full" in run.text()
        ballast.unlink()
        again = grid.run_on_cluster(*targets)
        assert again.ends(LONG) == 0, again.text()
        made = tables(folder)
        assert made and queue.live(folder) == []
        # kept for the comparison, the mount goes
        output("cp", "-a", str(results), str(folder / "kept"))
    finally:
        output("umount", str(results))
    results.rmdir()
    (folder / "kept").rename(results)
    return grid


FAULTS = [memory_and_time, preempted, main_process, refused, disk_full]


@pytest.fixture(scope="module")
def ended(request, cluster, tmp_path_factory):
    """All chosen faults, started at the same time: name -> the grid when it has ended."""
    chosen = {
        item.callspec.params["fault"] for item in request.session.items if "fault" in getattr(item, "fixturenames", ())
    }
    with ThreadPoolExecutor(len(FAULTS)) as pool:
        folder = tmp_path_factory.mktemp("faults")
        yield {fault: pool.submit(fault, cluster, folder / fault.__name__) for fault in FAULTS if fault in chosen}


@pytest.mark.slurm
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_fault_of_one_grid(fault, ended, undisturbed):
    grid = ended[fault].result()
    made = tables(grid.folder)
    assert made and differing(made, {name: undisturbed[name] for name in made}) == set()
    if fault is main_process:
        assert made.keys() == undisturbed.keys()
    assert at_the_same_time(grid.folder) == set()


# --- faults of the cluster, one after the other in one grid


def lose_node_under(cluster: Cluster, grid: SlurmGrid, cell: str, work: str, shards: int) -> str:
    """Let the node of a cell's job die when it has so many shards. Return the node."""
    job = working(grid, cell)
    wait(f"{shards} shards", lambda: len(grid.shards(work)) >= shards, LONG)
    cluster.lose(job.node)
    return job.node


def revive_after_second_try(cluster: Cluster, grid: SlurmGrid, cell: str, node: str) -> None:
    """SLURM itself must see that the node is gone and start the job elsewhere."""
    again = working(grid, cell, 2)
    assert again.node != node
    cluster.revive(node)


@pytest.mark.slurm
def test_a_bad_night_of_the_cluster(cluster, undisturbed, tmp_path):
    """Nodes die under generation (and two of three shards are damaged) and under SFT; slurmdbd and slurmctld go away."""
    generation, training = "generate seed__small", "finetune q__seed__small__sft__s1"
    grid = SlurmGrid(tmp_path / "night", {generation: {"seconds": 4}, training: {"seconds": 4}})
    run = grid.run_on_cluster()

    node = lose_node_under(cluster, grid, generation, "responses/seed__small.parquet", 3)
    cut, flipped, _ = grid.shards("responses/seed__small.parquet")
    cut.write_bytes(cut.read_bytes()[:-40])
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    revive_after_second_try(cluster, grid, generation, node)

    wait("likelihood", lambda: running(grid, "likelihood q/seed__small"), LONG)
    cluster.end("slurmdbd")
    node = lose_node_under(cluster, grid, training, "students/q__seed__small__sft__s1/student.json", 2)
    cluster.begin("slurmdbd")
    revive_after_second_try(cluster, grid, training, node)

    working(grid, "answer q__seed__small__sft__s1/math")
    cluster.end("slurmctld")
    time.sleep(60)
    cluster.begin("slurmctld")
    assert run.ends(2 * LONG) == 0, run.text()

    assert grid.states(generation) == grid.states(training) == ["NODE_FAIL", "COMPLETED"]
    said = grid.log(generation)
    assert said.count("is damaged and is made again") == 2 and "1 of 4 shards are there" in said
    assert "shards are there from an earlier run" in grid.log(training)
    assert differing(tables(grid.folder), undisturbed) == set()
    assert at_the_same_time(grid.folder) == set()
