"""A cluster with other names: typed GPUs, a drained node, an account and a QOS, two users, and SLURM's defaults (slurm_sites.HPC1).

What takes jobs goes on at the same time (conftest.started); each such case has nodes of its own where it disturbs one.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from slurm_cluster import Cluster, wait
from slurm_grids import PROFILE, Run, differing, overlapping, tables
from slurm_shared import PARTITIONS, SharedGrid
from slurm_sites import ALICE, BOB

LONG = 1800  # seconds, on a busy machine
ONE, TWO, FOUR = (f"generate seed__{teacher}" for teacher in ("small", "large", "whole"))
TRAIN = "finetune q__seed__small__sft__s1"


def result(cell: str) -> str:
    """Return the output of a cell: generate seed__small -> results/responses/seed__small.parquet."""
    rule, name = cell.split(" ")
    return f"results/{'responses' if rule == 'generate' else 'health'}/{name}.parquet"


def check(cell: str) -> str:
    return cell.replace("generate", "check")


def begun(grid: SharedGrid, run: Run, cell: str, number: int = 1) -> str:
    """Return the id of a cell's job as soon as its work has begun for the n-th time."""

    def reached() -> bool:
        assert run.process.poll() is None, run.story()
        return len(grid.tries(cell)) >= number

    wait(f"try {number} of {cell}", reached, LONG)
    return grid.tries(cell)[number - 1]["SLURM_JOB_ID"]


def waiting(grid: SharedGrid, cell: str) -> str:
    """Return the id of a cell's job when it waits in the queue, and SLURM has given a reason."""
    comment = f"rule_{cell.replace(' ', '_wildcards_')}"

    def found() -> list[str]:
        jobs = [line.split() for line in grid.queue("%k %i %r") if comment in line]
        return [id for _, id, *reason in jobs if reason != ["None"]]

    return wait(f"{cell} in the queue", found, LONG)[0]


@contextmanager
def others_job(cluster: Cluster, partition: str, node: str, *argv: str) -> Iterator[None]:
    """Let a job that has nothing to do with a grid be in the queue meanwhile."""
    where = (
        f"--partition={partition}",
        f"--nodelist={node}",
        "--account=nlp-lab",
        "--output=/dev/null",
        "--chdir=/tmp",
    )
    job = cluster.ask("sbatch", "--parsable", *where, *argv, "--wrap", "sleep 3600", user=BOB)
    try:
        yield
    finally:
        cluster.ask("scancel", job)


def line_of(text: str, *words: str) -> str:
    """Return the line with these words; the test fails where there is none."""
    found = [line for line in text.splitlines() if all(word in line for word in words)]
    assert found, f"no line with {words}:\n{text}"
    return found[0]


def never_twice(grid: SharedGrid) -> None:
    for folder in (grid.folder / "tries").glob("*/*"):
        tries = grid.tries(f"{folder.parent.name} {folder.name.replace(',', '/')}")
        assert not overlapping([(one["begin"], one["end"]) for one in tries]), folder


# --- cases with jobs


def two_users(cluster: Cluster, folder: Path) -> SharedGrid:
    """F1: Bob's main process dies. Alice is told of his jobs, waits for them and goes on."""
    grid = SharedGrid(cluster, folder, {ONE: {"waits": 0}})
    grid.belongs_to(BOB)
    targets = [result(cell) for cell in (ONE, check(ONE), FOUR)]
    # the node has no four GPUs left for a while
    with others_job(cluster, "gpu_short", "gh1", "--gres=gpu:1", "--time=60"):
        bob = grid.run_as(BOB, *targets)
        grid.ids = begun(grid, bob, ONE), waiting(grid, FOUR)
        grid.said["alive"] = grid.call_as(ALICE, "status").stdout
        bob.kill()
        refused = grid.run_as(ALICE, *targets)
        assert refused.ends(LONG) == 2, refused.text()
        assert all(word in refused.text() for word in ("tg-bob", "--live wait", *grid.ids)), refused.text()
        grid.said["killed"] = grid.call_as(ALICE, "status").stdout
    alice = grid.run_as(ALICE, "--live", "wait", *targets)
    wait("Alice, who waits for Bob's jobs", lambda: "waiting for them" in alice.text(), LONG)
    grid.go(ONE)
    assert alice.ends(LONG) == 0, alice.story()
    assert [len(grid.tries(cell)) for cell in (ONE, FOUR, check(ONE))] == [1, 1, 1]
    grid.ended["plan"] = grid.call_as(BOB, "plan", *PROFILE, *targets)

    # F7: as Snakemake and a usual umask leave a folder: the group may look, but not everywhere
    grid.belongs_to(BOB, "g-w")
    subprocess.run(["chmod", "-R", "g-rwx", *grid.folder.glob("results/.history/*")], check=True)
    for command in ("status", "plan", "run"):
        grid.ended[f"closed {command}"] = grid.call_as(ALICE, command, *PROFILE, *targets)
    return grid


