"""Faults on a real cluster: each grid ends, its tables equal those of an undisturbed run, no cell was worked on twice at once.

Those that disturb their own jobs only run at the same time (conftest.started), on nodes of their own where they need some.
"""

import os
import subprocess
import time
from pathlib import Path

import pytest
from slurm_cluster import Cluster, output, wait
from slurm_grids import SlurmGrid, accounting, at_the_same_time, differing, tables
from teachergrid.slurm import scheduler

LONG = 1800  # seconds, of a grid with faults on a busy machine
TEACHERS = ("small", "large", "whole")


def urgent(node: str) -> str:
    """Fill a node with a job that is more important than all others there."""
    argv = ["-N1", "--gres=gpu:4", "-w", node, "--mem=400", "-t", "2", "-A", "teachergrid", "-o", "/dev/null"]
    return output("sbatch", "--parsable", "-p", "gpu-h100-high", *argv, "--wrap", "sleep 5")


def running(grid: SlurmGrid, cell: str) -> list[scheduler.Job]:
    rule, wildcards = cell.split(" ")
    return [
        job
        for job in scheduler.live(grid.folder) or []
        if (job.rule, job.cell, job.state) == (rule, wildcards, "RUNNING")
    ]


def working(grid: SlurmGrid, cell: str, number: int = 1) -> scheduler.Job:
    """Return the running job of a cell as soon as its work has begun for the n-th time."""
    wait(f"try {number} of {cell}", lambda: len(grid.tries(cell)) >= number, LONG)
    return wait(f"the job of {cell}", lambda: running(grid, cell))[0]


def if_(condition: str, then: str, otherwise: str) -> str:
    """Return a resource of one cell alone, as Snakemake reads it in a profile."""
    return f"({then}) if {condition} else ({otherwise})"


# --- faults of one grid


def memory_and_time(cluster: Cluster, folder: Path) -> SlurmGrid:
    """Jobs that need more memory or time, or hang without a word, get more; one that a person cancels waits for the next run."""
    faults = {
        "generate seed__large": {"megabytes": 900},
        "likelihood q/seed__small": {"hangs": 1},
        "likelihood q/seed__large": {"hangs": 1},
        "likelihood q/seed__whole": {"seconds": 36},  # of four shards
    }
    resources = {
        "generate": {"mem_mb": if_("wildcards.responses == 'seed__large'", "1000 * attempt", "2000")},
        "likelihood": {"runtime": if_("wildcards.responses == 'seed__small'", "30", "2 * attempt ** 2")},
    }
    grid = SlurmGrid(folder, faults, resources)
    run = grid.run_on_cluster(*(f"results/likelihoods/q/chat/seed__{teacher}.parquet" for teacher in TEACHERS))
    output("scancel", working(grid, "likelihood q/seed__small").id)
    assert run.ends(LONG) == 1, run.story()
    assert "likelihood q/seed__small: cancelled by root" in run.text()
    assert grid.states("likelihood q/seed__small") == ["CANCELLED"], run.story()
    again = grid.run_on_cluster("results/likelihoods/q/chat/seed__small.parquet")
    assert again.ends(LONG) == 0, again.story()
    # without cgroups the step is killed, which reads as FAILED
    assert grid.states("generate seed__large") in (["FAILED", "COMPLETED"], ["OUT_OF_MEMORY", "COMPLETED"]), run.story()
    assert grid.states("likelihood q/seed__small") == ["CANCELLED", "COMPLETED"], again.story()
    for cell in ("likelihood q/seed__large", "likelihood q/seed__whole"):
        *before, last = grid.states(cell)
        # on a busy machine a second time is not impossible
        assert set(before) == {"TIMEOUT"} and last == "COMPLETED"
    assert "shards are there from an earlier run" in grid.log("likelihood q/seed__whole")
    return grid


def preempted(cluster: Cluster, folder: Path) -> SlurmGrid:
    """A preempted job that SLURM requeues goes on from its shards; one that it cancels is noticed and submitted again."""
    faults = {"generate seed__whole": {"waits": 1}, "answer rival/math": {"hangs": 1}}
    resources = {"generate": {"slurm_partition": "gpu-h100-preempt"}, "answer": {"slurm_partition": "gpu-h100-cancel"}}
    grid = SlurmGrid(folder, faults, resources)
    run = grid.run_on_cluster("results/responses/seed__whole.parquet", "results/scores/rival/math/verify.parquet")
    for cell in ("answer rival/math", "generate seed__whole"):
        job = working(grid, cell)
        if cell.startswith("generate"):
            wait("a shard", lambda: grid.shards("responses/seed__whole.parquet"))
        urgent(job.node)
    working(grid, "generate seed__whole", 2)
    grid.go("generate seed__whole")
    assert run.ends(LONG) == 0, run.story()
    assert grid.states("generate seed__whole") == ["PREEMPTED", "COMPLETED"], run.story()
    first, second = grid.tries("generate seed__whole")
    assert first["SLURM_JOB_ID"] == second["SLURM_JOB_ID"]
    assert "shards are there from an earlier run" in grid.log("generate seed__whole")
    assert grid.states("answer rival/math") == ["PREEMPTED", "COMPLETED"], run.story()
    assert "preempted: answer rival/math waits" in run.text() and "no job is alive" not in run.text()
    return grid


