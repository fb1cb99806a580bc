"""Budgets: refuse a plan that is over its budget and propose what to drop, or which part of the grid to keep.

A cut drops teachers, bases or seeds with the jobs that depend on them. What it saves is first guessed from the jobs of the plan:
their sum, or the end of a schedule of the others. What is then proposed has been planned again without these names, since more
may stay than the guess says: a derived corpus keeps the responses that it draws from, a pilot keeps another teacher instead.
"""

from collections import defaultdict
from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

from ..cost import makespan
from ..errors import BadInput
from ..units import count, number, span
from .archive import Document, JobRow, every_job
from .options import PlanOptions

OVER = 3  # exit code
TRIES = 8  # plans of parts that should fit
KINDS = ("teacher", "base", "seed")
# names to drop, by kind -> the plan without them, and what goes with them in words; BadInput where nothing is left
Dropped = dict[str, list[str]]
Replan = Callable[[Dropped], tuple[Document, list[str]]]
LIMITS = {"max_gpu_hours": "GPU-hours", "max_usd": "USD", "deadline": "time"}


def over(plan: Document, request: PlanOptions) -> list[str]:
    """Return the names of the LIMITS that a plan is expected to exceed. Raises BadInput where a cost is unknown."""
    exceeded = []
    for limit in LIMITS:
        bound = getattr(request, limit)
        if bound is not None and every_job(plan) and value(plan, limit) > bound:
            exceeded.append(limit)
    return exceeded


def value(plan: Document, limit: str) -> float:
    """Return what a plan, with phase two, uses of a limit: GPU-hours, USD or seconds. Raises BadInput where it is unknown."""
    later = plan.get("phase_two")
    total = later["total"] if later else plan["total"]
    if limit == "max_usd":
        if total["unpriced"] or total["usd"] is None:
            devices = sorted({job["device"] for job in every_job(plan) if job["usd"] is None})
            raise BadInput(
                f"--max-usd: {count(total['unpriced'])} jobs run on {', '.join(devices)} or at endpoints, whose price is unknown; "
                "add `usd_per_hour` for it in a file and pass that to --machines, or `usd_in` and `usd_out` of the endpoint"
            )
        return total["usd"]["expected"]
    if limit == "deadline":
        if plan["schedule"] is None:
            raise BadInput(f"--deadline: {plan['no_schedule']}")
        seconds = later["seconds"] if later else plan["schedule"]["seconds"]
        if seconds is None:
            raise BadInput("--deadline: jobs of phase two fit none of these machines; add --cluster h100=16")
        return seconds
    return total["gpu_hours"]["expected"]


def shown(limit: str, amount: float) -> str:
    """Return an amount of a budget with its unit."""
    return span(amount) if limit == "deadline" else f"{number(amount)} {LIMITS[limit]}"


def refusal(plan: Document, request: PlanOptions, limits: list[str], replan: Replan) -> str:
    """Return the message to the user: by how much the plan is over budget, and which cuts would bring it under."""
    lines = []
    for limit in limits:
        bound = getattr(request, limit)
        phases = ", at most, with phase two" if plan.get("phase_two") else ""
        lines.append(f"over budget: {shown(limit, value(plan, limit))} expected{phases}, {shown(limit, bound)} allowed")
        lines += [f"  {line}" for line in cuts(plan, limit, bound, replan)]
    if request.fit_budget:
        lines += [line for limit in limits for line in fitted(plan, limit, getattr(request, limit), replan)]
    else:
        lines.append(
            "`teachergrid plan --fit-budget` with these limits prints the config lines that keep as much of the grid as fits"
        )
    return "\n".join(lines)


# --- a guess of what remains without some names


