"""One guarded process for one program: how it starts, what it may use, and how it ended.

A process reports by words that only it and this one know: one once all its guards hold, another, random, once the program came to
its end. So an exit status says nothing about a program, and a process without the first word is a guard that did not start:
no program ran, and nothing is known about it.
"""

import fcntl
import json
import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..errors import BadInput
from ..units import visible
from . import bubblewrap, calls, guards

BUBBLEWRAP, LANDLOCK = "bubblewrap", "landlock"
LEVELS = (BUBBLEWRAP, LANDLOCK)  # the better one first
NO_GUARD = "no guard for programs of models"  # begins messages; job.failures knows it
WALL = (
    10  # seconds on the clock for each second of CPU time: a busy machine changes no outcome; only who sleeps meets it
)
START = 60.0  # seconds for a guard to start
TRIES = 2
# the seed of hashes makes the order of sets the same always; the program itself sees no variable
ENVIRONMENT = {"PYTHONHASHSEED": "0"}
GUARD = str(Path(guards.__file__).resolve())
# user ids that no system gives to anybody (systemd's list leaves them out), so that two jobs seldom meet under one
USERS = range(60600, 61100)

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL

Kind = Literal["passed", "failed", "error", "timeout", "memory", "output"]
KINDS: tuple[Kind, ...] = ("passed", "failed", "error", "timeout", "memory", "output")


class Limits(NamedTuple):
    """What a program may use. seconds: of CPU time, WALL times as many on the clock. megabytes: of memory, all that it maps
    counted. output: bytes of what it returns. descriptors: open files at once."""

    seconds: float = 10
    megabytes: int = 512
    output: int = 65536
    descriptors: int = 64


class Outcome(NamedTuple):
    """How a program ended. seconds: on the clock. value: what the called function returned.

    kind: passed (it came to its end), failed (an assertion did), error (any other exception, or it ended itself), timeout, memory,
    output (it returned too much). reason: None where it passed; in words of the program, made visible.
    """

    kind: Kind
    reason: str | None
    seconds: float
    value: Any = None


class Program(NamedTuple):
    """What to run: parts that run one after the other and share their names, then maybe a call of a function."""

    parts: tuple[str, ...]
    call: tuple[str, list[Any]] | None = None


class Refused(BadInput):
    """No guard holds, or it did not start: programs of models are not run without one."""


def run(program: Program, limits: Limits, level: str) -> Outcome:
    """Return how a program ends under the guard of a level.

    Raises:
        Refused: when the guard did not start, or was ended from outside, twice.
    """
    why = ""
    for _ in range(TRIES):
        started, ended = time.monotonic(), _Process(program, limits, level).end()
        if isinstance(ended, str):
            why = ended
            continue
        return ended._replace(seconds=time.monotonic() - started)
    raise Refused(f"{NO_GUARD}: {level} did not start: {why}")


def arguments(level: str) -> list[str]:
    """Return the command of a guarded process.

    Raises:
        Refused: when there is no bubblewrap.
    """
    # without the site's packages, the user's, and the program's folder
    python = [bubblewrap.python(), "-s", "-S", "-P", "-B", GUARD]
    if level == LANDLOCK:
        return python
    if (path := bubblewrap.binary()) is None:
        raise Refused(f"{NO_GUARD}: it is not installed")
    return [
        *bubblewrap.command(path, GUARD),
        *[word for pair in ENVIRONMENT.items() for word in ("--setenv", *pair)],
        *python,
    ]


def job(program: Program, limits: Limits, level: str, begun: str) -> guards.Job:
    """Return what the process reads.

    Raises:
        Refused: when the inner guard would be alone, and not whole.
    """
    within, code = level == BUBBLEWRAP, calls.packed()
    if not within and code is None:
        raise Refused(f"{NO_GUARD}: there is no list of the calls to the kernel for {os.uname().machine}")
    seconds = max(1, round(limits.seconds))
    folders = [*bubblewrap.LIBRARIES, *bubblewrap.CLOCKS, *bubblewrap.DEVICES, *bubblewrap.python_folders()]
    return {
        "begun": begun,
        "user": USERS[os.getpid() % len(USERS)] if os.geteuid() == 0 else None,
        # the last one counts what a user has running, and is checked where a process starts another
        "limits": {
            "AS": limits.megabytes << 20,
            "CPU": seconds,
            "FSIZE": 0,
            "NOFILE": limits.descriptors,
            "CORE": 0,
            "NPROC": 1,
        },
        "readable": folders,
        "library": bubblewrap.library(),
        "landlock": not within or guards.landlock_version() > 0,
        "filter": code.hex() if code else None,
        "parts": [*program.parts],
        "call": program.call,
    }


