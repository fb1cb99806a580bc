"""The proof that a guard holds on this machine: attacks that succeed without it, and fail under it.

Each is tried without the guard first. One that fails there too proves nothing: it may have failed because a module is missing.
The attacks are harmless: they read and write a file made for them, reach a socket of this process, ask whether a process exists,
start a process that ends at once, and ask for memory that they do not use.
"""

import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from . import bubblewrap, processes
from .processes import Limits, Program

ENOUGH = 4  # attacks that have to succeed without the guard: a container may refuse some of them itself
ATTACKS = """
import os, socket

def read(secret, folder, address, process, megabytes):
    open(secret).read()

def write(secret, folder, address, process, megabytes):
    open(f"{folder}/{os.getpid()}", "w").close()

def connect(secret, folder, address, process, megabytes):
    socket.socket(socket.AF_UNIX).connect("\\0" + address)

def signal(secret, folder, address, process, megabytes):
    os.kill(process, 0)

def fork(secret, folder, address, process, megabytes):
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)

def memory(secret, folder, address, process, megabytes):
    bytearray(megabytes << 20)

def succeeded(action, targets):
    try:
        action(*targets)
    except (OSError, MemoryError):
        return False
    return True

def attack(*targets):
    return {action.__name__: succeeded(action, targets) for action in (read, write, connect, signal, fork, memory)}
"""
DEEDS = {
    "read": "read a file",
    "write": "write a file",
    "connect": "reach a socket",
    "signal": "reach another process",
    "fork": "start a process",
    "memory": "use more memory than it may",
}
Targets = list[str | int]  # the arguments of the attacks


@cache
def gap(level: str) -> str | None:
    """Return why a level of processes.LEVELS does not hold on this machine, None where it holds. Proved once a process."""
    try:
        with _targets() as targets:
            free = _without_guard(targets)
            outcome = processes.run(Program((ATTACKS,), ("attack", targets)), Limits(), level)
    except processes.Refused as error:
        return str(error).removeprefix(f"{processes.NO_GUARD}: ")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"it cannot be proved: {error}"
    if outcome.kind != "passed":
        return f"its proof failed: {outcome.reason}"
    if deeds := [DEEDS[name] for name, done in outcome.value.items() if done]:
        return f"a program could {' and '.join(deeds)}"
    if sum(free.values()) < ENOUGH:
        refused = ", ".join(DEEDS[name] for name, done in free.items() if not done)
        return f"nothing is proved: without a guard, too, a program cannot {refused}"
    return None


def _without_guard(targets: Targets) -> dict[str, bool]:
    program = f"{ATTACKS}\nimport json, sys\nprint(json.dumps(attack(*json.loads(sys.argv[1]))))"
    command = [bubblewrap.python(), "-I", "-S", "-B", "-c", program, json.dumps(targets)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=processes.START, check=True, env={})
    return json.loads(ended.stdout)


@contextmanager
def _targets() -> Iterator[Targets]:
    """Make what the attacks reach for, open to every user: the guard has to keep them off, and not the rights of files."""
    with tempfile.TemporaryDirectory(prefix="teachergrid-proof-") as folder, socket.socket(socket.AF_UNIX) as listener:
        secret, writable = Path(folder, "secret"), Path(folder, "writable")
        secret.write_text("secret")
        writable.mkdir()
        for path, rights in ((Path(folder), 0o755), (secret, 0o644), (writable, 0o777)):
            path.chmod(rights)
        address = f"teachergrid-{os.urandom(8).hex()}"
        listener.bind(f"\0{address}")
        listener.listen()
        yield [str(secret), str(writable), address, os.getpid(), Limits().megabytes + 64]
