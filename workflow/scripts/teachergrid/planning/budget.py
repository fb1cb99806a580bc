"""Budgets: refuse a plan that is over its budget and propose what to drop, or which part of the grid to keep.

A cut drops a teacher, a base or a seed with all jobs that depend on it. The savings of a cut are the sum over its jobs. Known
limit: a derived corpus that names the dropped teacher keeps the teacher's responses in the plan.
"""

from collections import defaultdict
from typing import NamedTuple

from ..errors import BadInput
from ..units import count, number, span
from .archive import Document, JobRow
from .options import PlanOptions

OVER = 3  # exit code
KINDS = ("teacher", "base", "seed")
LIMITS = {"max_gpu_hours": "GPU-hours", "max_usd": "USD", "deadline": "time"}


def over(plan: Document, request: PlanOptions) -> list[str]:
    """Return the names of the LIMITS that a plan is expected to exceed. Raises BadInput where a cost is unknown."""
    exceeded = []
    for limit in LIMITS:
        bound = getattr(request, limit)
        if bound is not None and plan["jobs"] and value(plan, limit) > bound:
            exceeded.append(limit)
    return exceeded


def value(plan: Document, limit: str) -> float:
    """Return what a plan is expected to use of a limit: GPU-hours, USD or seconds. Raises BadInput where it is unknown."""
    total = plan["total"]
    if limit == "max_usd":
        if total["unpriced"] or total["usd"] is None:
            devices = sorted({job["device"] for job in plan["jobs"] if job["usd"] is None})
            raise BadInput(
                f"--max-usd: {count(total['unpriced'])} jobs run on {', '.join(devices)}, whose price is unknown; "
                "add `usd_per_hour` for it in a file and pass that to --machines"
            )
        return total["usd"]["expected"]
    if limit == "deadline":
        if plan["schedule"] is None:
            raise BadInput(f"--deadline: {plan['no_schedule']}")
        return plan["schedule"]["seconds"]
    return total["gpu_hours"]["expected"]


def shown(limit: str, amount: float) -> str:
    """Return an amount of a budget with its unit."""
    return span(amount) if limit == "deadline" else f"{number(amount)} {LIMITS[limit]}"


def refusal(plan: Document, request: PlanOptions, limits: list[str]) -> str:
    """Return the message to the user: by how much the plan is over budget, and which cuts would bring it under."""
    lines = []
    for limit in limits:
        bound = getattr(request, limit)
        lines.append(f"over budget: {shown(limit, value(plan, limit))} expected, {shown(limit, bound)} allowed")
        lines += [f"  {line}" for line in cuts(plan, limit, bound)]
    if request.fit_budget:
        lines += [line for limit in limits for line in fitted(plan, limit, getattr(request, limit))]
    else:
        lines.append(
            "`teachergrid plan --fit-budget` with these limits prints the config lines that keep as much of the grid as fits"
        )
    return "\n".join(lines)


# --- costs by teacher, base and seed


class Grid:
    """The cost of a plan by teacher, base and seed.

    cost: {(teacher, base, seed): sum over their jobs}; None in place of a name that the jobs do not depend on.
    names: {kind: names in the order in which they would be dropped}.
    """

    def __init__(self, plan: Document, limit: str) -> None:
        self.cost: dict[tuple[str | None, ...], float] = defaultdict(float)
        for job in plan["jobs"]:
            self.cost[tuple(job["words"].get(kind) for kind in KINDS)] += cost(job, limit, plan)
        # the costliest teachers and bases and the last seeds are dropped first
        self.names: dict[str, list[str]] = {}
        for i, kind in enumerate(KINDS):
            names = [(-self.share(i, name), name) for name in {key[i] for key in self.cost} if name is not None]
            self.names[kind] = [name for _, name in sorted(names)]
        self.names["seed"].sort(key=lambda name: -int(name.removeprefix("s")))

    def share(self, i: int, name: str) -> float:
        """Return the cost of all jobs that depend on one name. i: the index of its kind in KINDS."""
        return sum(n for key, n in self.cost.items() if key[i] == name)

    def without(self, dropped: dict[str, set[str]]) -> float:
        """Return the remaining cost when these names are dropped. dropped: {kind: names}."""
        dropped_by_index: list[set[str]] = [dropped.get(kind, set()) for kind in KINDS]
        return sum(
            n for key, n in self.cost.items() if not any(key[i] in dropped_by_index[i] for i in range(len(KINDS)))
        )


