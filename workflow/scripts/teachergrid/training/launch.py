"""Train on several GPUs or nodes: one process per GPU. Each is started exactly once, and all end together.

    finetune.py --> torchrun (one per node, by srun where there are several) --> one worker per GPU: sft.train

Settings and results go through files in the work folder. A worker that dies ends all; none outlives the job, however that
ends. No process is restarted: when the job is retried, it resumes from the last checkpoint.
"""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..cost import gpu_shares
from ..cost.resources import gpus
from ..errors import BadInput
from ..models import caches
from ..slurm import scheduler
from . import zero
from .training import Trained, Training

# on which several nodes find each other: chosen by the job's id, below the ports that Linux assigns itself (32768 and up)
PORTS = range(20000, 30000)
SCRIPTS = Path(__file__).parents[__name__.count(".")]  # the folder that holds this package
WORKER = [sys.executable, "-m", "teachergrid.training.worker"]
# the only variables of SLURM that a command gets: those of a step (tasks, CPUs, GPUs) would change the steps inside it
SLURM_VARIABLES = ("SLURM_JOB_ID", "SLURM_CONF", "SLURM_CLUSTER_NAME")


class Team(NamedTuple):
    """The processes of one training: one per GPU over all nodes, at least one per node."""

    processes: int = 1
    nodes: int = 1
    deepspeed: str | None = None


def team(resources: Mapping[str, Any]) -> Team:
    """Return the team of a job from its resources: gpu (over all nodes) or gres `gpu:TYPE:N` (per node), nodes, deepspeed."""
    nodes = resources.get("nodes") or 1
    return Team(max(gpus(resources), nodes), nodes, resources.get("deepspeed") or None)


def check_deepspeed(deepspeed: str | None, name: str) -> None:
    """Raise BadInput when a recipe asks for DeepSpeed and it is not installed."""
    if deepspeed and importlib.util.find_spec("deepspeed") is None:
        raise BadInput(
            f"recipe {name}: deepspeed {deepspeed}, but {sys.prefix} has no DeepSpeed; install it there "
            "(DS_BUILD_OPS=0 pip install deepspeed==0.19.8), or set `deepspeed: null`"
        )


