"""A pilot of a grid block: all teachers answer a few instructions, and only those that its metrics rank first go on.

Phase one makes `results/grids/{grid}/pilot.json` (pilot_ranking.py). Phase two is the block's cross product with the teachers
that this file keeps for each base. A block is in phase two if the file exists and was made from the present spec; otherwise
only the jobs of the pilot are planned. Snakemake's `checkpoint` is avoided on purpose: each call of Snakemake has one phase of
a block, so that `plan` can show all of its jobs. `teachergrid run` goes on with the second phase by itself; plain `snakemake`
is called twice.
"""

import hashlib
import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..cost import resources
from ..spec import canonical
from ..spec.ids import Corpus, Responses, pilot_subset
from ..store import origin
from .builder import Builder
from .combinations import Combination, combinations
from .rows import PilotRow

if TYPE_CHECKING:
    from .cells import Cells

SETTLED = ".pilots.json"
# What a pilot chose: {base: [teachers]}, the first ranked first.
Chosen = dict[str, list[str]]
# Return the price of a job: (rule, row) -> number.
Cost = Callable[[str, dict], float]


# --- expansion of the config


class Draft(NamedTuple):
    """What a pilot tries. entry: the block's; candidates: {base: [teachers]}."""

    entry: dict
    candidates: dict[str, list[str]]

    @property
    def sets(self) -> list[str]:
        """The sets of instructions that it draws, which the check of the config adds (config.checked)."""
        return [
            pilot_subset(instructions, self.entry["pilot"]["sample"]) for instructions in self.entry["instructions"]
        ]

    @property
    def responses(self) -> list[str]:
        """Of all candidates, each once."""
        every = dict.fromkeys(teacher for teachers in self.candidates.values() for teacher in teachers)
        return [str(Responses(*pair)) for pair in product(self.sets, every)]

    def by_base(self) -> dict[str, list[str]]:
        """Return the responses of the candidates of each base."""
        return {
            base: [str(Responses(*pair)) for pair in product(self.sets, teachers)]
            for base, teachers in self.candidates.items()
        }


def candidates_of(cells: list[Combination]) -> dict[str, list[str]]:
    """Return the teachers of these cells for each base."""
    candidates: dict[str, dict[str, None]] = {}
    for cell in cells:
        if teacher := Corpus.parse(cell.corpus).teacher:
            candidates.setdefault(cell.base, {})[teacher] = None
    return {base: list(teachers) for base, teachers in candidates.items()}


def row(build: Builder, draft: Draft, scored: list[tuple[str, str]]) -> PilotRow:
    """Return the row of a pilot. scored: (scorer, responses) of all likelihoods that it joins."""
    config, settings, responses = build.config, draft.entry["pilot"], draft.responses
    rewards = build.rewards_of(settings["by"])
    return {
        "spec": canonical.dump(
            pilot=settings,
            candidates=draft.candidates,
            metrics={metric: config["metrics"][metric] for metric in settings["by"]},
            gates=config["health"]["gates"],
            made_by=made_by(build, draft, rewards, {scorer for scorer, _ in scored}),
        ),
        "responses": responses,
        "rewards": rewards,
        "scorers": [scorer for scorer, _ in scored],
        "scored": [source for _, source in scored],
        "rows": build.rows_of(responses),
    }


def made_by(build: Builder, draft: Draft, rewards: list[str], scorers: set[str]) -> dict[str, str]:
    """Return a digest of each spec that a pilot's result follows from: it is stale as soon as one of them changes."""
    specs = {f"load_instructions {name}": build.instructions(name)["spec"] for name in draft.sets}
    specs |= {f"generate {name}": build.generate(name)["spec"] for name in draft.responses}
    specs |= {f"reward {name}": build.reward(name)["spec"] for name in rewards}
    specs |= {f"likelihood {name}": build.scorer(name)["spec"] for name in sorted(scorers)}
    return {name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in specs.items()}


def remaining(chosen: Chosen, cells: list[Combination]) -> list[Combination]:
    """Return the cells of phase two: those of the teachers that were chosen, and all derived corpora."""
    return [cell for cell in cells if Corpus.parse(cell.corpus).teacher in (None, *chosen.get(cell.base, ()))]


