"""Supervise one Snakemake process until it ends: its output goes to the log, its events to a Progress.

Snakemake runs in a session of its own. So Ctrl-C and a closed terminal reach this process only, which decides what to do. When
this process dies, Snakemake and its local jobs die with it (see progress.die_with).

Faults of the SLURM plugin (2.8.0) and of Snakemake (9.27.1), and what handles them:

| fault | handled by |
|---|---|
| a cancelled job is waited for for ever (status by sacct) | profile: `slurm-status-command: squeue` |
| a preempted job of a CANCEL partition, or one that is gone, is waited for for ever | `plugin`; Watchdog |
| a cancelled job is tried again with twice the memory and time | `plugin`: it has failed |
| sbatch cannot reach the controller: a try is used up | `plugin`: the job waits for the controller |
| failed status queries in a row: the active jobs are forgotten, the run hangs | profile: `slurm-status-attempts`; `plugin`; Watchdog |
| node failure seen by sacct: submitted again while SLURM requeues the job | profile: squeue, `slurm-requeue` |
| after it every sbatch has `--exclude=None assigned` | the same; else these cells fail, and the next run makes them |
| Ctrl-C during a status query cancels nothing: the list of jobs is empty then | `run.settle` cancels what is left |
| the end, and Ctrl-C, are followed by up to 180 s of sleep and 60 s of a timer | `plugin`; `Supervision`: ended when no job is alive |
| SIGTERM waits for all running jobs | treated as Ctrl-C |
| kill -9: the jobs go on, a new run submits them again | `preflight.guard` |
| job arrays, groups | not used |
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import FrameType
from typing import IO, TYPE_CHECKING, BinaryIO

from ..slurm import scheduler
from ..slurm.patience import Patience
from ..store import disk
from ..units import visible
from .heartbeat import Heartbeat
from .progress import Progress

if TYPE_CHECKING:
    from .spend_limit import Bound

ENDED, HUNG, STOPPED, DETACHED = "ended", "hung", "stopped", "detached"  # how Snakemake ended
READ_S = 0.2
LOOK_S = 10  # between two calls of squeue while Snakemake ends
STOP_S = 240  # longer than the plugin's longest sleep, 180 s


class Log:
    """results/logs/run.log: all messages of Snakemake and of the run, each line with its time.

    file: opened binary and unbuffered: a buffer that a full disk refuses would be written again, and fail, at the close.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def write(self, text: str) -> None:
        # a full disk must not end the run that the jobs depend on; the terminal still shows all messages
        with disk.spared():
            for line in text.split("\n"):
                self.file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {visible(line)}\n".encode())

    def say(self, line: str) -> None:
        self.write(line)
        tell(line)


def tell(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {visible(line)}", file=sys.stderr, flush=True)


class Signals:
    """Counts Ctrl-C and SIGTERM while its context is entered. A closed terminal ends nothing: the run goes on without it."""

    def __init__(self) -> None:
        self.received = self.handled = 0

    def __enter__(self) -> "Signals":
        self.before = {number: signal.signal(number, self.stop) for number in (signal.SIGINT, signal.SIGTERM)}
        self.before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self.closed)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def stop(self, *_: int | FrameType | None) -> None:
        self.received += 1

    def take(self) -> bool:
        """Return whether a signal is left to be handled, and count it as handled; two at once are two."""
        if self.handled == self.received:
            return False
        self.handled += 1
        return True

    def idle(self, seconds: float) -> bool:
        """Sleep until the time is over or a signal comes. Return whether none came."""
        end = time.monotonic() + seconds
        while self.handled == self.received and time.monotonic() < end:
            time.sleep(0.2)
        return not self.take()

    def closed(self, *_: int | FrameType | None) -> None:
        """Go on without the terminal: send output to /dev/null, since the log has all messages."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2):
            if os.isatty(descriptor) or not _writable(descriptor):
                os.dup2(nowhere, descriptor)


def input_of(forced: Iterable[str]) -> IO[bytes]:
    """Return an open file, the standard input of `main`. forced: the files to force, in place of what -R, -f and -F say.

    A profile may say it, too, and a command line has no room for thousands of files.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115 (the process that reads it keeps it open)
    file.write(json.dumps(sorted(forced)).encode())
    file.seek(0)
    return file


