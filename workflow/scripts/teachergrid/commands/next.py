"""teachergrid next: what lowers the expected loss of the choice most, for the hours that it takes.

That is one more training seed of a cell, one more teacher, more benchmark items, or more responses for the metric that chooses whom to train.
"""

import json
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from ..analysis.scores import UNIT_WORDS
from ..cost import actuals
from ..decisions.components import AFTER, MORE_ITEMS, NEXT, TRAINED
from ..decisions.conclusions import WORTH
from ..decisions.fronts import COST, FRONT, MORE_RESPONSES, PILOT
from ..spec.ids import Model, Responses
from ..store import artifacts
from ..store.results import RESULTS

# jobs that one more seed needs; those of them that take longer with more benchmark items; what one more teacher needs, beside students
OF_A_STUDENT = ("finetune", "answer", "ask", "loss", "judge", "verify")
OF_ITEMS = OF_A_STUDENT[1:]
OF_RESPONSES = ("generate", "check", "gate", "reward", "likelihood", "metric")
STUDENT = tuple[str, str, str]  # base, corpus, recipe


class Proposal(NamedTuple):
    """One thing more. gain: points of expected loss, over all bases that it serves. hours: of GPUs, or of jobs without one; None: unknown."""

    grid: str
    what: str
    cell: dict[str, str | int] | None  # one more seed: as the config's `include` states it
    gain: float
    hours: float | None
    note: str | None = None

    @property
    def rate(self) -> float:
        """Points per hour; 0 where the hours are unknown."""
        return self.gain / self.hours if self.hours else 0.0


class Hours(NamedTuple):
    """Hours of finished jobs, times their GPUs; of a job that ran again, of its last run."""

    students: dict[STUDENT, float]  # of one seed
    items: dict[STUDENT, float]  # the part of it that grows with the benchmark items
    responses: dict[str, float]  # {responses: of all jobs that write and measure them}


def main(own: Namespace) -> int:
    """Print what gains the most points per hour. Return 2 where no grid has a summary."""
    folders = [path.parent for path in sorted(Path(RESULTS, "grids").glob("*/effects.parquet"))]
    hours = hours_of_jobs() if folders else Hours({}, {}, {})
    found = ranked([one for folder in folders for one in of_grid(folder, hours)])
    cheap = [one for folder in folders for one in fronts(folder)]
    if not folders:
        print(f"{RESULTS}/grids: no grid has a summary; `teachergrid run` makes it", flush=True)
        return 2
    if own.json:
        shown = [one._asdict() for one in found[: own.most]]
        print(json.dumps({"proposals": shown, "fronts": cheap}, indent=1))
    else:
        print("\n".join(lines(found[: own.most], cheap)))
    return 0


def ranked(found: list[Proposal]) -> list[Proposal]:
    """Return proposals, those with the most points per hour first; where hours are unknown, by points."""
    return sorted(found, key=lambda one: (-one.rate, -one.gain))


# --- what each thing more gains, and takes


def of_grid(folder: Path, hours: Hours) -> list[Proposal]:
    """Return the proposals of one grid. folder: its tables."""
    effects = artifacts.read(folder / "effects.parquet", artifacts.EFFECTS).to_pylist()
    units = [
        row
        for row in artifacts.read(folder / "performance.parquet", artifacts.PERFORMANCE).to_pylist()
        if row["measure"] == "AP" and row["kind"] == "student"
    ]
    compare = yaml.safe_load((folder / "recommendation.yaml").read_text())["compare"]
    panels = list(dict.fromkeys(row["panel"] for row in units))
    found = [*_seeds(folder.name, effects, units, hours)]
    for panel in panels:
        own = [row for row in effects if row["panel"] == panel]
        cells = [row for row in units if row["panel"] == panel]
        more = [*_items(folder.name, own, cells, hours), *_unit(folder.name, compare, own, cells, hours)]
        more += _responses(folder.name, own, cells, hours)
        found += [one._replace(what=f"{one.what} ({panel})") if len(panels) > 1 else one for one in more]
    return [one for one in found if one.gain >= WORTH]


