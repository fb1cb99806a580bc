"""Keep a plan inside a budget: refuse with the shortest list of cuts, or say which part of the grid keeps the most.

A cut drops a teacher, a base or a seed with all jobs that hang on it. What is told of a cut is summed from the plan's jobs; a
derived corpus that names a dropped teacher still has its responses made, unless the corpus goes too.
"""

import threading
import time
from collections import defaultdict

from .. import cluster
from ..errors import BadInput
from ..units import count, number, span

OVER = 3  # exit code
EVERY_S = 30.0  # between two looks at what a run uses
KINDS = ("teacher", "base", "seed")
LIMITS = {"max_gpu_hours": "GPU-hours", "max_usd": "USD", "deadline": "time"}


def over(plan: dict, asked) -> list[str]:
    """Return the limits that the expected plan breaks. Raises BadInput where that cannot be known.

    asked: max_gpu_hours, max_usd, deadline (seconds from now), each may be None.
    """
    found = []
    for limit in LIMITS:
        bound = getattr(asked, limit)
        if bound is not None and plan["jobs"] and value(plan, limit) > bound:
            found.append(limit)
    return found


def value(plan: dict, limit: str) -> float:
    """Return what a plan is expected to take of a budget. Raises BadInput for what is not known."""
    total = plan["total"]
    if limit == "max_usd":
        if total["unpriced"]:
            devices = sorted({job["device"] for job in plan["jobs"] if job["usd"] is None})
            raise BadInput(
                f"--max-usd: {count(total['unpriced'])} jobs run on {', '.join(devices)}, whose price is not known; say "
                "`usd_per_hour` of it in a file for --machines"
            )
        return total["usd"]["expected"]
    if limit == "deadline":
        if plan["schedule"] is None:
            raise BadInput(f"--deadline: {plan['no_schedule']}")
        return plan["schedule"]["seconds"]
    return total["gpu_hours"]["expected"]


def shown(limit: str, amount: float) -> str:
    return span(amount) if limit == "deadline" else f"{number(amount)} {LIMITS[limit]}"


def refusal(plan: dict, asked, limits: list[str]) -> str:
    """Return what to tell the user: by how much the plan is over, and what would bring it under."""
    lines = []
    for limit in limits:
        bound = getattr(asked, limit)
        lines.append(f"over budget: {shown(limit, value(plan, limit))} expected, {shown(limit, bound)} allowed")
        lines += [f"  {line}" for line in cuts(plan, limit, bound)]
    if asked.fit_budget:
        lines += [line for limit in limits for line in fitted(plan, limit, getattr(asked, limit))]
    else:
        lines.append(
            "`teachergrid plan --fit-budget` with these limits prints the lines for the config that keep the most of the grid"
        )
    return "\n".join(lines)


# --- what hangs on what


class Grid:
    """The cost of a plan by what it hangs on: cost[teacher, base, seed], each None where a job hangs on none."""

    def __init__(self, plan: dict, limit: str):
        self.cost = defaultdict(float)
        for job in plan["jobs"]:
            self.cost[tuple(job["words"].get(kind) for kind in KINDS)] += cost(job, limit, plan)
        # in the order in which they would go: the costliest teachers and bases, the last seeds
        self.names = {
            kind: sorted({key[i] for key in self.cost} - {None}, key=lambda name, i=i: (-self.share(i, name), name))
            for i, kind in enumerate(KINDS)
        }
        self.names["seed"].sort(key=lambda name: -int(name.removeprefix("s")))

    def share(self, i: int, name: str) -> float:
        return sum(n for key, n in self.cost.items() if key[i] == name)

    def kept(self, dropped: dict[str, set]) -> float:
        """Return the cost without these names."""
        gone = [dropped.get(kind, set()) for kind in KINDS]
        return sum(n for key, n in self.cost.items() if not any(key[i] in gone[i] for i in range(len(KINDS))))


def cost(job: dict, limit: str, plan: dict) -> float:
    """Return what a job takes of a budget. Time: the work on the machines that are the busiest, as if the end followed it."""
    if limit == "max_usd":
        return job["usd"]["expected"]
    work = (job["gpus"] or job["cpus"]) * job["seconds"]["expected"] / 3600
    counts = job["gpus"] if limit == "max_gpu_hours" else job["pool"] == busiest(plan)
    return work if counts else 0.0


def busiest(plan: dict) -> str:
    return max(plan["schedule"]["utilisation"].items(), key=lambda item: sum(item[1]))[0]


def scaled(grid: Grid, plan: dict, limit: str, bound: float) -> float:
    """Return the bound in the unit of the grid's costs: time in shares of the busiest machines' work."""
    if limit != "deadline":
        return bound
    return bound / plan["schedule"]["seconds"] * sum(grid.cost.values())


# --- cuts