def cancelled_by_preemption(cluster: Cluster, folder: Path) -> SharedGrid:
    """F5: a job that a CANCEL partition drops is submitted again while another one lives."""
    grid = SharedGrid(cluster, folder, {check(TWO): {"hangs": 1}, ONE: {"waits": 0}})
    # the node that Bob's job takes, and not the one on which the other job lives, whatever else is free
    grid.profile({"check": {"slurm_partition": "preempt", "slurm_extra": "'--nodelist=c2'"}})
    grid.edit(lambda config: config["models"]["small"].update(gpu_model="a100_80gb"))
    run = grid.run_as(ALICE, result(ONE), result(check(TWO)))
    job = begun(grid, run, check(TWO))
    urgent = (
        "-p",
        "batch",
        "-w",
        "c2",
        "--exclusive",
        "-A",
        "nlp-lab",
        "-t",
        "1",
        "-o",
        "/dev/null",
        "--wrap",
        "sleep 2",
    )
    cluster.ask("sbatch", *urgent, user=BOB)
    begun(grid, run, check(TWO), 2)
    assert not Path(grid.folder, result(ONE)).exists()  # it lives, until it is told to end
    grid.go(ONE)
    line_of(run.text(), "preempted", check(TWO), job)
    assert run.ends(LONG) == 0, run.story()
    assert "started again" not in run.text()
    return grid


def killed_for_memory_or_by_hand(cluster: Cluster, folder: Path) -> SharedGrid:
    """F2: what is tried again asks for no more time than its partitions give. F9: what a person cancels asks for nothing more."""
    grid = SharedGrid(cluster, folder, {ONE: {"megabytes": 900}, TWO: {"hangs": 1}})
    grid.profile({"generate": {"mem_mb": "1000 * attempt", "runtime": "60 * attempt"}})
    grid.partitions({name: PARTITIONS[name] for name in ("batch", "gpu_short")})
    run = grid.run_as(ALICE, result(ONE), result(TWO))
    cluster.ask("scancel", begun(grid, run, TWO), user=ALICE)
    again = begun(grid, run, ONE, 2)
    assert cluster.ask("squeue", "-h", "-j", again, "-o", "%l %P") == "1:00:00 gpu_short"
    assert run.ends(LONG) == 1, run.story()
    assert len(grid.tries(TWO)) == 1 and "ancelled" in line_of(run.text(), "FAILED", TWO)
    assert Path(grid.folder, result(ONE)).exists()
    # the same command does it, with no more memory than before
    second = grid.run_as(ALICE, result(ONE), result(TWO))
    job = begun(grid, second, TWO, 2)
    assert "1000M" in cluster.ask("scontrol", "show", "job", job)
    assert second.ends(LONG) == 0, second.story()
    assert lingered(second) < 15
    return grid


def controller_away(cluster: Cluster, folder: Path) -> SharedGrid:
    """F9: no controller for a minute, seen by this run alone: no try is used up, nothing fails."""
    grid = SharedGrid(cluster, folder, {ONE: {"waits": 0}})
    conf = grid.folder / "slurm.conf"
    good = (cluster.folder / "etc/slurm.conf").read_text()
    conf.write_text(good)
    run = grid.run_as(ALICE, result(check(ONE)), SLURM_CONF=str(conf))
    begun(grid, run, ONE)
    conf.write_text(re.sub(r"(?m)^SlurmctldPort=.*", "SlurmctldPort=1\nMessageTimeout=2", good))
    grid.go(ONE)
    time.sleep(75)
    conf.write_text(good)
    assert run.ends(LONG) == 0, run.story()
    assert "FAILED" not in run.text() and "started again" not in run.text()
    assert len(grid.tries(ONE)) == len(grid.tries(check(ONE))) == 1
    return grid


