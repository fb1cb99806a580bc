"""One Snakemake process, watched until it ends: its words to the log, its facts to a Progress, signals to the right place.

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
| Ctrl-C is followed by up to 180 s of sleep | `follow`: ended at once when no job is alive |
| SIGTERM waits for all running jobs | treated as Ctrl-C |
| kill -9: the jobs go on, a new run submits them again | `run.guard` |
| job arrays, groups | not used |
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from typing import NamedTuple

from . import cluster
from .progress import Progress

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
            *(float(os.environ.get(f"TEACHERGRID_{name.upper()}", cls._field_defaults[name])) for name in cls._fields)
        )


class Signals:
    """Counts Ctrl-C and SIGTERM while it is entered. A closed terminal ends nothing: the run goes on without it."""

    def __init__(self):
        self.came = self.taken = 0

    def __enter__(self):
        self.before = {number: signal.signal(number, self.stop) for number in (signal.SIGINT, signal.SIGTERM)}
        self.before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self.closed)
        return self

    def __exit__(self, *_):
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def stop(self, *_) -> None:
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

    def closed(self, *_) -> None:
        """Go on without the terminal, to which nothing can be written any more; the log has it all."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2):
            if os.isatty(descriptor) or not _writable(descriptor):
                os.dup2(nowhere, descriptor)


class Snakemake:
    """A running Snakemake. words(line) gets what it prints, progress what it does."""

    def __init__(self, argv: list[str], words, progress: Progress):
        facts, facts_end = os.pipe()
        lifeline_end, self.lifeline = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "teachergrid.progress", str(facts_end), str(lifeline_end), *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[facts_end, lifeline_end],
            start_new_session=True,
        )
        os.close(facts_end)
        os.close(lifeline_end)
        self.facts = os.fdopen(facts, "rb", buffering=0)
        self.pipes = selectors.DefaultSelector()
        self.pipes.register(self.facts, selectors.EVENT_READ, lambda line: progress.take(json.loads(line)))
        self.pipes.register(self.process.stdout, selectors.EVENT_READ, words)
        self.rest = {self.facts.fileno(): b"", self.process.stdout.fileno(): b""}

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
        self.facts.close()
        self.process.stdout.close()
        return self.process.wait()

    def tell(self, number: int) -> None:
        """Send a signal to it and to its local jobs; those of a cluster are not in its session."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)


class Watchdog:
    """Looks at squeue now and then. folder: where the cluster's jobs were submitted from."""

    def __init__(self, folder, progress: Progress, patience: Patience):
        self.folder, self.progress, self.patience = folder, progress, patience
        self.alive = self.looked = time.monotonic()

    def hung(self) -> bool:
        """Whether Snakemake waits for jobs of the cluster though none has been alive for long."""
        now = time.monotonic()
        if now - self.looked < self.patience.watch:
            return False
        self.looked = now
        # no answer is no proof: a controller that is away loses no job
        if not self.progress.awaits_cluster() or cluster.live(self.folder) != []:
            self.alive = time.monotonic()
        return now - max(self.alive, self.progress.last) > self.patience.hang

    def over(self, told: float) -> bool:
        """Whether a Snakemake that was told to end at `told` has nothing more to do than to sleep."""
        now = time.monotonic()
        if now - max(told, self.looked) < LOOK_S:
            return False
        self.looked = now
        return now - told > STOP_S or cluster.live(self.folder) == []


def follow(snakemake: Snakemake, signals: Signals, progress: Progress, folder, patience: Patience) -> str:
    """Wait for the end of Snakemake and return how it came to it: ended, hung, stopped, or detached from its jobs.

    folder: where the cluster's jobs were submitted from; None: all jobs are local, and Ctrl-C needs no second thought.
    """
    watchdog = Watchdog(folder, progress, patience)
    grace = patience.grace if folder else 0
    how, asked, told = "ended", None, None  # asked: when Ctrl-C came; told: when Snakemake heard of it
    while snakemake.running():
        snakemake.read(READ_S)
        now = time.monotonic()
        if signals.take():
            if asked is not None:
                how, told = ("detached", now) if told is None else (how, told)
                snakemake.tell(signal.SIGKILL)
            elif grace:
                progress.say(f"the cluster's jobs are cancelled in {grace:.0f} s; Ctrl-C again leaves them running")
            asked = asked or now
            how = "stopped" if told and how == "hung" else how
        elif told is None:
            hung = asked is None and folder and watchdog.hung()
            if hung or (asked is not None and now - asked >= grace):
                how, told = "hung" if hung else "stopped", now
                progress.say("no job is alive and Snakemake waits: it is ended" if hung else "stopping")
                snakemake.tell(signal.SIGINT)
        elif folder and watchdog.over(told):
            snakemake.tell(signal.SIGKILL)
    return how


def _writable(descriptor: int) -> bool:
    try:
        os.write(descriptor, b"")
    except OSError:
        return False
    return True
