"""When would a plan end: a discrete-event simulation of its jobs on a given cluster.

Jobs start in the order of the plan as soon as what they read is made and enough of one pool is free; a job that does not
fit lets smaller ones pass (backfill, as SLURM does it). Speed differs between GPU types, so a job may take whichever
fitting pool is free first.
"""

from collections import defaultdict
from heapq import heappop, heappush
from typing import NamedTuple

from ..errors import BadInput

CPU = "cpu"


class Task(NamedTuple):
    """A job as the simulation sees it. seconds: by pool it may run in; amount: GPUs of a GPU pool, else CPUs."""

    name: str
    seconds: dict[str, float]
    amount: int
    needs: tuple[int, ...]  # indices of tasks whose end it waits for


class Run(NamedTuple):
    """One task of a schedule, in seconds from the start. because: index of the task whose end let it start, or None."""

    task: int
    pool: str
    start: float
    end: float
    because: int | None


class Schedule(NamedTuple):
    """runs: one per task, in the order of the tasks; seconds: when the last one ends."""

    runs: list[Run]
    seconds: float


def simulate(tasks: list[Task], pools: dict[str, int], delay: float = 0.0, submitted: int | None = None) -> Schedule:
    """Return the schedule of tasks on pools (GPUs by type, and `cpu`).

    delay: seconds from the end of what a job waits for until it is in the queue (Snakemake's look at the queue, the
    submission); no machine waits for it meanwhile. submitted: most jobs that may be in the cluster at once. Raises BadInput for a task that fits no pool, and
    for tasks that wait for each other.
    """
    for task in tasks:
        if not any(task.amount <= pools.get(pool, 0) for pool in task.seconds):
            offered = ", ".join(f"{pool}={pools.get(pool, 0)}" for pool in sorted(task.seconds))
            raise BadInput(f"{task.name}: needs {task.amount} of one pool, and the cluster has {offered}")
    return _Simulation(tasks, pools, delay, submitted or len(tasks)).run()


class _Simulation:
    def __init__(self, tasks, pools, delay, submitted):
        self.tasks, self.free, self.delay, self.room = tasks, dict(pools), delay, submitted
        self.waits = [len(set(task.needs)) for task in tasks]
        self.followers = defaultdict(list)
        for index, task in enumerate(tasks):
            for need in set(task.needs):
                self.followers[need].append(index)
        # heap of (time, task) that are seen to be ready then: a scheduler and Snakemake look now and then
        self.coming = []
        # tasks alike in what they ask for wait in one queue: only its head has to be looked at
        self.queues = defaultdict(list)
        self.ending = []  # heap of (end, task)
        self.runs = [None] * len(tasks)

    def run(self) -> Schedule:
        for index, waits in enumerate(self.waits):
            if not waits:
                heappush(self.coming, (self.delay, index, -1))
        now, ended = 0.0, -1
        while self.coming or self.ending:
            now = min(heap[0][0] for heap in (self.coming, self.ending) if heap)
            while self.ending and self.ending[0][0] == now:
                ended = heappop(self.ending)[1]
                self.end(ended, now)
            while self.coming and self.coming[0][0] == now:
                _, index, because = heappop(self.coming)
                self.enqueue(index, because)
            self.start(now, ended)
        if stuck := [task.name for task, run in zip(self.tasks, self.runs, strict=True) if run is None]:
            raise BadInput(f"{stuck[0]}: waits for itself through other jobs")
        return Schedule(self.runs, now)

    def enqueue(self, index: int, because: int) -> None:
        task = self.tasks[index]
        heappush(self.queues[task.amount, tuple(sorted(task.seconds))], (index, because))

    def end(self, index: int, now: float) -> None:
        self.free[self.runs[index].pool] += self.tasks[index].amount
        self.room += 1
        for follower in self.followers[index]:
            self.waits[follower] -= 1
            if not self.waits[follower]:
                heappush(self.coming, (now + self.delay, follower, index))

    def start(self, now: float, freed: int) -> None:
        """Start what fits, first in the plan first. freed: the task that made room last."""
        while self.room > 0:
            heads = [(queue[0], key) for key, queue in self.queues.items() if queue and self.place(queue[0][0])]
            if not heads:
                return
            (index, because), key = min(heads)
            heappop(self.queues[key])
            task, pool = self.tasks[index], self.place(index)
            end = now + task.seconds[pool]
            self.free[pool] -= task.amount
            self.room -= 1
            # it waited for its last input, or for room when its inputs were there before
            ready = self.delay + (0.0 if because < 0 else self.runs[because].end)
            cause = because if ready == now else freed
            self.runs[index] = Run(index, pool, now, end, None if cause < 0 else cause)
            heappush(self.ending, (end, index))

    def place(self, index: int) -> str | None:
        """Return the pool in which a task would end first, of those with room."""
        task = self.tasks[index]
        fitting = [pool for pool in task.seconds if self.free.get(pool, 0) >= task.amount]
        return min(fitting, key=lambda pool: (task.seconds[pool], pool), default=None)


def critical(schedule: Schedule) -> list[Run]:
    """Return the chain of runs that decided the end, first to last: each waited for the one before, or for its room."""
    run = max(schedule.runs, key=lambda run: run.end, default=None)
    chain = []
    while run is not None:
        chain.append(run)
        run = None if run.because is None else schedule.runs[run.because]
    return chain[::-1]


def longest_path(tasks: list[Task]) -> float:
    """Return the seconds that no number of GPUs can go below: the longest chain of tasks that wait for each other."""
    ends = {}
    for index in _ordered(tasks):
        task = tasks[index]
        ends[index] = min(task.seconds.values()) + max((ends[need] for need in task.needs), default=0.0)
    return max(ends.values(), default=0.0)


def _ordered(tasks: list[Task]) -> list[int]:
    waits = [len(set(task.needs)) for task in tasks]
    followers = defaultdict(list)
    for index, task in enumerate(tasks):
        for need in set(task.needs):
            followers[need].append(index)
    order = [index for index, n in enumerate(waits) if not n]
    for index in order:
        for follower in followers[index]:
            waits[follower] -= 1
            if not waits[follower]:
                order.append(follower)
    return order


def busy(schedule: Schedule, tasks: list[Task], pool: str, steps: int = 100) -> list[float]:
    """Return how much of a pool is in use, averaged over equal parts of the time."""
    width = schedule.seconds / steps or 1.0
    used = [0.0] * steps
    for run in schedule.runs:
        if run.pool == pool:
            for step in range(int(run.start / width), min(steps, int(run.end / width) + 1)):
                overlap = min(run.end, (step + 1) * width) - max(run.start, step * width)
                used[step] += tasks[run.task].amount * max(0.0, overlap) / width
    return used