def main_process_in_a_job(cluster: Cluster, folder: Path) -> SharedGrid:
    """The main process is a job itself, and is put back into the queue; jobs run the site's lines and ask the controller nothing."""
    grid = SharedGrid(cluster, folder, {ONE: {"waits": 0}, TRAIN: {"waits": 0}})
    program, tools, setup = folder / ".venv/bin/teachergrid", folder / "tools", folder / "profiles/slurm/setup.sh"
    lines = f"export PATH={tools}:$PATH TEACHERGRID_CONTAINER='{tools}/contained some-image'"
    scripts = {program: f'exec {sys.executable} -m teachergrid "$@"', setup: lines}
    scripts[tools / "contained"] = f'echo contained $1 >> {folder}/asked\nshift\nexec "$@"'
    for name in ("srun", "scontrol"):
        scripts[tools / name] = f'echo {name} "$@" >> {folder}/asked\nexec {shutil.which(name)} "$@"'
    for path, lines in scripts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)
    grid.belongs_to(ALICE)
    targets = [result(check(ONE)), f"results/students/{TRAIN.split(' ')[1]}/student.json"]
    main = grid.submit_main(ALICE, "--account=nlp-lab", "--partition=batch", argv=("--notify", "cat > told", *targets))
    state = ("squeue", "-h", "-j", main, "-o", "%T")
    wait("the work of a job", lambda: grid.tries(ONE), LONG)
    (grid.said["name"],) = [line for line in grid.queue("%j") if line.startswith("generate")]
    # as SLURM does some time before the limit
    cluster.ask("scancel", "--batch", "--signal=USR1", main, user=ALICE)
    wait("the main process in the queue again", lambda: cluster.ask(*state) == "PENDING", LONG)
    grid.go(ONE)
    wait("the work of a training", lambda: grid.tries(TRAIN), LONG)
    cluster.ask("scancel", "--signal=USR1", grid.tries(TRAIN)[0]["SLURM_JOB_ID"], user=ALICE)
    grid.go(TRAIN)
    wait("the end of the main process", lambda: cluster.ask(*state) in ("", "COMPLETED", "FAILED"), LONG)
    log = (folder / f"teachergrid-{main}.log").read_text()
    assert "the cluster's jobs go on" in log and "3 done, 0 failed" in log, log
    assert [len(grid.tries(cell)) for cell in (ONE, check(ONE), TRAIN)] == [1, 1, 1]
    grid.said["told"], grid.said["asked"] = (folder / "told").read_text(), (folder / "asked").read_text()
    return grid


def lingered(run: Run) -> float:
    """Return the seconds between the last job's end, as the run saw it, and the run's own end."""

    def seconds(line: str) -> int:
        hours, minutes, rest = map(int, line.split(" ")[0].split(":"))
        return (hours * 60 + minutes) * 60 + rest

    lines = run.text().splitlines()
    (ended,) = [line for line in lines if re.search(r" \d+ done, ", line)]
    last = [line for line in lines if re.search(r"\[(\d+)/\1\] ", line)][-1]
    return (seconds(ended) - seconds(last)) % 86400


CASES = [two_users, cancelled_by_preemption, killed_for_memory_or_by_hand, controller_away, main_process_in_a_job]


@pytest.mark.slurm
@pytest.mark.parametrize("case", CASES)
def test_on_the_second_cluster(case, started, second, undisturbed):
    grid = started[case].result()
    never_twice(grid)
    made = tables(grid.folder)
    assert made and differing(made, {name: undisturbed[name] for name in made}) == set()


@pytest.mark.slurm
@pytest.mark.parametrize("case", [two_users])
def test_status_of_another_users_run(case, started, second):
    """F8: his jobs do not run on the login node; what waits has a reason; what is advised is not refused."""
    grid = started[case].result()
    one, four = grid.ids
    line_of(grid.said["alive"], ONE, one, "gh1")
    line_of(grid.said["alive"], FOUR, four, "gpu")
    assert re.search(r"waiting: (Resources|Priority), 1\n", grid.said["alive"]), grid.said["alive"]
    assert "--live wait" in grid.said["killed"]


