"""The pilot of a grid block: all teachers answer a few instructions, and only those that its metrics rank first go on.

Phase one writes `results/grids/{grid}/pilot.json` (analysis.pilot computes it). Phase two is the block's cross product with the
teachers that this file lists for each base. A block is in phase two if the file exists and was made from the current spec;
otherwise only the jobs of the pilot are planned. We avoid Snakemake's `checkpoint` on purpose: one call of Snakemake covers one
phase of a block, so `plan` can show all jobs of a phase. `teachergrid run` starts the second phase by itself; plain `snakemake`
has to be called twice. `phases` says which grids wait for their pilot, and what may follow it.
"""

import hashlib
import json
from itertools import product
from pathlib import Path
from typing import NamedTuple

from ..spec import canonical
from ..spec.combinations import Combination, combinations
from ..spec.ids import Corpus, Responses, pilot_subset
from . import sets
from .builder import Builder
from .rows import PilotRow

# What a pilot chose: {base: [teachers]}, the best-ranked teacher first.
Chosen = dict[str, list[str]]
# {grid: what its pilot is taken to have chosen} while a plan looks ahead (phases.assumed)
ASSUMED: dict[str, Chosen] = {}


class Draft(NamedTuple):
    """What a pilot tries. entry: the block's; candidates: {base: [teachers]}."""

    entry: dict
    candidates: dict[str, list[str]]

    @property
    def sets(self) -> list[str]:
        """Names of the instruction sets that the pilot draws; config.checked adds them to the config."""
        return [
            pilot_subset(instructions, self.entry["pilot"]["sample"]) for instructions in self.entry["instructions"]
        ]

    @property
    def responses(self) -> list[str]:
        """Ids of the responses of all candidates, each once."""
        every = dict.fromkeys(teacher for teachers in self.candidates.values() for teacher in teachers)
        return [str(Responses(*pair)) for pair in product(self.sets, every)]

    def by_base(self) -> dict[str, list[str]]:
        """Return {base: ids of the responses of its candidates}."""
        return {
            base: [str(Responses(*pair)) for pair in product(self.sets, teachers)]
            for base, teachers in self.candidates.items()
        }


def candidates_of(cells: list[Combination]) -> dict[str, list[str]]:
    """Return {base: teachers of its cells}, each teacher once, in the order of the cells."""
    candidates: dict[str, dict[str, None]] = {}
    for cell in cells:
        if teacher := Corpus.parse(cell.corpus).teacher:
            candidates.setdefault(cell.base, {})[teacher] = None
    return {base: list(teachers) for base, teachers in candidates.items()}


def row(build: Builder, draft: Draft, scored: list[tuple[str, str]]) -> PilotRow:
    """Return the row of a pilot. scored: (scorer, responses) of all likelihoods that it reads."""
    config, settings, responses = build.config, draft.entry["pilot"], draft.responses
    rewards = build.rewards_of(settings["by"])
    return {
        "spec": canonical.dump(
            pilot=settings,
            candidates=draft.candidates,
            metrics={metric: config["metrics"][metric] for metric in settings["by"]},
            gates=config["health"]["gates"],
            made_by=input_specs(build, draft, rewards, {scorer for scorer, _ in scored}),
        ),
        "responses": responses,
        "rewards": rewards,
        "scorers": [scorer for scorer, _ in scored],
        "expecting": build.expecting(settings["by"], [scorer for scorer, _ in scored]),
        "scored": [source for _, source in scored],
        "rows": build.rows_of(responses),
    }


def input_specs(build: Builder, draft: Draft, rewards: list[str], scorers: set[str]) -> dict[str, str]:
    """Return {job: digest of its spec} of all jobs that a pilot's result depends on: it is out of date when one changes."""
    specs = {job: spec for name in draft.sets for job, spec in sets.specs(build, name).items()}
    specs |= {f"generate {name}": build.generate(name)["spec"] for name in draft.responses}
    specs |= {f"reward {name}": build.reward(name)["spec"] for name in rewards}
    specs |= {f"likelihood {name}": build.scorer(name)["spec"] for name in sorted(scorers)}
    return {name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in specs.items()}


def remaining(chosen: Chosen, cells: list[Combination]) -> list[Combination]:
    """Return the cells of phase two: those of the chosen teachers, and all of derived corpora."""
    return [cell for cell in cells if Corpus.parse(cell.corpus).teacher in (None, *chosen.get(cell.base, ()))]


def savings(build: Builder, all_cells: list[Combination], remaining_cells: list[Combination]) -> dict[str, int]:
    """Return how many students and response sets phase two has, and how many all cells of its block would have."""
    counts = {}
    for part, cells in (("kept", remaining_cells), ("all", all_cells)):
        counts[f"students_{part}"] = len(cells)
        counts[f"responses_{part}"] = len({source for cell in cells for source in build.sources(cell.corpus)})
    return counts


def complete(config: dict, block: dict, all_cells: list[Combination]) -> list[str]:
    """Return the grids without a pilot that contain all cells of a block and measure the same performance.

    They show what the pilot loses: the performance of the teachers that it dropped.
    """
    return [
        name
        for name, other in config["grids"].items()
        if other["pilot"] is None
        and other["performance"] == block["performance"]
        and other["primary_judges"] == block["primary_judges"]
        and other["compare"] == block["compare"]
        and set(all_cells) <= set(combinations(name, other))
    ]


def path(results: str, name: str) -> Path:
    """Return the file of a pilot's result. name: the grid's."""
    return Path(results, "grids", name, "pilot.json")


def read(results: str, name: str, spec: str) -> Chosen | None:
    """Return what a pilot chose, or what is ASSUMED of it; None where there is no result, or it was made from another spec."""
    if name in ASSUMED:
        return ASSUMED[name]
    file = path(results, name)
    result = json.loads(file.read_text()) if file.is_file() else {}
    if result.get("origin", {}).get("spec") != spec:
        return None
    return {base: ranking["kept"] for base, ranking in result["bases"].items()}