def _seeds(grid: str, effects: list[dict], units: list[dict], hours: Hours) -> Iterable[Proposal]:
    by_cell = {(row["base"], row["panel"], row["unit"]): row for row in units}
    for row in effects:
        if row["effect"] == NEXT:
            unit = by_cell[row["base"], row["panel"], row["subject"]]
            cell = {
                **{key: unit[key] for key in ("base", "corpus", "recipe")},
                "seed": max(unit["seeds"], default=0) + 1,
            }
            what = f"{cell['corpus']} on {cell['base']}, seed {cell['seed']}"
            note = f"what a further seed gains {row['reason']}" if row["reason"] else None
            yield Proposal(grid, what, cell, row["value"], _of_student(hours.students, unit), note)


def _items(grid: str, effects: list[dict], units: list[dict], hours: Hours) -> Iterable[Proposal]:
    """Yield what more benchmark items gain on each base, where all its students answer them."""
    for base, gain in _gains(effects, AFTER, "now", f"{MORE_ITEMS} more items", "regret").items():
        own = [row for row in units if row["base"] == base and row["n_items"]]
        took = [(_of_student(hours.items, row), row) for row in own]
        known = [value * len(row["seeds"]) * MORE_ITEMS / row["n_items"] for value, row in took if value is not None]
        total = sum(known) if own and len(known) == len(own) else None
        note = "more items gain so much on average over grids like this one"
        yield Proposal(grid, f"{MORE_ITEMS} more benchmark items for {base}", None, gain, total, note)


def _unit(grid: str, compare: str, effects: list[dict], units: list[dict], hours: Hours) -> Iterable[Proposal]:
    """Yield what one more teacher, or other thing that is compared, gains on all bases: it may be better than the best so far.

    It takes as many training seeds as those of the grid have. What it takes to evolve another instruction set is not known.
    """
    gains = _gains(effects, AFTER, "one more teacher", "now", "best")
    of_responses = _mean([hours.responses[row["corpus"]] for row in units if row["corpus"] in hours.responses])
    parts = [0.0 if compare == "recipe" else None if compare == "instructions" else of_responses]
    for base in gains:
        own = [row for row in units if row["base"] == base and row["seeds"]]
        took, seeds = [_of_student(hours.students, row) for row in own], _mean([len(row["seeds"]) for row in own])
        known = _mean([value for value in took if value is not None])
        parts.append(None if known is None or seeds is None else known * seeds)
    if gains:
        word, known_parts = UNIT_WORDS[compare][0], [part for part in parts if part is not None]
        total = sum(known_parts) if len(known_parts) == len(parts) else None
        note = f"one more {word} gains so much on average, if it is one like those of this grid"
        yield Proposal(grid, f"one more {word}, on all bases", None, sum(gains.values()), total, note)


def _responses(grid: str, effects: list[dict], units: list[dict], hours: Hours) -> Iterable[Proposal]:
    """Yield what twice the responses gain where only the first of the primary metric are trained."""
    gains = _gains(effects, PILOT, "now", MORE_RESPONSES)
    corpora = dict.fromkeys(row["corpus"] for row in units if row["teacher"])
    known = [hours.responses[name] for name in corpora if name in hours.responses]
    if gains:
        total = sum(known) if len(known) == len(corpora) else None
        note = f"more responses gain at most so much, and only where no more than the first {TRAINED} of the primary metric are trained"
        yield Proposal(grid, f"{MORE_RESPONSES} for the primary metric", None, sum(gains.values()), total, note)


def _gains(effects: list[dict], effect: str, more: str, less: str, other: str | None = None) -> dict[str, float]:
    """Return {base: value of the row about `more` minus that about `less`}."""
    values = {
        (row["base"], row["subject"]): row["value"]
        for row in effects
        if row["effect"] == effect and other in (None, row["other"]) and row["value"] is not None
    }
    bases = dict.fromkeys(base for base, _ in values)
    return {
        base: values[base, more] - values[base, less] for base in bases if {(base, more), (base, less)} <= {*values}
    }


def _of_student(hours: dict[STUDENT, float], unit: dict) -> float | None:
    """Return the hours of a unit's student, or the mean of its base where it has none."""
    of_base = [taken for (base, *_), taken in hours.items() if base == unit["base"]]
    return hours.get((unit["base"], unit["corpus"], unit["recipe"])) or _mean(of_base)