class Grid:
    """The jobs of a plan by teacher, base and seed.

    cost: {(teacher, base, seed): sum over their jobs}; None in place of a name that the jobs do not depend on.
    names: {kind: names in the order in which they would be dropped}.
    """

    def __init__(self, plan: Document, limit: str) -> None:
        self.plan, self.limit = plan, limit
        self.cost: dict[tuple[str | None, ...], float] = defaultdict(float)
        for job in every_job(plan):
            self.cost[key(job)] += cost(job, limit)
        # the costliest teachers and bases and the last seeds are dropped first
        self.names: dict[str, list[str]] = {}
        for i, kind in enumerate(KINDS):
            names = [
                (-sum(n for key, n in self.cost.items() if key[i] == name), name)
                for name in {key[i] for key in self.cost}
                if name is not None
            ]
            self.names[kind] = [name for _, name in sorted(names)]
        self.names["seed"].sort(key=lambda name: -int(name.removeprefix("s")))
        if limit == "deadline":
            self.names |= {kind: self.latest(i) for i, kind in enumerate(KINDS) if kind != "seed"}

    def latest(self, i: int) -> list[str]:
        """Return the names of a kind, first the one that the critical path spends most time on, then so without it, and so on.

        i: the index of the kind in KINDS.
        """
        names, order = list(self.names[KINDS[i]]), list[str]()
        while len(names) > 2:
            busy: dict[str | None, float] = defaultdict(float)
            jobs, schedule = self.scheduled({KINDS[i]: set(order)})
            for run in makespan.critical(schedule):
                busy[jobs[run.task]["words"].get(KINDS[i])] += run.end - run.start
            order.append(max(names, key=lambda name: (busy[name], -names.index(name))))
            names.remove(order[-1])
        return order + names

    def without(self, dropped: dict[str, set[str]]) -> float:
        """Return what would remain of the limit when these names are dropped. dropped: {kind: names}."""
        if self.limit == "deadline":
            return self.scheduled(dropped)[1].seconds
        return sum(n for key, n in self.cost.items() if not is_dropped(key, dropped))

    def scheduled(self, dropped: dict[str, set[str]]) -> tuple[list[JobRow], makespan.Schedule]:
        """Return the remaining jobs and their schedule, in which phase two starts when phase one is over."""
        rows, schedules = list[JobRow](), list[makespan.Schedule]()
        later = self.plan.get("phase_two")
        for jobs in (self.plan["jobs"], later["jobs"] if later else []):
            kept = [index for index, job in enumerate(jobs) if not is_dropped(key(job), dropped)]
            rows += [jobs[index] for index in kept]
            schedules.append(self.simulated(jobs, kept))
        return rows, makespan.joined(*schedules)

    def simulated(self, jobs: list[JobRow], kept: list[int]) -> makespan.Schedule:
        """Return the schedule of some of these jobs. kept: their indices."""
        place = {index: new for new, index in enumerate(kept)}
        tasks = [
            makespan.Task(
                jobs[index]["job"],
                {jobs[index]["pool"] or "": jobs[index]["seconds"]["expected"]},
                jobs[index]["gpus"] or jobs[index]["cpus"],
                tuple(place[need] for need in jobs[index]["needs"] if need in place),
            )
            for index in kept
        ]
        cluster = self.plan["cluster"]
        return makespan.simulate(
            tasks, {kind: pool["amount"] for kind, pool in cluster["pools"].items()}, cluster["delay_s"]
        )


def key(job: JobRow) -> tuple[str | None, ...]:
    """Return the teacher, base and seed of a job; None in place of what it does not depend on."""
    return tuple(job["words"].get(kind) for kind in KINDS)


def is_dropped(names: tuple[str | None, ...], dropped: dict[str, set[str]]) -> bool:
    """Whether one of a job's names (see key) is dropped. dropped: {kind: names}."""
    return any(name in dropped.get(kind, ()) for kind, name in zip(KINDS, names, strict=True))


def cost(job: JobRow, limit: str) -> float:
    """Return what a job uses of a limit, for a deadline the hours of what it holds."""
    if limit == "max_usd" and job["usd"] is not None:
        return job["usd"]["expected"]
    held = job["gpus"] if limit == "max_gpu_hours" else job["gpus"] or job["cpus"]
    return held * job["seconds"]["expected"] / 3600


# --- cuts


def cuts(plan: Document, limit: str, bound: float, replan: Replan) -> list[str]:
    """Return a sentence for each way to get under the bound, the one that drops the fewest names first."""
    grid = Grid(plan, limit)
    ways: list[tuple[int, float, str]] = []  # (names dropped, minus what remains, sentence)
    for kind in KINDS:
        # at least one of each kind stays: without it there is nothing to compare
        prefixes = list(accumulate([name] for name in grid.names[kind][:-1]))
        guessed = next((i for i, names in enumerate(prefixes) if grid.without({kind: {*names}}) <= bound), None)
        if guessed is not None and (found := first_within(prefixes[guessed:], kind, limit, bound, replan)):
            names, rest, notes = found
            words = "".join(f"; {note}" for note in notes)
            ways.append((len(names), -rest, f"without {kind} {', '.join(names)}: about {shown(limit, rest)}{words}"))
    return [line for *_, line in sorted(ways)] or [
        "dropping only teachers, only bases or only seeds is not enough; try --fit-budget, smaller instruction sets or fewer suites"
    ]


