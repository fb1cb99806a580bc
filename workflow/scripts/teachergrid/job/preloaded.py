"""A process of a local run that has torch and transformers imported. Each job that loads a model is a fork of it.

These imports take seconds, often longer than the work of a tiny model. Snakemake calls job/stand_in.py in the place of Python,
which asks here for a fork and ends as the fork ends. The fork has the stand-in's environment, folder and output. Where nobody
answers, the stand-in becomes Python itself.

    Snakemake, its shell, stand_in.py  - - asks - ->  server, attendant, job

A job dies with its attendant, this one with the server, and the server with Snakemake. An attendant whose stand-in has died kills its
job. The libraries are imported when the first job asks.
"""

import ctypes
import gc
import importlib
import importlib.util
import json
import os
import runpy
import secrets
import select
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from . import devices, imports

WANTED = "TEACHERGRID_PRELOAD"  # in the environment of Snakemake: a run on this machine asks for a server
SOCKET = "TEACHERGRID_PRELOADED"  # names its socket
LIBRARIES = (
    "teachergrid.models.loading",  # first: it sets what libraries read from the environment
    "pyarrow.parquet",
    "torch",
    "transformers.models.auto.modeling_auto",
    "transformers.generation.utils",
)
PR_SET_PDEATHSIG = 1


def start() -> None:
    """Start a server that lives as long as this process, where one is wanted, and name its socket in the environment.

    On machines with GPUs, and with vLLM, there is none: CUDA and vLLM's processes want a fresh process, and jobs there take minutes.
    """
    wanted = os.environ.pop(WANTED, None)
    os.environ.pop(SOCKET, None)
    if not wanted or devices.known() or importlib.util.find_spec("vllm"):
        return
    name = f"teachergrid-{secrets.token_hex(16)}"
    lifeline, _kept = os.pipe()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"\0{name}")
        listening.listen(64)
        command = [sys.executable, "-m", __name__, str(listening.fileno()), str(lifeline)]
        one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[listening.fileno(), lifeline], env=one_thread)
    os.close(lifeline)
    os.environ[SOCKET] = name


def serve(listening: socket.socket, lifeline: int) -> dict[str, Any] | None:
    """Fork for each stand-in that asks.

    Return in the fork, the job's process, what was asked for; in the server None, when the other end of `lifeline` is closed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the jobs, too
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for attendants
    while lifeline not in select.select([listening, lifeline], [], [])[0]:
        preload()
        asking, _ = listening.accept()
        server = os.getpid()
        if os.fork() == 0:
            listening.close()
            os.close(lifeline)
            die_with(server)
            return attend(asking)
        asking.close()
    return None


def preload() -> None:
    """Import the libraries, once."""
    if "torch" not in sys.modules:
        imports.spare(loads_model=True)
        for library in LIBRARIES:
            importlib.import_module(library)
        gc.collect()
        gc.freeze()  # the forks share this memory as long as nobody writes into it


def attend(asking: socket.socket) -> dict[str, Any]:
    """Fork the job, and tell the stand-in how it ended. Only the job's process returns: with what the stand-in asks for."""
    _, user, _ = struct.unpack("3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if user != os.getuid():
        os._exit(1)
    head, files, *_ = socket.recv_fds(asking, 8, 3, socket.MSG_WAITALL)
    request = json.loads(asking.recv(struct.unpack("Q", head)[0], socket.MSG_WAITALL))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    attendant, job = os.getpid(), os.fork()
    if job == 0:
        asking.close()
        die_with(attendant)
        return {**request, "files": files}
    asking.send(b"+")  # it has begun
    ended = os.pidfd_open(job)
    if ended not in select.select([ended, asking], [], [])[0]:
        os.kill(job, signal.SIGKILL)
    asking.send(struct.pack("i", os.waitpid(job, 0)[1]))
    os._exit(0)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def become(request: dict[str, Any]) -> None:
    """Make this process what Python would be in the place of the stand-in: arguments, output, folder, environment, signals."""
    for number, file in enumerate(request["files"]):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # as any job, this one reads the workflow's own code when it starts
    for name in [name for name in sys.modules if name.partition(".")[0] == "teachergrid"]:
        del sys.modules[name]
    sys.argv[:], sys.path[0] = [request["script"]], str(Path(request["script"]).parent)


def main(listening: str, lifeline: str) -> None:
    """Serve, and run the script in each fork. Both arguments are numbers of file descriptors."""
    if request := serve(socket.socket(fileno=int(listening)), int(lifeline)):
        become(request)
        runpy.run_path(request["script"], run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
