"""Train on several GPUs or nodes: one process per GPU, each started exactly once, all ended together.

    finetune.py --> torchrun (one per node, by srun where there are several) --> one worker per GPU: sft.train

What the workers need goes through files in the work folder, and so does what they found. A worker that dies ends all; none
outlives the job, however that ends. Nothing is started again by itself: the job's retry goes on from the last checkpoint.
"""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from . import costs, models, shares, zero
from .errors import BadInput

# where several nodes meet: by the job's id, below the ports that Linux gives out by itself (32768 and up)
PORTS = range(20000, 30000)
WORKER = [sys.executable, "-m", "teachergrid.worker"]
# of SLURM's variables these alone: a step's own (tasks, CPUs, GPUs) would decide about the steps inside it
KEPT = ("SLURM_JOB_ID", "SLURM_CONF", "SLURM_CLUSTER_NAME")


class Team(NamedTuple):
    """The processes of one training: one per GPU over all nodes, at least one per node."""

    processes: int = 1
    nodes: int = 1
    deepspeed: str | None = None


def team(resources) -> Team:
    """Return the team of a job from its resources: gpu (over all nodes) or gres `gpu:TYPE:N` (per node), nodes, deepspeed."""
    nodes = resources.get("nodes") or 1
    return Team(max(costs.gpus(resources), nodes), nodes, resources.get("deepspeed") or None)


def check_deepspeed(deepspeed: str | None, name: str) -> None:
    """Raise BadInput when a recipe asks for DeepSpeed and it is not installed."""
    if deepspeed and importlib.util.find_spec("deepspeed") is None:
        raise BadInput(
            f"recipe {name}: deepspeed {deepspeed}, but {sys.prefix} has no DeepSpeed; install it there "
            "(DS_BUILD_OPS=0 pip install deepspeed==0.19.8), or set `deepspeed: null`"
        )


def train(rows, talk: dict, model: dict, recipe: dict, seed: int, work: Path, team: Team, name: str):
    """Fine-tune a base as sft.train does and return the same, by a team of processes. name: the recipe's, for messages.

    Raises BadInput as the checks above and sft.train do, RuntimeError when a process failed, or not each rank ran exactly once.
    """
    shares.check_shares(recipe, team.processes, team.nodes, name)
    check_deepspeed(team.deepspeed, name)
    models.caches()
    if team == Team():
        from . import sft

        return sft.train(rows, talk, model, recipe, seed, work)
    folder = work / "launch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    given = {"rows": list(rows), "talk": talk, "model": model, "recipe": recipe, "seed": seed, "work": str(work)}
    given |= {"processes": team.processes, "deepspeed": None}
    if team.deepspeed:
        given["deepspeed"] = str(folder / f"{team.deepspeed}.json")
        Path(given["deepspeed"]).write_text(json.dumps(zero.settings(team.deepspeed), indent=1))
        zero.build(team.deepspeed, run)
    (folder / "settings.json").write_text(json.dumps(given))
    print(f"{team.processes} processes on {team.nodes} nodes, DeepSpeed: {team.deepspeed or 'no'}", flush=True)
    ended = run(command(team, folder))
    refuse_failure(folder, team.processes, ended)
    found = json.loads((folder / "result.json").read_text())
    return Path(found["final"]), found["facts"], found["log"]


def command(team: Team, folder: Path) -> list[str]:
    """Return what starts all workers, and ends when all have ended."""
    if team.nodes == 1:
        # on a port that the system chooses: two jobs on one node cannot meet
        return torchrun(team, folder, "--standalone", "--local-addr=127.0.0.1")
    address, port = meeting_place()
    cpus = os.environ.get("SLURM_CPUS_PER_TASK", "1")
    return [
        *("srun", "--overlap", "--mpi=none", "--kill-on-bad-exit=1", "--mem=0", f"--cpus-per-task={cpus}"),
        *(f"--nodes={team.nodes}", f"--ntasks={team.nodes}", "--ntasks-per-node=1", *WORKER, "node"),
        *torchrun(team, folder, f"--rdzv-id={run_id()}", f"--master-addr={address}", f"--master-port={port}"),
    ]


def torchrun(team: Team, folder: Path, *where: str) -> list[str]:
    count = [f"--nnodes={team.nodes}", f"--nproc-per-node={team.processes // team.nodes}", "--max-restarts=0"]
    return [sys.executable, "-m", "torch.distributed.run", *count, *where, "-m", *WORKER[2:], "rank", str(folder)]


def run_id() -> str:
    """Return what tells a SLURM job's own launchers from those of its try before a requeue."""
    return f"{os.environ['SLURM_JOB_ID']}-{os.environ.get('SLURM_RESTART_COUNT', 0)}"


def meeting_place() -> tuple[str, int]:
    """Return address and port where the launchers of a SLURM job's nodes meet: on its first node.

    Raises BadInput outside of a SLURM job.
    """
    if "SLURM_JOB_NODELIST" not in os.environ:
        raise BadInput("several nodes need SLURM (--workflow-profile profiles/slurm); set the recipe's `nodes` to 1")
    first = asked("scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]).split()[0]
    node = asked("scontrol", "show", "node", first, "--oneliner").split()
    address = next(word.removeprefix("NodeAddr=") for word in node if word.startswith("NodeAddr="))
    return address, free_port(address, int(os.environ["SLURM_JOB_ID"]))


def free_port(address: str, job: int) -> int:
    """Return the first port of PORTS where nobody listens, from the job's own place on."""
    for step in range(len(PORTS)):
        port = PORTS[(job + step) % len(PORTS)]
        with socket.socket() as probe:
            if probe.connect_ex((address, port)):
                return port
    raise RuntimeError(f"{address}: no port from {PORTS[0]} to {PORTS[-1]} is free")


def asked(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def run(argv: list[str]) -> int:
    """Run a command that ends when this process does, even when this one is killed. Returns its exit code."""
    inner = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SRUN_")) or k in KEPT}
    paths = {"PYTHONPATH": Path(__file__).parents[1], "PATH": Path(sys.executable).parent}  # DeepSpeed looks for ninja
    inner |= {key: os.pathsep.join(filter(None, [str(path), inner.get(key)])) for key, path in paths.items()}
    # with open descriptors: the job's devices stay taken (devices.py) until its last worker has ended
    child = subprocess.Popen([*WORKER, "tied", str(os.getpid()), *argv], env=inner, close_fds=False)
    try:
        return child.wait()
    finally:
        child.terminate()


def refuse_failure(folder: Path, processes: int, ended: int) -> None:
    """Raise the first worker's error, or RuntimeError when one died without any, or not every rank ran."""
    errors = sorted(folder.glob("error-*"), key=lambda path: path.stat().st_mtime_ns)
    if errors:
        error, rank = json.loads(errors[0].read_text()), errors[0].name.replace("error-", "rank ")
        if error["type"] == BadInput.__name__:
            raise BadInput(error["message"])
        raise RuntimeError(f"{rank}: {error['type']}: {error['message']}")
    ran = sorted(path.name for path in folder.glob("rank-*"))
    if ended:
        raise RuntimeError(f"a process was killed (exit {ended}, see above); of {processes} these had started: {ran}")
    if set(ran) != {f"rank-{rank}" for rank in range(processes)} or not (folder / "result.json").exists():
        raise RuntimeError(f"the launcher said that all went well, but of {processes} processes these ran: {ran}")