def main_process(cluster: Cluster, folder: Path) -> SlurmGrid:
    """Ctrl-C under generation, kill -9 under generation and training; the same command goes on each time."""
    generations = [f"generate seed__{teacher}" for teacher in TEACHERS]
    trainings = [f"finetune q__seed__{teacher}__sft__s1" for teacher in TEACHERS]
    grid = SlurmGrid(folder, {cell: {"waits": 1} for cell in generations} | {cell: {"waits": 0} for cell in trainings})
    first = grid.run_on_cluster()
    wait("a shard", lambda: grid.shards("responses/seed__small.parquet"), LONG)
    first.interrupt()
    assert first.ends(LONG) == 130, first.text()
    assert scheduler.live(folder) == [] and not (folder / "results/.lock").exists()

    grid.go(*generations)
    second = grid.run_on_cluster()
    wait("a training", lambda: any(running(grid, cell) for cell in trainings), LONG)
    second.kill()
    assert any(job.rule == "finetune" for job in scheduler.live(folder))

    third = grid.run_on_cluster()
    assert third.ends(LONG) == 2 and "alive" in third.text()
    fourth = grid.run_on_cluster("--live", "wait")
    wait("the run that waits", lambda: "waiting for them" in fourth.text(), LONG)
    grid.go(*trainings)
    assert fourth.ends(LONG) == 0, fourth.story()
    # what was cancelled went on from its shards, what was left running was not begun again
    assert len(grid.tries(generations[0])) == 2 and "shards are there from an earlier run" in grid.log(generations[0])
    assert [len(grid.tries(cell)) for cell in trainings] == [1, 1, 1]
    return grid


def refused(cluster: Cluster, folder: Path) -> SlurmGrid:
    """sbatch refuses for a while, longer than all retries take: the partition is closed."""
    name = f"moody-{os.getpid()}"
    output("scontrol", "create", f"PartitionName={name}", "Nodes=d1,d2,d3", "State=INACTIVE", "MaxTime=60")
    grid = SlurmGrid(folder, resources={"generate": {"slurm_partition": name}})
    run = grid.run_on_cluster("results/responses/seed__small.parquet")
    wait("the end of the retries", lambda: "started again" in run.text(), LONG)
    assert run.text().count("FAILED generate seed__small") == 3
    output("scontrol", "update", f"PartitionName={name}", "State=UP")
    assert run.ends(LONG) == 0, run.story()
    assert grid.states("generate seed__small") == ["COMPLETED"], run.story()
    output("scontrol", "delete", f"PartitionName={name}")
    return grid


def disk_full(cluster: Cluster, folder: Path) -> SlurmGrid:
    """The results' file system is full for a while; the run says so, and with space again the next one makes the rest."""
    cells = [f"generate seed__{teacher}" for teacher in TEACHERS]
    grid = SlurmGrid(folder, {cell: {"waits": 1} for cell in cells})
    results, ballast = folder / "results", folder / "results/ballast"
    results.mkdir(exist_ok=True)
    output("mount", "-t", "tmpfs", "-o", "size=16m", "results", str(results))
    try:
        targets = [f"results/health/seed__{teacher}.parquet" for teacher in TEACHERS]
        run = grid.run_on_cluster(*targets)
        wait("a shard", lambda: grid.shards("responses/seed__whole.parquet"), LONG)
        full = subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=4k"], capture_output=True, text=True)
        assert "No space left" in full.stderr
        grid.go(*cells)
        assert run.ends(LONG) == 1, run.text()
        assert "disk full" in run.text()
        ballast.unlink()
        again = grid.run_on_cluster(*targets)
        assert again.ends(LONG) == 0, again.story()
        assert scheduler.live(folder) == []
    finally:
        # the mount goes, what was in it stays; without cgroups, SLURM may miss an idle process of a job that it has killed, and
        # that one holds its log open
        output("cp", "-a", str(results), str(folder / "kept"))
        output("umount", "--lazy", str(results))
        results.rmdir()
        (folder / "kept").rename(results)
    return grid


def lose_node_under(cluster: Cluster, grid: SlurmGrid, cell: str, work: str, shards: int) -> str:
    """Let the node of a cell's job die when it has so many shards. Return the node."""
    job = working(grid, cell)
    wait(f"{shards} shards", lambda: len(grid.shards(work)) >= shards, LONG)
    cluster.lose(job.node)
    grid.go(cell)
    return job.node


def revive_after_second_try(cluster: Cluster, grid: SlurmGrid, cell: str, node: str) -> None:
    """SLURM itself must see that the node is gone and start the job elsewhere."""
    again = working(grid, cell, 2)
    assert again.node != node
    cluster.revive(node)


