"""One Snakemake process, watched until it ends: its output to the log, its events to a Progress, signals to the right place.

Snakemake runs in a session of its own. So a Ctrl-C and a closed terminal reach this process only, which decides what
becomes of them. When this process dies, Snakemake and its local jobs die with it (see progress.die_with).

What the SLURM plugin (2.8.0) does wrong, and who sees to it:

| fault | seen to by |
|---|---|
| a cancelled job is waited for for ever (status by sacct) | profile: `slurm-status-command: squeue` |
| a preempted job of a CANCEL partition is waited for for ever | Watchdog |
| failed status queries in a row: the active jobs are forgotten, the run hangs | profile: `slurm-status-attempts`; Watchdog |
| node failure seen by sacct: submitted again while SLURM requeues the job | profile: squeue, `slurm-requeue` |
| after it every sbatch has `--exclude=None assigned` | the same; else these cells fail, and the next run makes them |
| Ctrl-C during a status query cancels nothing: the list of jobs is empty then | `run.settle` cancels what is left |
| Ctrl-C is followed by up to 180 s of sleep | `Supervision`: ended at once when no job is alive |
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
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from ..slurm import scheduler
from ..store import disk
from .progress import Progress

if TYPE_CHECKING:
    from .spend_limit import Bound

ENDED, HUNG, STOPPED, DETACHED = "ended", "hung", "stopped", "detached"  # how Snakemake came to its end
READ_S = 0.2
LOOK_S = 10  # between two looks at squeue while Snakemake ends
STOP_S = 240  # longer than the plugin's longest sleep, 180 s


class Patience(NamedTuple):
    """How long to wait, in seconds; each is set by the environment variable TEACHERGRID_{NAME}."""

    watch: float = 60  # between two looks at squeue
    # with no job alive, before a run counts as hung: longer than the plugin's longest sleep (180 s) and the wait for files
    # on a shared file system (60 s)
    hang: float = 600
    grace: float = 5  # after Ctrl-C, for a second one, before the cluster's jobs are cancelled
    refused: float = 60  # before jobs are submitted again that sbatch did not take
    gone: float = 120  # for cancelled jobs to leave squeue (KillWait is 30 s by default)

    @classmethod
    def of_environment(cls) -> "Patience":
        return cls(
            *(
                float(os.environ.get(f"TEACHERGRID_{name.upper()}") or default)
                for name, default in cls._field_defaults.items()
            )
        )


class Log:
    """results/logs/run.log: all that Snakemake and we say, each line with its time.

    file: binary and unbuffered, since what a full disk refuses would be tried again, and fail, when it is closed.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def write(self, text: str) -> None:
        # a full disk must not end the run that the jobs depend on; the terminal still says it all
        with disk.spared():
            for line in text.split("\n"):
                self.file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n".encode())

    def say(self, line: str) -> None:
        self.write(line)
        tell(line)


def tell(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


class Signals:
    """Counts Ctrl-C and SIGTERM while it is entered. A closed terminal ends nothing: the run goes on without it."""

    def __init__(self) -> None:
        self.came = self.taken = 0

    def __enter__(self) -> "Signals":
        self.before = {number: signal.signal(number, self.stop) for number in (signal.SIGINT, signal.SIGTERM)}
        self.before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self.closed)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def stop(self, *_: int | FrameType | None) -> None:
        self.came += 1

    def take(self) -> bool:
        """Return whether one came since the last call; two at once are two."""
        if self.taken == self.came:
            return False
        self.taken += 1
        return True

    def idle(self, seconds: float) -> bool:
        """Sleep; return whether nothing came in between."""
        end = time.monotonic() + seconds
        while self.taken == self.came and time.monotonic() < end:
            time.sleep(0.2)
        return not self.take()

    def closed(self, *_: int | FrameType | None) -> None:
        """Go on without the terminal, to which nothing can be written any more; the log has it all."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2):
            if os.isatty(descriptor) or not _writable(descriptor):
                os.dup2(nowhere, descriptor)


class Snakemake:
    """A running Snakemake.

    words: called with each line that it prints; progress: gets what it does.
    """

    def __init__(self, argv: list[str], words: Callable[[str], None], progress: Progress) -> None:
        events, events_end = os.pipe()
        lifeline_end, self.lifeline = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "teachergrid.run.progress", str(events_end), str(lifeline_end), *argv],
            stdin=subprocess.DEVNULL,
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
        self.pipes.register(self.output, selectors.EVENT_READ, words)
        self.rest = {self.events.fileno(): b"", self.output.fileno(): b""}

    def read(self, seconds: float) -> None:
        """Pass on what comes within some seconds."""
        for key, _ in self.pipes.select(seconds):
            data = os.read(key.fd, 65536)
            *lines, self.rest[key.fd] = (self.rest[key.fd] + data).split(b"\n")
            for line in lines:
                key.data(line.decode(errors="replace"))
            if not data:
                self.pipes.unregister(key.fileobj)

    def running(self) -> bool:
        """Whether it runs, or has words left. Its guardian keeps the output open, so an end of file does not tell."""
        return self.process.poll() is None or bool(self.pipes.select(0))

    def close(self) -> int:
        """End what is left of it, and return its exit code."""
        os.close(self.lifeline)
        self.pipes.close()
        self.events.close()
        self.output.close()
        return self.process.wait()

    def tell(self, number: int) -> None:
        """Send a signal to it and to its local jobs; those of a cluster are not in its session."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)


