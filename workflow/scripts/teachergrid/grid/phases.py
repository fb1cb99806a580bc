"""Which pilots have no result yet, and which jobs can follow once they have one."""

import json
from collections.abc import Callable
from itertools import product

from ..cost import resources
from ..spec.ids import Responses, pilot_subset
from . import pilot
from .cells import Cells

# (rule, row) -> the cost of a job, in any unit
Cost = Callable[[str, dict], float]


def waiting(cells: Cells) -> list[str]:
    """Return the grids whose pilot has no result yet; none for a partial report, which waits for nothing."""
    return [name for name, chosen in cells.chosen.items() if chosen is None and not cells.config["partial"]]


def at_most(cells: Cells, cost: Cost | None = None) -> Cells:
    """Return the largest table of cells that pilots without a result can lead to: their phase two with the costliest teachers.

    Different bases get different teachers as far as possible, since each further teacher adds a set of responses.
    cost: orders teachers by the cost of their full set of responses; by default GPU-minutes (cost.resources).
    """
    chosen = {**cells.chosen, **{name: most_expensive(cells, name, cost or _gpu_minutes) for name in waiting(cells)}}
    return Cells(cells.config, chosen)


def _gpu_minutes(rule: str, row: dict) -> float:
    return resources.minutes(rule, row, 1) * max(1, row["gpus"])


def most_expensive(cells: Cells, name: str, cost: Cost) -> pilot.Chosen:
    """Return for each base the costliest teachers, as many as the pilot of a grid keeps."""
    block, chosen = cells.config["grids"][name], pilot.Chosen()
    price: dict[str, float] = {}
    for instructions, teacher in product(block["instructions"], block["teachers"]):
        # the row of the pilot's job, with the number of rows of the full set
        subset = pilot_subset(instructions, block["pilot"]["sample"])
        if sample := cells.rows["generate"].get(str(Responses(subset, teacher))):
            full = {**sample, "rows": cells.build.rows_of([str(Responses(instructions, teacher))])}
            price[teacher] = price.get(teacher, 0) + cost("generate", full)
    for base, teachers in json.loads(cells.rows["pilot"][name]["spec"])["candidates"].items():
        taken = {teacher for others in chosen.values() for teacher in others}
        order = sorted(teachers, key=lambda teacher: (teacher in taken, -price[teacher], teacher))
        chosen[base] = order[: block["pilot"]["keep"]]
    return chosen


def upper_bound(cells: Cells, cost: Cost | None = None) -> list[tuple[str, str, dict]]:
    """Return (rule, cell, row) of each job that phase two can add to these cells (see at_most)."""
    more = at_most(cells, cost).rows if waiting(cells) else {}
    return [
        (rule, cell, row) for rule, rows in more.items() for cell, row in rows.items() if cell not in cells.rows[rule]
    ]
