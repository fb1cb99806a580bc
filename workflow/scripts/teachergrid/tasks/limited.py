"""Checks by other people's code, in a process of its own with limits of time and memory.

A formula of a model can keep a computer algebra system busy for hours, and the library that reads it stops with a signal, which only
the main thread of a process may do. So one process checks after another what it is asked; one that takes too long is ended, and
another goes on with the next item. What is limited is CPU time, so that a busy machine changes no verdict; the time on the clock is
limited to some times of that.
"""

import json
import os
import resource
import select
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import BadInput

SCRIPTS = Path(__file__).parents[__name__.count(".")]  # the folder that holds this package
START = 300.0  # seconds for imports, on a slow file system
CLOCK = 10  # seconds on the clock for each of CPU time
TIME, MEMORY, BROKEN = "time limit", "memory limit", "error"


class Limits(NamedTuple):
    """What one item may take: seconds of CPU time; megabytes of the process that checks."""

    seconds: float
    megabytes: int


class Result(NamedTuple):
    """What became of an item. value: what its check returned; None where it has not, and `failed` says why."""

    value: Any = None
    failed: str | None = None


def results(kind: str, items: Iterable[Any], limits: Limits) -> Iterator[Result]:
    """Yield what became of each item, in their order.

    Args:
        kind: of FUNCTIONS in tasks/worker.py.
        items: each as JSON holds it.
    Raises:
        BadInput: the process cannot begin, as where a package is missing.
    """
    worker = None
    try:
        for item in items:
            worker = worker or _Worker(kind, limits)
            result = worker.ask(item)
            yield result
            if result.failed in (TIME, MEMORY):
                worker.end()
                worker = None
    finally:
        if worker is not None:
            worker.end()


class _Worker:
    """A process that checks. It has begun when it is there."""

    def __init__(self, kind: str, limits: Limits) -> None:
        self.limits = limits
        paths = [str(SCRIPTS), os.environ.get("PYTHONPATH")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONHASHSEED": "0"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "teachergrid.tasks.worker", kind, str(limits.seconds), str(limits.megabytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            # its group is ended as a whole
            start_new_session=True,
        )
        self.rest = b""
        begun = self._line(START)
        if begun is None or "begun" not in (said := json.loads(begun)):
            self.end()
            why = said["failed"] if begun else f"it said nothing within {START:.0f} seconds"
            raise BadInput(f"checker of kind '{kind}': the process that checks did not begin: {why}")

    def ask(self, item: Any) -> Result:
        """Return what became of an item."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(item).encode() + b"\n")
            self.process.stdin.flush()
            line = self._line(CLOCK * self.limits.seconds + 10)
        except BrokenPipeError:
            line = None
        if line is not None:
            return Result(**json.loads(line))
        return Result(failed=self._why_ended())

    def _why_ended(self) -> str:
        """Return which limit a process has met that said nothing."""
        try:
            code = self.process.wait(1)
        except subprocess.TimeoutExpired:
            return TIME
        return MEMORY if code not in (-24, -9) else TIME  # SIGXCPU, SIGKILL

    def _line(self, seconds: float) -> bytes | None:
        """Return the next line of the process; None where it ends, or says nothing for so long."""
        assert self.process.stdout is not None
        stream = self.process.stdout.fileno()
        while b"\n" not in self.rest:
            ready, _, _ = select.select([stream], [], [], seconds)
            data = os.read(stream, 65536) if ready else b""
            if not data:
                return None
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        return line

    def end(self) -> None:
        """End the process and wait for it."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        self.process.kill()
        self.process.wait()


def limit_cpu(seconds: float) -> None:
    """Let this process use so many seconds of CPU time from now on; then the kernel ends it."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    # the kernel counts whole seconds
    soft = int(usage.ru_utime + usage.ru_stime + seconds + 1)
    resource.setrlimit(resource.RLIMIT_CPU, (soft if most == resource.RLIM_INFINITY else min(soft, most), most))


def limit_memory(megabytes: int) -> None:
    """Let this process have so much memory more than it has now. What it asks beyond that is refused."""
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    wanted = now + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))
