"""A pilot of a grid block: all teachers answer a few instructions, and only those that its metrics rank first go on.

Phase one makes `results/grids/{grid}/pilot.json` (pilot_ranking.py). Phase two is the block's cross product with the teachers
that this file keeps for each base. Which phase a block is in follows from the file alone, when the config is expanded: while
there is none, or one that another spec made, phase one is all there is. So there is no checkpoint: each call of Snakemake has
one phase of a block. `teachergrid run` goes on with the second by itself; plain `snakemake` is called twice.

What a pilot chose is {base: [teachers]}, the first ranked first; None in phase one.
"""

import hashlib
import json
from itertools import product
from pathlib import Path

from . import canonical, costs, origin
from .ids import Corpus, Responses, pilot_subset

SETTLED = ".pilots.json"


# --- expansion of the config


def add(cells, name: str, block: dict, found: list[tuple]) -> dict | None:
    """Add the jobs of a block's pilot to the table of cells (grid.Cells). Return what it chose.

    found: all cells of the block (blocks.combinations); every teacher of one is a candidate for its base.
    """
    asked, candidates = block["pilot"], candidates_of(found)
    sets = [pilot_subset(instructions, asked["sample"]) for instructions in block["instructions"]]
    scored = []
    for base, teachers in candidates.items():
        sources = [str(Responses(*pair)) for pair in product(sets, teachers)]
        scored += product(cells.add_measures(asked["by"], base, sources)["scorers"], sources)
    every = dict.fromkeys(teacher for teachers in candidates.values() for teacher in teachers)
    responses = [str(Responses(*pair)) for pair in product(sets, every)]
    rewards, scored = cells.rewards_of(asked["by"]), list(dict.fromkeys(scored))
    text = canonical.dump(
        pilot=asked,
        candidates=candidates,
        metrics={metric: cells.config["metrics"][metric] for metric in asked["by"]},
        gates=cells.config["health"]["gates"],
        made_by=made_by(cells, sets, responses, rewards, {scorer for scorer, _ in scored}),
    )
    cells.rows["pilot"][name] = {
        "spec": text,
        "responses": responses,
        "rewards": rewards,
        "scorers": [scorer for scorer, _ in scored],
        "scored": [source for _, source in scored],
        "rows": cells.rows_of(responses),
    }
    chosen = cells.given[name] if name in cells.given else read(cells.results, name, text)
    cells.chosen[name] = chosen
    return chosen


def candidates_of(found: list[tuple]) -> dict[str, list[str]]:
    candidates = {}
    for base, corpus, *_ in found:
        if teacher := Corpus.parse(corpus).teacher:
            candidates.setdefault(base, {})[teacher] = None
    return {base: list(teachers) for base, teachers in candidates.items()}


def made_by(cells, sets: list[str], responses: list[str], rewards: list[str], scorers: set[str]) -> dict[str, str]:
    """Return a digest of the spec of all that a pilot rests on: its result is stale as soon as one of them is another."""
    rows = {f"load_instructions {name}": cells.rows["load_instructions"][name] for name in sets}
    rows |= {f"generate {name}": cells.rows["generate"][name] for name in responses}
    rows |= {f"reward {name}": cells.reward_row(name) for name in rewards}
    rows |= {f"likelihood {name}": cells.scorer_row(name) for name in sorted(scorers)}
    return {name: hashlib.sha256(row["spec"].encode()).hexdigest()[:16] for name, row in rows.items()}


def kept(chosen: dict, found: list[tuple]) -> list[tuple]:
    """Return the cells of phase two: those of the teachers that were chosen, and all derived corpora."""
    return [cell for cell in found if Corpus.parse(cell[1]).teacher in (None, *chosen.get(cell[0], ()))]


def savings(cells, whole: list[tuple], left: list[tuple]) -> dict:
    """Return how many students and response sets phase two has, and how many all cells of its block would have."""
    counts = {}
    for part, found in (("kept", left), ("all", whole)):
        counts |= {f"students_{part}": len(found)}
        counts |= {f"responses_{part}": len({source for cell in found for source in cells.sources(cell[1])})}
    return counts


def complete(config: dict, block: dict, whole: list[tuple], combinations) -> list[str]:
    """Return the grids without a pilot that hold all cells of a block, with the same performance: they know what it loses."""
    return [
        name
        for name, other in config["grids"].items()
        if other["pilot"] is None
        and other["performance"] == block["performance"]
        and other["compare"] == block["compare"]
        if set(whole) <= set(combinations(name, other))
    ]


# --- the result, and what a run has settled on


def path(results: str, name: str) -> Path:
    return Path(results, "grids", name, "pilot.json")


def read(results: str, name: str, text: str) -> dict | None:
    """Return what a pilot chose, None where there is no result of this spec."""
    file = path(results, name)
    found = json.loads(file.read_text()) if file.is_file() else {}
    if found.get("origin", {}).get("spec") != text:
        return None
    return {base: answer["kept"] for base, answer in found["bases"].items()}


def settle(results: str, chosen: dict) -> None:
    """Write down what a run expanded its config with, for its jobs: they expand it, too, maybe after a pilot was made anew."""
    file, text = Path(results, SETTLED), json.dumps(chosen)
    if chosen and (not file.is_file() or file.read_text() != text):
        origin.replace_text(file, text)


def settled(results: str) -> dict:
    """Return what the run of this job has settled on, {grid: what its pilot chose}."""
    file = Path(results, SETTLED)
    return json.loads(file.read_text()) if file.is_file() else {}


def waiting(cells) -> list[str]:
    """Return the grids in phase one. A report over what exists waits for none."""
    return [name for name, chosen in cells.chosen.items() if chosen is None and not cells.config["partial"]]


# --- the plan


def at_most(cells, cost=None):
    """Return the table of cells with phase two of all that is in phase one, with the most expensive teachers chosen.

    cost(rule, row) orders them by their full set of responses; by default the GPU-minutes of costs. Bases take different
    teachers as long as there are others, since each further teacher generates its responses, too.
    """
    cost = cost or (lambda rule, row: costs.minutes(rule, row, 1) * max(1, row["gpus"]))
    chosen = {name: most_expensive(cells, name, cost) for name in waiting(cells)}
    return type(cells)(cells.config, cells.chosen | chosen, cells.results)


def most_expensive(cells, name: str, cost) -> dict[str, list[str]]:
    block, price, chosen = cells.config["grids"][name], {}, {}
    for instructions, teacher in product(block["instructions"], block["teachers"]):
        # the pilot's row, with as many rows as the full set has
        row = cells.rows["generate"].get(str(Responses(pilot_subset(instructions, block["pilot"]["sample"]), teacher)))
        if row:
            full = {**row, "rows": cells.rows_of([str(Responses(instructions, teacher))])}
            price[teacher] = price.get(teacher, 0) + cost("generate", full)
    for base, teachers in json.loads(cells.rows["pilot"][name]["spec"])["candidates"].items():
        taken = {teacher for others in chosen.values() for teacher in others}
        order = sorted(teachers, key=lambda teacher: (teacher in taken, -price[teacher], teacher))
        chosen[base] = order[: block["pilot"]["keep"]]
    return chosen


def upper_bound(cells, cost=None) -> list[tuple[str, str, dict]]:
    """Return (rule, cell, row) of each job that phase two can add to these cells at most (see at_most)."""
    more = at_most(cells, cost).rows if waiting(cells) else {}
    return [
        (rule, cell, row) for rule, rows in more.items() for cell, row in rows.items() if cell not in cells.rows[rule]
    ]