def hours_of_jobs() -> Hours:
    """Return what the finished jobs of the results folder took."""
    jobs = actuals.load(RESULTS).jobs
    # a job that ran again counts once
    last = {(rule, job.cell): job.seconds * max(1, job.work.gpus) / 3600 for rule in jobs for job in jobs[rule]}
    seeds: dict[STUDENT, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    items: dict[STUDENT, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    responses: dict[str, float] = defaultdict(float)
    for (rule, cell), took in last.items():
        student = Model.parse(cell.split("/")[0]).student if rule in OF_A_STUDENT else None
        if student:
            name = student.base, student.corpus, student.recipe
            seeds[name][student.seed] += took
            items[name][student.seed] += took if rule in OF_ITEMS else 0.0
        elif rule in OF_RESPONSES and _is_responses(cell.split("/")[-1]):
            responses[cell.split("/")[-1]] += took
    return Hours(_of_seeds(seeds), _of_seeds(items), dict(responses))


def _of_seeds(hours: dict[STUDENT, dict[int, float]]) -> dict[STUDENT, float]:
    """Return the mean over seeds."""
    return {name: sum(own.values()) / len(own) for name, own in hours.items()}


def _is_responses(name: str) -> bool:
    try:
        return bool(Responses.parse(name))
    except ValueError:
        return False


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


# --- what is told


def fronts(folder: Path) -> list[dict]:
    """Return for each base of a grid the teachers that none beats for as little: {"grid", "base", "panel", "teachers": [{"teacher", "cost", "ap"}]}.

    cost: over that of the cheapest teacher. ap: in points.
    """
    effects = artifacts.read(folder / "effects.parquet", artifacts.EFFECTS).to_pylist()
    table = artifacts.read(folder / "performance.parquet", artifacts.PERFORMANCE).to_pylist()
    ap = {
        (r["base"], r["panel"], r["unit"]): r["value"] for r in table if r["measure"] == "AP" and r["kind"] == "student"
    }
    costs = {(r["base"], r["panel"], r["subject"]): r["value"] for r in effects if r["effect"] == COST}
    found: dict[tuple[str, str], list[dict]] = defaultdict(list)
    for row in effects:
        if row["effect"] == FRONT and row["other"] is None:
            cell = row["base"], row["panel"], row["subject"]
            found[cell[:2]].append({"teacher": row["subject"], "cost": costs[cell], "ap": ap[cell]})
    return [
        {"grid": folder.name, "base": base, "panel": panel, "teachers": sorted(own, key=lambda one: one["cost"])}
        for (base, panel), own in found.items()
    ]


def lines(found: list[Proposal], cheap: list[dict]) -> list[str]:
    """Return the proposals as text, and as lines of a config; then the fronts of cost and quality."""
    texts = ["By how many points of AP the expected loss of taking the best one seen falls with:", ""]
    if not found:
        texts = ["Nothing further is expected to make a choice better."]
    for one in found:
        hours = "hours unknown" if one.hours is None else f"{one.hours:.3g} h, {one.rate:.3g} points an hour"
        texts.append(f"  {one.gain:6.3f}  {hours:32}  {one.grid}: {one.what}")
    for grid in dict.fromkeys(one.grid for one in found if one.cell):
        own = [one.cell for one in found if one.grid == grid and one.cell]
        cells = [", ".join(f"{key}: {value}" for key, value in cell.items()) for cell in own]
        texts += ["", f"In the config, grids.{grid}:", "    include:", *(f"      - {{{cell}}}" for cell in cells)]
    texts += [f"\nNote: {note}." for note in dict.fromkeys(one.note for one in found if one.note)]
    if cheap:
        texts += [
            "",
            "No teacher that costs as little is better (cost: parameters x tokens written, over the cheapest):",
        ]
    for front in cheap:
        named = ", ".join(f"{one['teacher']} (x{one['cost']:.3g}, AP {one['ap']:.1f})" for one in front["teachers"])
        places = [one["panel"] for one in cheap if (one["grid"], one["base"]) == (front["grid"], front["base"])]
        where = f"{front['base']} ({front['panel']})" if len(places) > 1 else front["base"]
        texts.append(f"  {front['grid']}, {where}: {named}")
    return texts
