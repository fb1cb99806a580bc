"""What runs in the processes that `launch` starts: one worker per GPU, and in front of each launcher a tie to the job.

python -m teachergrid.worker rank FOLDER | tied PARENT COMMAND... | node COMMAND...
"""

import ctypes
import json
import os
import signal
import socket
import sys
from contextlib import contextmanager
from pathlib import Path

from . import origin

_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def tie(parent: int, end_by: int) -> None:
    """Let the kernel send this process a signal when its parent ends, however that ends."""
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, end_by)
    if os.getppid() != parent:
        sys.exit(f"process {parent}, which started this one, has ended")


def work(folder: Path) -> None:
    """Train as one rank of the team whose settings lie in the folder.

    Raises RuntimeError when the launcher started fewer processes than asked for, FileExistsError when it started this
    rank twice.
    """
    tie(os.getppid(), signal.SIGKILL)
    settings = json.loads((folder / "settings.json").read_text())
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    with reported(folder / f"error-{rank}"):
        if size != settings["processes"]:
            raise RuntimeError(f"{size} processes were started, {settings['processes']} were asked for")
        with (folder / f"rank-{rank}").open("x") as file:
            node = os.environ.get("SLURMD_NODENAME", socket.gethostname())
            json.dump({"node": node, "pid": os.getpid()}, file)
        if rank:
            # what all ranks would print, one does
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        refuse_shared_device()
        from . import sft

        for key in ("work", "deepspeed"):
            settings[key] = settings[key] and Path(settings[key])
        final, facts, log = sft.train(**settings)
        if rank == 0:
            origin.replace_text(folder / "result.json", json.dumps({"final": str(final), "facts": facts, "log": log}))
        sft.torch.distributed.destroy_process_group()


def refuse_shared_device() -> None:
    """Raise RuntimeError when two processes of this node would meet on a GPU."""
    import torch

    seen, processes = torch.cuda.device_count(), int(os.environ["LOCAL_WORLD_SIZE"])
    if 0 < seen < processes:
        raise RuntimeError(f"{socket.gethostname()} shows {seen} GPUs to {processes} processes")


@contextmanager
def reported(path: Path):
    """Write an error where the job finds it, and let it go on."""
    try:
        yield
    except Exception as error:
        origin.replace_text(path, json.dumps({"type": type(error).__name__, "message": str(error)}))
        raise


def main(what: str, *given: str) -> None:
    if what == "rank":
        work(Path(*given))
    elif what == "tied":
        parent, *command = given
        # SIGTERM, so that torchrun ends its workers and srun its step
        tie(int(parent), signal.SIGTERM)
        os.execvp(command[0], command)
    else:
        # read by torchrun; only SLURM knows which of its nodes this is
        os.environ["PET_NODE_RANK"] = os.environ["SLURM_NODEID"]
        os.execvp(given[0], given)


if __name__ == "__main__":
    main(*sys.argv[1:])