def cost(job: JobRow, limit: str, plan: Document) -> float:
    """Return what a job uses of a limit. For a deadline: its hours in the busiest pool, which approximately decides the end."""
    if limit == "max_usd" and job["usd"] is not None:
        return job["usd"]["expected"]
    work = (job["gpus"] or job["cpus"]) * job["seconds"]["expected"] / 3600
    counts = job["gpus"] if limit == "max_gpu_hours" else job["pool"] == busiest(plan)
    return work if counts else 0.0


def busiest(plan: Document) -> str:
    """Return the pool with the highest utilisation. The plan has a schedule: `value` refuses plans without one."""
    assert plan["schedule"] is not None
    return max(plan["schedule"]["utilisation"].items(), key=lambda item: sum(item[1]))[0]


def scaled(grid: Grid, plan: Document, limit: str, bound: float) -> float:
    """Return the bound in the unit of the grid's costs: a deadline becomes the same share of the hours in the busiest pool."""
    if limit != "deadline":
        return bound
    return bound / value(plan, limit) * sum(grid.cost.values())


# --- cuts


def cuts(plan: Document, limit: str, bound: float) -> list[str]:
    """Return a sentence for each way to get under the bound, the one that drops the fewest names first."""
    grid = Grid(plan, limit)
    bound = scaled(grid, plan, limit, bound)
    ways: list[tuple[int, float, str]] = []  # (names dropped, minus the remaining cost, sentence)
    for kind in KINDS:
        dropped: set[str] = set()
        # at least one of each kind stays: without it there is nothing to compare
        for name in grid.names[kind][: len(grid.names[kind]) - 1]:
            dropped.add(name)
            if (rest := grid.without({kind: dropped})) <= bound:
                names = [name for name in grid.names[kind] if name in dropped]
                ways.append((len(names), -rest, f"without {kind} {', '.join(names)}: {left(plan, limit, grid, rest)}"))
                break
    return [line for *_, line in sorted(ways)] or [
        "dropping only teachers, only bases or only seeds is not enough; try --fit-budget, smaller instruction sets or fewer suites"
    ]


def left(plan: Document, limit: str, grid: Grid, rest: float) -> str:
    """Return in words what the plan would use of a limit when `rest` of the grid's cost remains."""
    total = sum(grid.cost.values()) or 1.0
    return f"about {shown(limit, value(plan, limit) * rest / total)}"


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


def fitted(plan: Document, limit: str, bound: float) -> list[str]:
    """Return config lines that keep the most informative part of the grid within a bound, and a comment on what is lost."""
    grid = Grid(plan, limit)
    best = largest(grid, scaled(grid, plan, limit, bound))
    if best is None:
        return ["no part of the grid with two teachers fits this budget"]
    lines = ["exclude:  # under each grid of the config that has them"]
    lines += [
        f"  - {{{kind}: {name.removeprefix('s') if kind == 'seed' else name}}}"
        for kind in KINDS
        for name in best.dropped[kind]
    ]
    losses = [f"{len(best.dropped[kind])} of {len(grid.names[kind])} {kind}s" for kind in KINDS if best.dropped[kind]]
    cells = max(1, len(grid.names["base"])) * len(grid.names["teacher"])
    lines.append(
        f"# keeps {best.cells} of {cells} cells of base and teacher ({best.teachers} teachers a base), "
        f"{left(plan, limit, grid, best.rest)}; lost: {', '.join(losses) or 'nothing'}"
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
            if part is not None and (best is None or _information(part) > _information(best)):
                best = part
    return best


def _information(part: Part) -> tuple[int, int, int]:
    return part.cells, part.teachers, part.seeds


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
