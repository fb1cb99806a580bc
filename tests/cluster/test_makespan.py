"""The simulated end of a plan against a real run: more than 100 jobs that sleep, in several partitions."""

import json
import random
from collections import defaultdict
from pathlib import Path
from statistics import mean, median

import pytest
from slurm_grids import SlurmGrid, accounting
from slurm_sites import GPUS, PRETENDED
from teachergrid.cost.makespan import Task, simulate

pytestmark = pytest.mark.slurm_long
TEACHERS = 16
SHORTEST, LONGEST, PARTS = 30, 60, 4  # seconds of a job, drawn; parts of a stand-in's work
FIRST = 20


def many(config: dict) -> None:
    """Give the grid 16 teachers on two kinds of GPUs."""
    teachers = {}
    for i in range(TEACHERS):
        cost = {"parameters": 0.1, "gpus": 1 + (i % 4 == 0), "gpu_model": ("h100", "a100")[i % 3 == 0]}
        config["models"][f"t{i}"] = {"repo": f"org/t{i}", "revision": f"sha256-{i}", **cost}
        teachers[f"t{i}"] = {"model": f"t{i}", "sampling": {"temperature": 1}}
    config["teachers"] = teachers


def pools() -> dict[str, int]:
    """Return the GPUs by type of the partitions that the profile names, and the CPUs of the node without one."""
    found = defaultdict(int, cpu=16)
    for node, kind in PRETENDED.nodes.items():
        if kind and not node.startswith("p"):
            found[kind] += GPUS
    return dict(found)


def test_within_15_percent(cluster, tmp_path):
    grid = SlurmGrid(Path(tmp_path, "grid"))
    grid.edit(many)
    done = grid.call("teachergrid", "plan", "--json", "--workflow-profile", "profiles/slurm")
    assert done.returncode == 0, done.stderr
    jobs = [job for job in json.loads(done.stdout)["jobs"] if job["rule"] not in ("gate", "free")]
    plan = json.loads(done.stdout)["jobs"]
    drawn = random.Random(0)
    sleeps = {job["job"]: drawn.uniform(SHORTEST, LONGEST) for job in jobs}
    faults = {name: {"seconds": seconds / PARTS} for name, seconds in sleeps.items()}
    (grid.folder / "faults.json").write_text(json.dumps(faults))
    run = grid.run_on_cluster()
    assert run.ends(3000) == 0, run.story()
    rows = accounting(grid.folder)
    assert len(rows) >= 100
    took = max(row["end"] for row in rows) - run.start

    # what the first jobs tell: how long a job takes beside its sleep, and how long until it starts when nothing is full
    ends = {row["cell"]: row["end"] for row in rows}
    first = rows[:FIRST]
    beside = mean(row["end"] - row["start"] - sleeps[row["cell"]] for row in first)
    needs = {job["job"]: [plan[need]["job"] for need in job["needs"]] for job in plan}
    ready = {
        name: max([ends[need] for need in found if need in ends], default=run.start) for name, found in needs.items()
    }
    delay = median(sorted(row["start"] - ready[row["cell"]] for row in first)[: FIRST // 2])
    tasks = [
        Task(
            job["job"],
            {kind: sleeps.get(job["job"], 0) + beside for kind in kinds(job, grid)},
            job["gpus"] or 1,
            tuple(job["needs"]),
        )
        for job in plan
    ]
    expected = simulate(tasks, pools(), delay).seconds
    print(
        f"{len(rows)} jobs: {took:.0f} s, expected {expected:.0f} s; delay {delay:.1f} s, {beside:.1f} s beside the sleep"
    )
    assert abs(expected - took) <= 0.15 * took


def kinds(job: dict, grid: SlurmGrid) -> list[str]:
    """Return the pools that a job may run in: the types that the config asks for, or any."""
    if not job["gpus"]:
        return ["cpu"]
    teacher = job["words"].get("teacher", "t0") if job["rule"] == "generate" else None
    if teacher is None:
        return ["h100", "a100"]
    return [("h100", "a100")[int(teacher[1:]) % 3 == 0]]