def savings(build: Builder, whole: list[Combination], left: list[Combination]) -> dict[str, int]:
    """Return how many students and response sets phase two has, and how many all cells of its block would have."""
    counts = {}
    for part, cells in (("kept", left), ("all", whole)):
        counts[f"students_{part}"] = len(cells)
        counts[f"responses_{part}"] = len({source for cell in cells for source in build.sources(cell.corpus)})
    return counts


def complete(config: dict, block: dict, whole: list[Combination]) -> list[str]:
    """Return the grids without a pilot that hold all cells of a block, with the same performance: they know what it loses."""
    return [
        name
        for name, other in config["grids"].items()
        if other["pilot"] is None
        and other["performance"] == block["performance"]
        and other["compare"] == block["compare"]
        and set(whole) <= set(combinations(name, other))
    ]


# --- the result, and what the jobs of a run expand their config with


def path(results: str, name: str) -> Path:
    """Return the file of a pilot's result. name: the grid's."""
    return Path(results, "grids", name, "pilot.json")


def read(results: str, name: str, spec: str) -> Chosen | None:
    """Return what a pilot chose, None where there is no result of this spec."""
    file = path(results, name)
    result = json.loads(file.read_text()) if file.is_file() else {}
    if result.get("origin", {}).get("spec") != spec:
        return None
    return {base: answer["kept"] for base, answer in result["bases"].items()}


def settle(results: str, chosen: dict[str, Chosen | None]) -> None:
    """Write down what a run expanded its config with, for its jobs: a pilot may be made anew before they expand it, too."""
    file, text = Path(results, SETTLED), json.dumps(chosen)
    if chosen and (not file.is_file() or file.read_text() != text):
        origin.replace_text(file, text)


def settled(results: str) -> dict[str, Chosen | None]:
    """Return what the run of this job expanded its config with, {grid: what its pilot chose}."""
    file = Path(results, SETTLED)
    return json.loads(file.read_text()) if file.is_file() else {}


def waiting(cells: "Cells") -> list[str]:
    """Return the grids in phase one. A report over what exists waits for none."""
    return [name for name, chosen in cells.chosen.items() if chosen is None and not cells.config["partial"]]


# --- the plan


def at_most(cells: "Cells", cost: Cost | None = None) -> "Cells":
    """Return the table of cells with phase two of all that is in phase one, with the most expensive teachers chosen.

    cost(rule, row) orders them by their full set of responses; by default the GPU-minutes of costs. Bases take different
    teachers as long as there are others, since each further teacher generates its responses, too.
    """
    chosen = {**cells.chosen, **{name: most_expensive(cells, name, cost or _gpu_minutes) for name in waiting(cells)}}
    return type(cells)(cells.config, chosen)


def _gpu_minutes(rule: str, row: dict) -> float:
    return resources.minutes(rule, row, 1) * max(1, row["gpus"])


def most_expensive(cells: "Cells", name: str, cost: Cost) -> Chosen:
    """Return for each base as many teachers as the pilot of a grid keeps, the most expensive ones."""
    block, chosen = cells.config["grids"][name], Chosen()
    price: dict[str, float] = {}
    for instructions, teacher in product(block["instructions"], block["teachers"]):
        # the pilot's row, with as many rows as the full set has
        subset = pilot_subset(instructions, block["pilot"]["sample"])
        if sample := cells.rows["generate"].get(str(Responses(subset, teacher))):
            full = {**sample, "rows": cells.build.rows_of([str(Responses(instructions, teacher))])}
            price[teacher] = price.get(teacher, 0) + cost("generate", full)
    for base, teachers in json.loads(cells.rows["pilot"][name]["spec"])["candidates"].items():
        taken = {teacher for others in chosen.values() for teacher in others}
        order = sorted(teachers, key=lambda teacher: (teacher in taken, -price[teacher], teacher))
        chosen[base] = order[: block["pilot"]["keep"]]
    return chosen


def upper_bound(cells: "Cells", cost: Cost | None = None) -> list[tuple[str, str, dict]]:
    """Return (rule, cell, row) of each job that phase two can add to these cells at most (see at_most)."""
    more = at_most(cells, cost).rows if waiting(cells) else {}
    return [
        (rule, cell, row) for rule, rows in more.items() for cell, row in rows.items() if cell not in cells.rows[rule]
    ]
