"""Say what is at work when a run has had nothing to tell for a while: the jobs that run longest, each with the last line of its log."""

import os
import time
from pathlib import Path

from ..units import span, visible
from .progress import Progress

EVERY_S = 60.0
SHOWN = 3
TAIL = 4096  # bytes


class Heartbeat:
    """Speaks for a Progress that has said nothing for `every` seconds."""

    def __init__(self, progress: Progress, every: float = EVERY_S) -> None:
        self.progress, self.every = progress, every
        self.spoke = time.monotonic()

    def step(self, now: float) -> None:
        """Say what is at work, where it is time. now: seconds of time.monotonic()."""
        if now - max(self.spoke, self.progress.last) >= self.every and self.progress.running:
            self.spoke = now
            self.progress.say(self.line(now))

    def line(self, now: float) -> str:
        """Return what is at work, the longest first, and how many jobs wait for a machine."""
        begun = sorted((since, job) for job, since in self.progress.running.items() if job in self.progress.jobs)
        at_work = [(since, job, said) for since, job in begun if (said := self.last_line(job)) is not None]
        parts = []
        for since, job, said in at_work[:SHOWN]:
            name = self.progress.name(job)
            # a job's own lines begin with its cell
            said = said.removeprefix(f"{name.partition(' ')[2]}: ").removeprefix(f"{name}: ")
            parts.append(f"{name} ({span(now - since, largest='h')}{f': {said}' if said else ''})")
        parts += [f"{len(at_work) - SHOWN} more"] * (len(at_work) > SHOWN)
        waiting = len(begun) - len(at_work)
        parts += [f"{waiting} wait for a machine"] * bool(waiting)
        return f"at work: {'; '.join(parts)}" if at_work else parts[0]

    def last_line(self, job: int) -> str | None:
        """Return the last line of a job's log; "" where it has none yet, None where the job has not begun."""
        known = self.progress.jobs[job]
        logs = [path for path in map(Path, known["log"]) if self.progress.is_new(path)]
        if not logs:
            return "" if known["local"] or not known["log"] else None
        try:
            with logs[0].open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
                lines = file.read().decode(errors="replace").replace("\r", "\n").split("\n")
        except OSError:
            return ""
        return visible(next((line.strip() for line in reversed(lines) if line.strip()), ""))[:120]