class _Process:
    """A process under its guard."""

    def __init__(self, program: Program, limits: Limits, level: str) -> None:
        self.limits, self.level, self.ran = limits, level, 0.0  # seconds on the clock
        self.begun, self.word = os.urandom(guards.WORD // 2).hex(), os.urandom(guards.WORD // 2).hex()
        payload = json.dumps(job(program, limits, level, self.begun)).encode()
        source, self.errors = _file(f"{len(payload):{guards.WORD}}".encode() + payload + self.word.encode()), _file()
        try:
            self.process = subprocess.Popen(
                arguments(level),
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        finally:
            os.close(source)
        assert self.process.stdout is not None
        self.pipe = self.process.stdout

    def end(self) -> Outcome | str:
        """Wait for the end and return the outcome, or why there is none."""
        try:
            report, stopped = self.read()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.pipe.close()
            text = os.pread(self.errors, 4096, 0).decode(errors="replace")
            os.close(self.errors)
        if not report.startswith(self.begun.encode()):
            said = report.decode(errors="replace") or text.strip() or f"exit status {self.process.returncode}"
            return visible(said.strip().split("\n")[-1])[: guards.WHY]
        if stopped:
            return Outcome(stopped, self.over(stopped), 0)
        return self.reported(report[len(self.begun) :])

    def read(self) -> tuple[bytes, Kind | None]:
        """Return the report, and which limit ended it before its end."""
        report, began = b"", time.monotonic()
        deadline, begun = began + START, False
        ready = select.poll()
        ready.register(self.pipe.fileno(), select.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            if not ready.poll(left * 1000):
                break
            block = os.read(self.pipe.fileno(), 65536)
            report += block
            if not block:
                # it has ended, or only closed its descriptors
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(max(0.01, deadline - time.monotonic()))
                    self.ran = time.monotonic() - began
                    return report, None
            if len(report) > self.limits.output + 4 * guards.WHY:
                return report, "output"
            if not begun and len(report) >= guards.WORD:
                begun, began = True, time.monotonic()
                deadline = began + WALL * self.limits.seconds
        return report, "timeout"

    def reported(self, said: bytes) -> Outcome | str:
        """Return the outcome by what the process says after it began."""
        word, status = self.word.encode(), self.process.returncode
        with suppress(ValueError, RecursionError):
            if said.startswith(word) and status == 0:
                value = json.loads(said[len(word) :])
                if len(said) - len(word) > self.limits.output:
                    return Outcome("output", self.over("output"), 0)
                return Outcome("passed", None, 0, value)
            ended = json.loads(said)
            if ended["kind"] in ("failed", "error", "memory"):
                return Outcome(ended["kind"], visible(str(ended["reason"]))[: guards.WHY], 0)
        # bubblewrap makes a signal of the program an exit status, as shells do
        number = -status if status < 0 else status - 128 if self.level == BUBBLEWRAP and status > 128 else 0
        if number == signal.SIGXCPU or (number == signal.SIGKILL and self.ran >= self.limits.seconds):
            return Outcome("timeout", self.over("timeout"), 0)
        if number == signal.SIGKILL:
            return "the kernel or somebody else killed it"
        if number in {*signal.Signals}:
            return Outcome("error", f"it ended by {signal.Signals(number).name}", 0)
        return Outcome("error", f"it ended itself with exit status {status}", 0)

    def over(self, kind: Kind) -> str:
        """Return the limit in words."""
        seconds, megabytes, output, _ = self.limits
        return {"timeout": f"longer than {seconds:g} s", "memory": f"more than {megabytes} MB"}.get(
            kind, f"it returned more than {output} bytes"
        )


def _file(content: bytes = b"") -> int:
    """Return a descriptor of a file in memory that holds this, at its beginning."""
    descriptor = os.memfd_create("program", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    if content:
        left = content
        while left:
            left = left[os.write(descriptor, left) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        # nobody can write to it any more, and fill the memory that way
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return descriptor