class Snakemake:
    """A running Snakemake.

    on_line: called with each line that it prints. progress: gets its events. forced: see input_of; None: as argv says.
    """

    def __init__(
        self, argv: list[str], on_line: Callable[[str], None], progress: Progress, forced: Iterable[str] | None = None
    ) -> None:
        events, events_end = os.pipe()
        lifeline_end, self.lifeline = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "teachergrid.run.progress", str(events_end), str(lifeline_end), *argv],
            stdin=subprocess.DEVNULL if forced is None else input_of(forced),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[events_end, lifeline_end],
            start_new_session=True,
        )
        os.close(events_end)
        os.close(lifeline_end)
        assert self.process.stdout is not None  # a pipe
        self.output = self.process.stdout
        self.events = os.fdopen(events, "rb", buffering=0)
        self.pipes = selectors.DefaultSelector()
        self.pipes.register(self.events, selectors.EVENT_READ, lambda line: progress.take(json.loads(line)))
        self.pipes.register(self.output, selectors.EVENT_READ, on_line)
        self.rest = {self.events.fileno(): b"", self.output.fileno(): b""}

    def read(self, seconds: float) -> None:
        """Pass on output and events that come within some seconds."""
        for key, _ in self.pipes.select(seconds):
            data = os.read(key.fd, 65536)
            *lines, self.rest[key.fd] = (self.rest[key.fd] + data).split(b"\n")
            for line in lines:
                key.data(line.decode(errors="replace"))
            if not data:
                self.pipes.unregister(key.fileobj)

    def running(self) -> bool:
        """Whether it runs, or there is output left to read.

        The process of progress.die_with keeps the output open, so there is no end of file to wait for.
        """
        return self.process.poll() is None or bool(self.pipes.select(0))

    def close(self) -> int:
        """End all that is left of it, and return its exit code."""
        os.close(self.lifeline)
        self.pipes.close()
        self.events.close()
        self.output.close()
        return self.process.wait()

    def tell(self, number: int) -> None:
        """Send a signal to Snakemake and its local jobs. Jobs on a cluster are not in its session."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)


class Watchdog:
    """Compares what Snakemake waits for with squeue. folder: from which the cluster's jobs were submitted."""

    def __init__(self, folder: str, progress: Progress, patience: Patience) -> None:
        self.folder, self.progress, self.patience = folder, progress, patience
        self.alive = self.looked = time.monotonic()

    def hung(self) -> bool:
        """Whether Snakemake waits for jobs on the cluster although none has been alive for a long time."""
        now = time.monotonic()
        if now - self.looked < self.patience.watch:
            return False
        self.looked = now
        # without an answer assume that jobs are alive: they survive while the controller is away
        if not self.progress.awaits_cluster() or scheduler.live(self.folder) != []:
            self.alive = time.monotonic()
        return now - max(self.alive, self.progress.last) > self.patience.hang

    def over(self, signalled_at: float) -> bool:
        """Whether a Snakemake that got a signal to end only sleeps now. signalled_at: when it got the signal."""
        now = time.monotonic()
        if now - max(signalled_at, self.looked) < LOOK_S:
            return False
        self.looked = now
        return now - signalled_at > STOP_S or scheduler.live(self.folder) == []


@dataclass
class Context:
    """What all starts of Snakemake in one run share.

    folder: from which the cluster's jobs are submitted; None where all jobs are local, so that Ctrl-C needs no grace.
    bound: the budget, if there is one.
    """

    log: Log
    signals: Signals
    folder: str | None
    patience: Patience
    bound: "Bound | None" = None


class Supervision:
    """Follows one Snakemake process to its end. how: ENDED, HUNG, STOPPED or DETACHED (from its jobs), as known so far.

    The steps to a stop: Ctrl-C comes (interrupted_at), the grace for a second one passes, Snakemake gets a signal (signalled_at).
    """

    def __init__(self, snakemake: Snakemake, progress: Progress, context: Context) -> None:
        self.snakemake, self.progress, self.signals = snakemake, progress, context.signals
        self.watchdog = Watchdog(context.folder, progress, context.patience) if context.folder else None
        self.grace = context.patience.grace if context.folder else 0
        self.heartbeat = Heartbeat(progress)
        self.how = ENDED
        self.interrupted_at: float | None = None  # when Ctrl-C came
        self.signalled_at: float | None = None  # when Snakemake got a signal

    def follow(self) -> str:
        """Wait until Snakemake ends, and return how it ended."""
        while self.snakemake.running():
            self.snakemake.read(READ_S)
            self.step(time.monotonic())
        return self.how

    def step(self, now: float) -> None:
        self.heartbeat.step(now)
        if self.signals.take():
            self.on_signal(now)
        elif self.signalled_at is not None:
            if self.watchdog and self.watchdog.over(self.signalled_at):
                self.snakemake.tell(signal.SIGKILL)
        elif self.interrupted_at is not None:
            if now - self.interrupted_at >= self.grace:
                self.end(STOPPED, "stopping", now)
        elif self.watchdog and self.watchdog.hung():
            self.end(HUNG, "no job is alive and Snakemake waits: ending it", now)

    def on_signal(self, now: float) -> None:
        """Begin to stop at the first Ctrl-C. The second one kills Snakemake; within the grace it leaves the cluster's jobs running."""
        self.progress.stopping = True
        if self.interrupted_at is None:
            self.interrupted_at = now
            if self.grace:
                self.progress.say(
                    f"the cluster's jobs are cancelled in {self.grace:.0f} s; Ctrl-C again leaves them running"
                )
        else:
            if self.signalled_at is None:
                # without a cluster no job outlives Snakemake
                self.how, self.signalled_at = DETACHED if self.watchdog else STOPPED, now
            self.snakemake.tell(signal.SIGKILL)
        if self.how == HUNG:
            self.how = STOPPED

    def end(self, how: str, why: str, now: float) -> None:
        self.how, self.signalled_at = how, now
        self.progress.say(why)
        self.snakemake.tell(signal.SIGINT)


def _writable(descriptor: int) -> bool:
    try:
        os.write(descriptor, b"")
    except OSError:
        return False
    return True
