"""When a plan would end: a discrete-event simulation of its jobs on a given cluster.

Jobs start in the order of the plan, as soon as their inputs are made and one pool has enough free GPUs (CPUs). A job that does
not fit is overtaken by smaller ones (backfill, as in SLURM). A job that may run in several pools takes the one with room in
which it would end first, since speed differs between GPU types.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter
from heapq import heappop, heappush
from typing import NamedTuple

from ..errors import BadInput

CPU = "cpu"


class Task(NamedTuple):
    """A job as the simulation sees it.

    seconds: {pool: duration} for each pool in which it may run. amount: GPUs in a GPU pool, else CPUs.
    needs: indices of the tasks that must end before it starts.
    """

    name: str
    seconds: dict[str, float]
    amount: int
    needs: tuple[int, ...]


class Run(NamedTuple):
    """One task of a schedule. start, end: seconds from the start. because: index of the task whose end let it start, or None."""

    task: int
    pool: str
    start: float
    end: float
    because: int | None


class Schedule(NamedTuple):
    """runs: one per task, in the order of the tasks; seconds: when the last one ends."""

    runs: list[Run]
    seconds: float


def simulate(
    tasks: Sequence[Task], pools: Mapping[str, int], delay: float = 0.0, submitted: int | None = None
) -> Schedule:
    """Return the schedule of tasks on pools.

    Args:
        pools: the size of each pool: GPUs by type, and CPUs as `cpu`.
        delay: seconds from the end of what a job waits for until it is in the queue: Snakemake looks now and then, and submits.
            No GPU is held meanwhile.
        submitted: how many jobs may be in the cluster at once; None for no limit.
    Raises:
        BadInput: for a task that fits no pool, and for tasks that wait for each other.
    """
    for task in tasks:
        if not any(task.amount <= pools.get(pool, 0) for pool in task.seconds):
            offered = ", ".join(f"{pool}={pools.get(pool, 0)}" for pool in sorted(task.seconds))
            raise BadInput(f"{task.name}: needs {task.amount} of one pool, but the cluster has {offered}")
    return _Simulation(tasks, pools, delay, submitted or len(tasks)).run()


class _Simulation:
    """The state of a simulation.

    free: {pool: GPUs (CPUs) not in use}. room: how many more jobs may be submitted. waits: for each task, how many others it
    waits for.
    """

    def __init__(self, tasks: Sequence[Task], pools: Mapping[str, int], delay: float, submitted: int) -> None:
        self.tasks, self.free, self.delay, self.room = tasks, dict(pools), delay, submitted
        self.waits = [len(set(task.needs)) for task in tasks]
        self.followers: dict[int, list[int]] = defaultdict(list)
        for index, task in enumerate(tasks):
            for need in set(task.needs):
                self.followers[need].append(index)
        # heap of (time, task, the task it waited for or -1): when Snakemake notices that the task is ready
        self.coming: list[tuple[float, int, int]] = []
        # heaps of (task, the task it waited for): tasks with the same request share a queue, so that only its head is looked at
        self.queues: dict[tuple[int, tuple[str, ...]], list[tuple[int, int]]] = defaultdict(list)
        self.ending: list[tuple[float, int]] = []  # heap of (end, task)
        self.runs: dict[int, Run] = {}

    def run(self) -> Schedule:
        """Simulate from the first job to the last."""
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
        if stuck := [task.name for index, task in enumerate(self.tasks) if index not in self.runs]:
            raise BadInput(f"{stuck[0]}: waits for itself through other jobs")
        return Schedule([self.runs[index] for index in range(len(self.tasks))], now)

    def enqueue(self, index: int, because: int) -> None:
        """Put a task into the queue of tasks with the same request. because: the task that it waited for, or -1."""
        task = self.tasks[index]
        heappush(self.queues[task.amount, tuple(sorted(task.seconds))], (index, because))

    def end(self, index: int, now: float) -> None:
        """End a task: free what it held, and let its followers wait for one task less."""
        self.free[self.runs[index].pool] += self.tasks[index].amount
        self.room += 1
        for follower in self.followers[index]:
            self.waits[follower] -= 1
            if not self.waits[follower]:
                heappush(self.coming, (now + self.delay, follower, index))

    def start(self, now: float, freed: int) -> None:
        """Start all tasks that fit, in the order of the plan. freed: the task that ended last, or -1."""
        while self.room > 0:
            heads = [(queue[0], key) for key, queue in self.queues.items() if queue and self.fits(*key)]
            if not heads:
                return
            (index, because), key = min(heads)
            heappop(self.queues[key])
            task, pool = self.tasks[index], self.place(index)
            end = now + task.seconds[pool]
            self.free[pool] -= task.amount
            self.room -= 1
            # either its last input has just been made, or it was ready earlier and waited for room
            ready = self.delay + (0.0 if because < 0 else self.runs[because].end)
            cause = because if ready == now else freed
            self.runs[index] = Run(index, pool, now, end, None if cause < 0 else cause)
            heappush(self.ending, (end, index))

    def fits(self, amount: int, pools: tuple[str, ...]) -> bool:
        """Return whether one of these pools has room for a task of this amount."""
        return any(self.free.get(pool, 0) >= amount for pool in pools)

    def place(self, index: int) -> str:
        """Return the pool with room in which a task ends first."""
        task = self.tasks[index]
        fitting = [pool for pool in task.seconds if self.free.get(pool, 0) >= task.amount]
        return min(fitting, key=lambda pool: (task.seconds[pool], pool))


def joined(first: Schedule, then: Schedule) -> Schedule:
    """Return one schedule of two sets of tasks, the second of which starts when the first is over."""
    last = max(range(len(first.runs)), key=lambda index: first.runs[index].end, default=None)
    n, shift = len(first.runs), first.seconds
    moved = [
        Run(
            run.task + n, run.pool, run.start + shift, run.end + shift, last if run.because is None else run.because + n
        )
        for run in then.runs
    ]
    return Schedule([*first.runs, *moved], shift + then.seconds)


def critical(schedule: Schedule) -> list[Run]:
    """Return the chain of runs that decides the end, first to last. Each waited for the output or the GPUs of the one before."""
    run: Run | None = max(schedule.runs, key=lambda run: run.end, default=None)
    chain = []
    while run is not None:
        chain.append(run)
        run = None if run.because is None else schedule.runs[run.because]
    return chain[::-1]


def longest_path(tasks: Sequence[Task]) -> float:
    """Return the seconds of the longest chain of dependent tasks: no number of GPUs makes a plan shorter than that."""
    ends: dict[int, float] = {}
    for index in ordered([task.needs for task in tasks]):
        task = tasks[index]
        ends[index] = min(task.seconds.values()) + max((ends[need] for need in task.needs), default=0.0)
    return max(ends.values(), default=0.0)


def ordered(needs: Sequence[Sequence[int]]) -> list[int]:
    """Return the indices of jobs in an order in which each comes after those it needs. needs: for each job, indices of jobs."""
    return list(TopologicalSorter(dict(enumerate(needs))).static_order())


def busy(schedule: Schedule, tasks: Sequence[Task], pool: str, steps: int = 100) -> list[float]:
    """Return the mean number of GPUs (CPUs) of a pool in use in each of `steps` equal parts of the time."""
    width = schedule.seconds / steps or 1.0
    used = [0.0] * steps
    for run in schedule.runs:
        if run.pool == pool:
            for step in range(int(run.start / width), min(steps, int(run.end / width) + 1)):
                overlap = min(run.end, (step + 1) * width) - max(run.start, step * width)
                used[step] += tasks[run.task].amount * max(0.0, overlap) / width
    return used
