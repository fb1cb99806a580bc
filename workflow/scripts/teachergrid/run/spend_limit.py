"""Stop a run when it reaches its limit of GPU-hours or its deadline."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from ..slurm import scheduler
from .progress import Job, Progress

EVERY_S = 30.0  # between two checks


class Bound:
    """Stops a run, as Ctrl-C does, when its budget is used up. broken: the reason, None until then.

    GPU-hours are summed from regular checks of what runs, so failed and repeated jobs count, and waiting jobs do not.
    """

    def __init__(
        self,
        max_gpu_hours: float | None,
        deadline: float | None,
        folder: str | None,
        stop: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        """Prepare; entering the context starts the checks.

        Args:
            deadline: seconds from now.
            folder: from which the cluster's jobs are submitted; None without a cluster.
            stop: called to stop the run.
            say: prints a line.
        """
        self.max_gpu_hours, self.folder, self.stop, self.say = max_gpu_hours, folder, stop, say
        self.ends = None if deadline is None else time.time() + deadline
        self.looked, self.gpu_seconds, self.gpus = time.monotonic(), 0.0, 0
        self.progress: Progress | None = None
        self.broken: str | None = None
        self.ended = threading.Event()

    def __enter__(self) -> Self:
        if self.max_gpu_hours is not None or self.ends is not None:
            threading.Thread(target=self.watch, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()

    def watch(self, every_s: float = EVERY_S) -> None:
        """Check every `every_s` seconds, until the run ends or its budget is used up."""
        while not self.ended.wait(every_s):
            self.look()
            if self.broken:
                self.say(f"over budget: {self.broken}")
                self.stop()
                return

    def look(self) -> None:
        """Add the GPU-seconds since the last check, as if its jobs had run all the time, and compare with the budget."""
        now = time.monotonic()
        self.gpu_seconds += self.gpus * (now - self.looked)
        self.looked, gpus_by_job = now, self.running()
        # where the queue does not answer, assume that nothing has changed
        self.gpus = self.gpus if gpus_by_job is None else sum(gpus_by_job)
        used = self.gpu_seconds / 3600
        if self.max_gpu_hours is not None and used > self.max_gpu_hours:
            self.broken = f"{used:.3g} GPU-hours are used, {self.max_gpu_hours:g} were allowed"
        elif self.ends is not None and time.time() > self.ends:
            self.broken = "the deadline has passed"

    def running(self) -> list[int] | None:
        """Return the GPUs of each job that runs now; None where the queue does not answer."""
        progress = self.progress
        started: list[Job] = []
        if progress is not None:
            started = [progress.jobs[job] for job in list(progress.running) if job in progress.jobs]
        if self.folder is None:
            return [job["gpus"] for job in started]
        queue = scheduler.live(self.folder)
        if queue is None:
            return None
        cells = {(job.rule, job.cell) for job in queue if job.state == "RUNNING"}
        return [job["gpus"] for job in started if (job["rule"], job["cell"]) in cells]