def train(training: Training, team: Team, name: str, callbacks: Sequence = ()) -> Trained:
    """Fine-tune a base as sft.train does, by a team of processes.

    Args:
        name: of the recipe, for messages.
        callbacks: of the trainer, for a training in this process alone.
    Raises:
        BadInput: as check_shares, check_deepspeed and sft.train do.
        RuntimeError: when a process failed, or not each rank ran exactly once.
    """
    gpu_shares.check_shares(training.recipe, team.processes, team.nodes, name)
    check_deepspeed(team.deepspeed, name)
    caches.set_cache_folders()
    if team == Team():
        from . import sft

        return sft.train(training, callbacks=callbacks)
    folder = training.work / "launch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    deepspeed = None
    if team.deepspeed:
        deepspeed = str(folder / f"{team.deepspeed}.json")
        Path(deepspeed).write_text(json.dumps(zero.settings(team.deepspeed), indent=1))
        zero.build(team.deepspeed, run)
    settings = {
        "training": training._asdict() | {"work": str(training.work)},
        "processes": team.processes,
        "deepspeed": deepspeed,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    print(f"{team.processes} processes on {team.nodes} nodes, DeepSpeed: {team.deepspeed or 'no'}", flush=True)
    exit_code = run(command(team, folder))
    refuse_failure(folder, team.processes, exit_code)
    result = json.loads((folder / "result.json").read_text())
    return Trained(Path(result["final"]), result["facts"], result["log"])


def command(team: Team, folder: Path) -> list[str]:
    """Return the command that starts all workers, and ends when all have ended. folder: as `worker.work` reads it."""
    if team.nodes == 1:
        # on a port that the system chooses, so two jobs on one node do not collide
        return torchrun(team, folder, "--standalone", "--local-addr=127.0.0.1")
    address, port = meeting_place()
    cpus = os.environ.get("SLURM_CPUS_PER_TASK", "1")
    return [
        *("srun", "--overlap", "--mpi=none", "--kill-on-bad-exit=1", "--mem=0", f"--cpus-per-task={cpus}"),
        *(f"--nodes={team.nodes}", f"--ntasks={team.nodes}", "--ntasks-per-node=1", *WORKER, "node"),
        *torchrun(team, folder, f"--rdzv-id={run_id()}", f"--master-addr={address}", f"--master-port={port}"),
    ]


def torchrun(team: Team, folder: Path, *meeting: str) -> list[str]:
    """Return the command that starts the workers of one node. meeting: options that say where the nodes meet."""
    count = [f"--nnodes={team.nodes}", f"--nproc-per-node={team.processes // team.nodes}", "--max-restarts=0"]
    return [sys.executable, "-m", "torch.distributed.run", *count, *meeting, "-m", *WORKER[2:], "rank", str(folder)]


def run_id() -> str:
    """Return a name for the launchers of a SLURM job; after a requeue it is another one."""
    return f"{os.environ['SLURM_JOB_ID']}-{os.environ.get('SLURM_RESTART_COUNT', 0)}"


def meeting_place() -> tuple[str, int]:
    """Return (address, port) on the first node of a SLURM job, where the launchers of all its nodes meet.

    Raises BadInput outside of a SLURM job, SlurmError when scontrol fails.
    """
    if "SLURM_JOB_NODELIST" not in os.environ:
        raise BadInput("several nodes need SLURM (--workflow-profile profiles/slurm); set the recipe's `nodes` to 1")
    first = scheduler.ask("scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]).split()[0]
    node = scheduler.ask("scontrol", "show", "node", first, "--oneliner").split()
    address = next(word.removeprefix("NodeAddr=") for word in node if word.startswith("NodeAddr="))
    return address, free_port(address, int(os.environ["SLURM_JOB_ID"]))


def free_port(address: str, job: int) -> int:
    """Return the first port of PORTS on which nobody listens, beginning at a place that the job's id determines."""
    for step in range(len(PORTS)):
        port = PORTS[(job + step) % len(PORTS)]
        with socket.socket() as probe:
            if probe.connect_ex((address, port)):
                return port
    raise RuntimeError(f"{address}: no port from {PORTS[0]} to {PORTS[-1]} is free")


def run(argv: list[str]) -> int:
    """Run a command and return its exit code. The command ends with this process, even if this process is killed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SRUN_")) or k in SLURM_VARIABLES}
    paths = {"PYTHONPATH": SCRIPTS, "PATH": Path(sys.executable).parent}  # DeepSpeed looks for ninja
    environment |= {
        key: os.pathsep.join(filter(None, [str(path), environment.get(key)])) for key, path in paths.items()
    }
    # with open descriptors: the job's devices stay reserved (job/devices.py) until its last worker has ended
    child = subprocess.Popen([*WORKER, "attached", str(os.getpid()), *argv], env=environment, close_fds=False)
    try:
        return child.wait()
    finally:
        child.terminate()


def refuse_failure(folder: Path, processes: int, exit_code: int) -> None:
    """Raise the first error of a worker, or RuntimeError when one died without an error, or when not every rank ran."""
    errors = sorted(folder.glob("error-*"), key=lambda path: path.stat().st_mtime_ns)
    if errors:
        error, rank = json.loads(errors[0].read_text()), errors[0].name.replace("error-", "rank ")
        if error["type"] == BadInput.__name__:
            raise BadInput(error["message"])
        raise RuntimeError(f"{rank}: {error['type']}: {error['message']}")
    ran = sorted(path.name for path in folder.glob("rank-*"))
    if exit_code:
        raise RuntimeError(
            f"a process was killed (exit {exit_code}, see above); of {processes} these had started: {ran}"
        )
    if set(ran) != {f"rank-{rank}" for rank in range(processes)} or not (folder / "result.json").exists():
        raise RuntimeError(f"the launcher said that all went well, but of {processes} processes these ran: {ran}")