def node_dies_under_generation(cluster: Cluster, folder: Path) -> SlurmGrid:
    """The job goes on elsewhere from its shards, and makes again the one that was cut off and the one with a flipped bit."""
    cell, work = "generate seed__whole", "responses/seed__whole.parquet"
    grid = SlurmGrid(folder, {cell: {"waits": 3}}, {"generate": {"slurm_partition": "gpu-h100-frail"}})
    run = grid.run_on_cluster("results/health/seed__whole.parquet")
    node = lose_node_under(cluster, grid, cell, work, 3)
    cut, flipped, _ = grid.shards(work)
    cut.write_bytes(cut.read_bytes()[:-40])
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    revive_after_second_try(cluster, grid, cell, node)
    assert run.ends(LONG) == 0, run.story()
    assert grid.states(cell) == ["NODE_FAIL", "COMPLETED"], run.story()
    said = grid.log(cell)
    assert said.count("is damaged and is made again") == 2 and "1 of 4 shards are there from an earlier run" in said
    return grid


def node_dies_under_training(cluster: Cluster, folder: Path) -> SlurmGrid:
    cell = "finetune q__seed__whole__sft__s1"
    needs = {"slurm_partition": "gpu-h100-frail", "gpu": 4, "gpu_model": "h100"}
    grid = SlurmGrid(folder, {cell: {"waits": 2}}, {"finetune": needs})
    run = grid.run_on_cluster("results/students/q__seed__whole__sft__s1/student.json")
    node = lose_node_under(cluster, grid, cell, "students/q__seed__whole__sft__s1/student.json", 2)
    revive_after_second_try(cluster, grid, cell, node)
    assert run.ends(LONG) == 0, run.story()
    assert grid.states(cell) == ["NODE_FAIL", "COMPLETED"], run.story()
    assert "shards are there from an earlier run" in grid.log(cell)
    return grid


FAULTS = [
    main_process,
    memory_and_time,
    preempted,
    disk_full,
    node_dies_under_generation,
    node_dies_under_training,
    refused,
]


def equal_and_never_twice(grid: SlurmGrid, undisturbed: dict) -> None:
    made = tables(grid.folder)
    assert made and differing(made, {name: undisturbed[name] for name in made}) == set()
    assert at_the_same_time(grid.folder) == set()
    # SLURM would spread the GPUs of a job over nodes that have some free, where its step then fails
    assert [row for row in accounting(grid.folder) if set(row["node"]) & set("[,")] == []


@pytest.mark.slurm
@pytest.mark.parametrize("case", FAULTS)
def test_fault_of_one_grid(case, started, undisturbed):
    grid = started[case].result()
    equal_and_never_twice(grid, undisturbed)
    if case is main_process:
        assert tables(grid.folder).keys() == undisturbed.keys()


# --- faults of the cluster


@pytest.mark.slurm_long
def test_daemons_go_away(calm, undisturbed, tmp_path):
    """slurmdbd, and slurmctld for a minute, while jobs run and others are to be submitted."""
    cell = "generate seed__small"
    grid = SlurmGrid(tmp_path.resolve() / "grid", {cell: {"waits": 0}})
    run = grid.run_on_cluster("results/health/seed__small.parquet")
    working(grid, cell)
    calm.end("slurmdbd")
    calm.end("slurmctld")
    grid.go(cell)
    time.sleep(60)
    calm.begin("slurmctld")
    wait("the next stage without accounting", lambda: grid.tries("check seed__small"), LONG)
    calm.begin("slurmdbd")
    assert run.ends(LONG) == 0, run.story()
    assert "FAILED" not in run.text(), "no try is used up while the controller is away"
    wait("the accounting", lambda: grid.states("check seed__small") == ["COMPLETED"])
    assert grid.states(cell) == ["COMPLETED"], run.story()
    equal_and_never_twice(grid, undisturbed)


@pytest.mark.slurm_long
def test_a_bad_night(calm, undisturbed, tmp_path):
    """A whole grid in which nodes die under generation and SFT, slurmdbd goes away, and slurmctld for a minute."""
    generation, training = "generate seed__small", "finetune q__seed__small__sft__s1"
    grid = SlurmGrid(tmp_path.resolve() / "grid", {generation: {"waits": 3}, training: {"waits": 2}})
    run = grid.run_on_cluster()
    node = lose_node_under(calm, grid, generation, "responses/seed__small.parquet", 3)
    revive_after_second_try(calm, grid, generation, node)
    wait("likelihood", lambda: running(grid, "likelihood q/seed__small"), LONG)
    calm.end("slurmdbd")
    node = lose_node_under(calm, grid, training, "students/q__seed__small__sft__s1/student.json", 2)
    calm.begin("slurmdbd")
    revive_after_second_try(calm, grid, training, node)
    working(grid, "answer q__seed__small__sft__s1/math")
    calm.end("slurmctld")
    time.sleep(60)
    calm.begin("slurmctld")
    assert run.ends(2 * LONG) == 0, run.story()
    assert grid.states(generation) == grid.states(training) == ["NODE_FAIL", "COMPLETED"], run.story()
    equal_and_never_twice(grid, undisturbed)
    assert tables(grid.folder).keys() == undisturbed.keys()