def cuts(plan: dict, limit: str, bound: float) -> list[str]:
    """Return ways to get under the bound, the shortest list of cuts first."""
    grid = Grid(plan, limit)
    bound, found = scaled(grid, plan, limit, bound), []
    for kind in KINDS:
        dropped = set()
        # one of each stays: without any there is nothing to find out
        for name in grid.names[kind][: len(grid.names[kind]) - 1]:
            dropped.add(name)
            if (rest := grid.kept({kind: dropped})) <= bound:
                names = [name for name in grid.names[kind] if name in dropped]
                found.append((len(names), -rest, f"without {kind} {', '.join(names)}: {left(plan, limit, grid, rest)}"))
                break
    found = [line for *_, line in sorted(found)]
    return found or [
        "dropping teachers, bases or seeds alone does not do; try --fit-budget, smaller sets or fewer suites"
    ]


def left(plan: dict, limit: str, grid: Grid, rest: float) -> str:
    whole = sum(grid.cost.values()) or 1.0
    return f"about {shown(limit, value(plan, limit) * rest / whole)}"


def fitted(plan: dict, limit: str, bound: float) -> list[str]:
    """Return the lines for the config that keep the most informative part of the grid under a bound, and what is lost.

    The most (base, teacher) cells, since rankings and correlations rest on their number; then the most teachers; then the
    most seeds. The costliest teachers and bases, and the last seeds, go first.
    """
    grid = Grid(plan, limit)
    limit_here, best = scaled(grid, plan, limit, bound), None
    teachers, bases, seeds = (grid.names[kind] for kind in KINDS)
    for n_bases in range(max(1, len(bases)), 0, -1):
        for n_seeds in range(max(1, len(seeds)), 0, -1):
            dropped = {
                "base": set(bases[: len(bases) - n_bases]),
                "seed": set(seeds[: len(seeds) - n_seeds]),
                "teacher": set(),
            }
            for n_teachers in range(len(teachers), 1, -1):
                dropped["teacher"] = set(teachers[: len(teachers) - n_teachers])
                if (rest := grid.kept(dropped)) <= limit_here:
                    score = n_bases * n_teachers, n_teachers, n_seeds
                    if best is None or score > best[0]:
                        best = score, rest, {kind: sorted(names) for kind, names in dropped.items()}
                    break
    if best is None:
        return ["no part of the grid with two teachers fits this budget"]
    (cells, n_teachers, _), rest, dropped = best
    lines = ["exclude:  # under each grid of the config that has them"]
    lines += [
        f"  - {{{kind}: {name.removeprefix('s') if kind == 'seed' else name}}}"
        for kind in KINDS
        for name in dropped[kind]
    ]
    lost = ", ".join(f"{len(dropped[kind])} of {len(grid.names[kind])} {kind}s" for kind in KINDS if dropped[kind])
    lines.append(
        f"# keeps {cells} of {max(1, len(bases)) * len(teachers)} cells of base and teacher ({n_teachers} teachers a base), "
        f"{left(plan, limit, grid, rest)}; lost: {lost or 'nothing'}"
    )
    return lines


# --- while it runs


class Bound:
    """Stops a run, as Ctrl-C does, when its budget is used up. broken: the reason, once it did.

    GPU-hours are counted by looking now and then at what runs: so failed and repeated jobs count, and waiting ones do not.
    """

    def __init__(self, max_gpu_hours: float | None, deadline: float | None, folder: str | None, stop, say):
        """deadline: seconds from now; folder: of the cluster's jobs, None without one; stop: what Ctrl-C does; say: tells a line."""
        self.max_gpu_hours, self.folder, self.stop, self.say = max_gpu_hours, folder, stop, say
        self.ends = None if deadline is None else time.time() + deadline
        self.looked, self.gpu_seconds, self.gpus = time.monotonic(), 0.0, 0
        self.progress = self.broken = None
        self.ended = threading.Event()

    def __enter__(self):
        if self.max_gpu_hours is not None or self.ends is not None:
            threading.Thread(target=self.watch, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.ended.set()

    def watch(self, every_s: float = EVERY_S) -> None:
        while not self.ended.wait(every_s):
            self.look()
            if self.broken:
                self.say(f"over budget: {self.broken}")
                self.stop()
                return

    def look(self) -> None:
        """Count what was used since the last look, as much as ran then, and see whether it is too much."""
        now = time.monotonic()
        self.gpu_seconds += self.gpus * (now - self.looked)
        self.looked, running = now, self.running()
        # a queue that does not answer has not changed, for all we know
        self.gpus = self.gpus if running is None else sum(running)
        used = self.gpu_seconds / 3600
        if self.max_gpu_hours is not None and used > self.max_gpu_hours:
            self.broken = f"{used:.3g} GPU-hours are used, {self.max_gpu_hours:g} were allowed"
        elif self.ends is not None and time.time() > self.ends:
            self.broken = "the deadline is over"

    def running(self) -> list[int] | None:
        """Return the GPUs of each job that runs now; None where nobody knows."""
        run = self.progress
        started = [run.jobs[job] for job in list(run.running) if job in run.jobs] if run else []
        if self.folder is None:
            return [known["gpus"] for known in started]
        if (queue := cluster.live(self.folder)) is None:
            return None
        there = {(job.rule, job.cell) for job in queue if job.state == "RUNNING"}
        return [known["gpus"] for known in started if (known["rule"], known["cell"]) in there]