class Watchdog:
    """Looks at squeue now and then. folder: where the cluster's jobs were submitted from."""

    def __init__(self, folder: str, progress: Progress, patience: Patience) -> None:
        self.folder, self.progress, self.patience = folder, progress, patience
        self.alive = self.looked = time.monotonic()

    def hung(self) -> bool:
        """Whether Snakemake waits for jobs of the cluster though none has been alive for long."""
        now = time.monotonic()
        if now - self.looked < self.patience.watch:
            return False
        self.looked = now
        # no answer is no proof: a controller that is away loses no job
        if not self.progress.awaits_cluster() or scheduler.live(self.folder) != []:
            self.alive = time.monotonic()
        return now - max(self.alive, self.progress.last) > self.patience.hang

    def over(self, told: float) -> bool:
        """Whether a Snakemake that was told to end at `told` has nothing more to do than to sleep."""
        now = time.monotonic()
        if now - max(told, self.looked) < LOOK_S:
            return False
        self.looked = now
        return now - told > STOP_S or scheduler.live(self.folder) == []


@dataclass
class Context:
    """What a run is supervised with.

    folder: where the cluster's jobs are submitted from; None: all jobs are local, and Ctrl-C needs no second thought.
    bound: the budget, if there is one.
    """

    log: Log
    signals: Signals
    folder: str | None
    patience: Patience
    bound: "Bound | None" = None


class Supervision:
    """Follows one Snakemake process to its end. how: ENDED, HUNG, STOPPED or DETACHED (from its jobs), as far as it is known.

    It goes from running to asked (Ctrl-C came, and the grace for a second one runs) to told (Snakemake has got a signal).
    """

    def __init__(self, snakemake: Snakemake, progress: Progress, context: Context) -> None:
        self.snakemake, self.progress, self.signals = snakemake, progress, context.signals
        self.watchdog = Watchdog(context.folder, progress, context.patience) if context.folder else None
        self.grace = context.patience.grace if context.folder else 0
        self.how = ENDED
        self.asked: float | None = None  # when Ctrl-C came
        self.told: float | None = None  # when Snakemake got a signal

    def follow(self) -> str:
        """Wait for the end of Snakemake, and return how it came to it."""
        while self.snakemake.running():
            self.snakemake.read(READ_S)
            self.step(time.monotonic())
        return self.how

    def step(self, now: float) -> None:
        if self.signals.take():
            self.on_signal(now)
        elif self.told is not None:
            if self.watchdog and self.watchdog.over(self.told):
                self.snakemake.tell(signal.SIGKILL)
        elif self.asked is not None:
            if now - self.asked >= self.grace:
                self.end(STOPPED, "stopping", now)
        elif self.watchdog and self.watchdog.hung():
            self.end(HUNG, "no job is alive and Snakemake waits: it is ended", now)

    def on_signal(self, now: float) -> None:
        """Ask Snakemake to stop after the grace. The second Ctrl-C kills it, and leaves the cluster's jobs if it comes early."""
        if self.asked is None:
            self.asked = now
            if self.grace:
                self.progress.say(
                    f"the cluster's jobs are cancelled in {self.grace:.0f} s; Ctrl-C again leaves them running"
                )
        else:
            if self.told is None:
                self.how, self.told = DETACHED, now
            self.snakemake.tell(signal.SIGKILL)
        if self.how == HUNG:
            self.how = STOPPED

    def end(self, how: str, why: str, now: float) -> None:
        self.how, self.told = how, now
        self.progress.say(why)
        self.snakemake.tell(signal.SIGINT)


def _writable(descriptor: int) -> bool:
    try:
        os.write(descriptor, b"")
    except OSError:
        return False
    return True