@pytest.mark.slurm
@pytest.mark.parametrize("case", [two_users])
def test_a_shared_folder(case, started, second):
    """F7: with the group's permission all work; without it, looking works, and a run says whom to ask."""
    ended = started[case].result().ended
    assert "Traceback" not in "".join(done.stdout + done.stderr for done in ended.values())
    assert {name: done.returncode for name, done in ended.items()} == {
        "plan": 0,
        "closed status": 0,
        "closed plan": 0,
        "closed run": 2,
    }
    assert all(word in ended["closed run"].stderr for word in ("tg-bob", "chmod -R g+rwX", "umask 002"))
    assert not (started[case].result().folder / "results/.lock").exists()


@pytest.mark.slurm
@pytest.mark.parametrize("case", [main_process_in_a_job])
def test_what_jobs_ask_and_are_called(case, started, second):
    said = started[case].result().said
    assert said["name"] == "generate:seed__small"
    # by the site's own PATH: one job step each (the instructions are a job, too), and nothing else
    asked = [line.split()[0] for line in said["asked"].splitlines()]
    assert sorted(asked) == ["contained"] * 4 + ["srun"] * 4, said["asked"]
    assert "3 done, 0 failed" in said["told"]


# --- what needs no job


SITE = """\
# profiles/slurm/profile.yaml: in place of the block of this name
default-resources:
  slurm_account: nlp-lab
  # qos: research
  cpus_per_gpu: 4
  mem_mb: 2000 * attempt
  runtime: 30 * attempt
# ---
# profiles/slurm/partitions.yaml: the whole file
partitions:
  batch: {max_runtime: 60, max_mem_mb: 256000}
  # State=DOWN: closed: {max_runtime: 24, max_mem_mb: 256000}
  # for tests, by its name: debug: {max_runtime: 2, max_mem_mb: 256000}
  gpu-long: {max_mem_mb: 256000, max_gpu: 4, available_gpu_models: [a100_80gb, h200]}
  gpu_short: {max_runtime: 60, max_mem_mb: 256000, max_gpu: 4, available_gpu_models: [a100_80gb, h200]}
  # preemptible (CANCEL): preempt: {max_mem_mb: 256000, max_gpu: 4, available_gpu_models: [a100_80gb, h200]}
  # not for you: AllowAccounts=guests: vip: {max_runtime: 25, max_mem_mb: 256000}
"""


@pytest.fixture
def grid(second, started, request) -> Iterator[SharedGrid]:
    """A grid that nobody has run; the cases go on meanwhile."""
    made = SharedGrid(second, second.folder / "grids" / request.node.name)
    yield made
    Run.end_left(made.folder)


@pytest.mark.slurm
def test_a_job_that_no_partition_takes_is_not_submitted(grid):
    """F2: SLURM would leave it in the default partition for ever."""
    grid.profile({"generate": {"runtime": "600 * attempt"}})
    grid.partitions({name: PARTITIONS[name] for name in ("batch", "gpu_short")})
    planned = grid.call_as(ALICE, "plan", *PROFILE, result(FOUR))
    run = grid.run_as(ALICE, result(FOUR))
    assert run.ends(120) == 2 and "600 min" in line_of(run.text(), "generate", "gpu_short"), run.text()
    assert "generate seed__whole: 600 min, 4 h200" in " ".join(planned.stdout.split())
    assert grid.queue() == [] and not (grid.folder / "results/.lock").exists()


@pytest.mark.slurm
def test_plan_counts_what_the_partitions_have(grid):
    """F3: a type of GPU that nobody described. F4: each GPU once, those of the drained node not at all."""
    grid.profile({})
    planned = grid.call_as(ALICE, "plan", *PROFILE)
    assert planned.returncode == 0, planned.stderr
    assert "a100_80gb=4 (guessed: a100), h200=4" in " ".join(planned.stdout.split()), planned.stdout


@pytest.mark.slurm
def test_site(grid):
    """F6: every line is what this user can use; the others are comments that say why."""
    printed = grid.call_as(ALICE, "site")
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout == SITE
    assert yaml.safe_load(printed.stdout)["partitions"] == PARTITIONS
