"""The program that `launch` starts: as the worker of one GPU, or in front of a launcher, which ends with the job.

python -m teachergrid.training.worker rank FOLDER | attached PARENT COMMAND... | node COMMAND...
"""

import ctypes
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..models import imports
from ..store import origin

_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def attach_to_parent(parent: int, signal_number: int) -> None:
    """Let the kernel send this process a signal when its parent ends, even by kill -9. parent: its process id."""
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal_number)
    if os.getppid() != parent:
        sys.exit(f"process {parent}, which started this one, has ended")


def work(folder: Path) -> None:
    """Train as one rank of a team. folder: has settings.json, as `launch.train` writes it; results and errors go there.

    Raises:
        RuntimeError: when the launcher started fewer processes than the settings say.
        FileExistsError: when it started this rank twice.
    """
    attach_to_parent(os.getppid(), signal.SIGKILL)
    settings = json.loads((folder / "settings.json").read_text())
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    with reported(folder / f"error-{rank}"):
        if size != settings["processes"]:
            raise RuntimeError(f"{size} processes were started, {settings['processes']} were asked for")
        with (folder / f"rank-{rank}").open("x") as file:
            node = os.environ.get("SLURMD_NODENAME", socket.gethostname())
            json.dump({"node": node, "pid": os.getpid()}, file)
        if rank:
            # only rank 0 prints
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        refuse_shared_device()
        imports.spare(loads_model=True)
        from . import sft
        from .training import Training

        training = Training(**settings["training"] | {"work": Path(settings["training"]["work"])})
        deepspeed = settings["deepspeed"] and Path(settings["deepspeed"])
        trained = sft.train(training, settings["processes"], deepspeed)
        if rank == 0:
            result = trained._asdict() | {"final": str(trained.final)}
            origin.replace_text(folder / "result.json", json.dumps(result))
        sft.torch.distributed.destroy_process_group()


def refuse_shared_device() -> None:
    """Raise RuntimeError when two processes of this node would have to share a GPU."""
    import torch

    gpus, processes = torch.cuda.device_count(), int(os.environ["LOCAL_WORLD_SIZE"])
    if 0 < gpus < processes:
        raise RuntimeError(f"{socket.gethostname()} shows {gpus} GPUs to {processes} processes")


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Write an error of the block to a file, where the job finds it, and raise it again."""
    try:
        yield
    except Exception as error:
        origin.replace_text(path, json.dumps({"type": type(error).__name__, "message": str(error)}))
        raise


def main(role: str, *args: str) -> None:
    """Run a role of the command line above."""
    if role == "rank":
        work(Path(*args))
    elif role == "attached":
        parent, *command = args
        # SIGTERM, so that torchrun ends its workers and srun its step
        attach_to_parent(int(parent), signal.SIGTERM)
        os.execvp(command[0], command)
    else:
        # read by torchrun; only SLURM knows which of its nodes this is
        os.environ["PET_NODE_RANK"] = os.environ["SLURM_NODEID"]
        os.execvp(args[0], args)


if __name__ == "__main__":
    main(*sys.argv[1:])