def first_within(
    prefixes: list[list[str]], kind: str, limit: str, bound: float, replan: Replan
) -> tuple[list[str], float, list[str]] | None:
    """Return the first of ever longer lists of names whose plan is within the bound, with what remains and notes; None for none."""
    low, high, middle, found = 0, len(prefixes) - 1, 0, None
    while low <= high:
        rest, notes = replanned({kind: prefixes[middle]}, limit, replan)
        if rest is not None and rest <= bound:
            found, high = (prefixes[middle], rest, notes), middle - 1
        else:
            low = middle + 1
        middle = (low + high) // 2
    return found


def replanned(dropped: Dropped, limit: str, replan: Replan) -> tuple[float | None, list[str]]:
    """Return what the plan without some names uses of a limit, None where there is no such plan, and what goes with the names."""
    try:
        plan, notes = replan(dropped)
        return value(plan, limit), notes
    except BadInput:
        return None, []


class Part(NamedTuple):
    """A part of the grid within a bound. dropped: {kind: names that it leaves out}. rest: its cost."""

    bases: int
    teachers: int
    seeds: int
    dropped: dict[str, list[str]]
    rest: float

    @property
    def cells(self) -> int:
        """The number of (base, teacher) pairs."""
        return self.bases * self.teachers

    @property
    def information(self) -> tuple[int, int, int]:
        return self.cells, self.teachers, self.seeds


def fitted(plan: Document, limit: str, bound: float, replan: Replan) -> list[str]:
    """Return config lines that keep the most informative part of the grid within a bound, and a comment on what is lost."""
    grid, target = Grid(plan, limit), bound
    for _ in range(TRIES):
        best = largest(grid, target)
        if best is None:
            break
        rest, notes = replanned(best.dropped, limit, replan)
        if rest is not None and rest <= bound:
            return config_lines(grid, best, shown(limit, rest), notes)
        # more stays than the jobs of the dropped names told
        target = min(target, best.rest) * (min(0.98, bound / rest) if rest else 0.9)
    return ["no part of the grid with two teachers fits this budget"]


def config_lines(grid: Grid, best: Part, rest: str, notes: list[str]) -> list[str]:
    """Return the config lines that keep a part of the grid. rest: what it uses of the limit, in words. notes: what else goes."""
    lines = ["exclude:  # under each grid of the config that has them"]
    lines += [
        f"  - {{{kind}: {name.removeprefix('s') if kind == 'seed' else name}}}"
        for kind in KINDS
        for name in best.dropped[kind]
    ]
    losses = [f"{len(best.dropped[kind])} of {len(grid.names[kind])} {kind}s" for kind in KINDS if best.dropped[kind]]
    cells = max(1, len(grid.names["base"])) * len(grid.names["teacher"])
    lines += [f"# {note}" for note in notes]
    lines.append(
        f"# keeps {best.cells} of {cells} cells of base and teacher ({best.teachers} teachers a base), "
        f"about {rest}; lost: {', '.join(losses) or 'nothing'}"
    )
    return lines


def largest(grid: Grid, bound: float) -> Part | None:
    """Return the most informative part of the grid within a bound; None where no part with two teachers fits.

    That is the part with the most (base, teacher) pairs, since rankings and correlations rest on their number; among equals the
    most teachers, then the most seeds. The costliest teachers and bases and the last seeds are dropped first.
    """
    best: Part | None = None
    for n_bases in range(max(1, len(grid.names["base"])), 0, -1):
        for n_seeds in range(max(1, len(grid.names["seed"])), 0, -1):
            part = _with_most_teachers(grid, bound, n_bases, n_seeds)
            if part is not None and (best is None or part.information > best.information):
                best = part
    return best


def _with_most_teachers(grid: Grid, bound: float, n_bases: int, n_seeds: int) -> Part | None:
    """Return the part within a bound with the most teachers (at least two) for given numbers of bases and seeds, or None."""
    teachers, bases, seeds = (grid.names[kind] for kind in KINDS)
    dropped = {"base": bases[: len(bases) - n_bases], "seed": seeds[: len(seeds) - n_seeds]}
    for n_teachers in range(len(teachers), 1, -1):
        dropped["teacher"] = teachers[: len(teachers) - n_teachers]
        rest = grid.without({kind: set(names) for kind, names in dropped.items()})
        if rest <= bound:
            return Part(n_bases, n_teachers, n_seeds, {kind: sorted(names) for kind, names in dropped.items()}, rest)
    return None
