"""teachergrid next: which further training seeds lower the expected regret of the choice most, for the hours that they take."""

import json
from argparse import Namespace
from pathlib import Path
from typing import NamedTuple

from ..cost import actuals
from ..decisions.conclusions import WORTH
from ..spec.ids import Model
from ..store import artifacts
from ..store.results import RESULTS

OF_A_STUDENT = ("finetune", "answer", "ask", "loss", "judge", "verify")  # jobs that one more seed needs


class Proposal(NamedTuple):
    """One more seed of a cell. gain: points of expected regret. hours: of GPUs, or of jobs without one; None: no such job is known."""

    grid: str
    cell: dict[str, str | int]  # as the config's `include` states it
    gain: float
    hours: float | None
    note: str | None

    @property
    def rate(self) -> float:
        """Points per hour; 0 where the hours are unknown."""
        return self.gain / self.hours if self.hours else 0.0


def main(own: Namespace) -> int:
    """Print the cells with the most points per hour. Return 2 where no grid has a summary with such rows."""
    found = [one for path in sorted(Path(RESULTS, "grids").glob("*/effects.parquet")) for one in of_grid(path.parent)]
    found.sort(key=lambda one: (-one.rate, -one.gain))
    if not found:
        print(
            f"{RESULTS}/grids: no grid has a summary (teachergrid run), or no further seed would change its choice",
            flush=True,
        )
        return 2
    print("\n".join(as_json(found[: own.most]) if own.json else lines(found[: own.most])))
    return 0


def of_grid(folder: Path) -> list[Proposal]:
    """Return the proposals of one grid. folder: its tables."""
    rows = [
        row
        for row in artifacts.read(folder / "effects.parquet", artifacts.EFFECTS).to_pylist()
        if row["effect"] == "next"
    ]
    performance = artifacts.read(folder / "performance.parquet", artifacts.PERFORMANCE).to_pylist()
    units = {
        (row["base"], row["panel"], row["unit"]): row
        for row in performance
        if row["measure"] == "AP" and row["kind"] == "student"
    }
    hours, found = student_hours(), []
    for row in rows:
        unit = units[row["base"], row["panel"], row["subject"]]
        names = {key: unit[key] for key in ("base", "corpus", "recipe")}
        of_base = [taken for (base, *_), taken in hours.items() if base == row["base"]]
        took = hours.get((unit["base"], unit["corpus"], unit["recipe"])) or mean(of_base)
        cell = {**names, "seed": max(unit["seeds"], default=0) + 1}
        found.append(Proposal(folder.name, cell, row["value"], took, row["reason"]))
    return [one for one in found if one.gain >= WORTH]


def student_hours() -> dict[tuple[str, str, str], float]:
    """Return {(base, corpus, recipe): mean hours of the jobs of one seed, times their GPUs}."""
    by_seed: dict[tuple[str, str, str], dict[int, float]] = {}
    for rule, jobs in actuals.load(RESULTS).jobs.items():
        for job in jobs if rule in OF_A_STUDENT else ():
            if student := Model.parse(job.cell.split("/")[0]).student:
                own = by_seed.setdefault((student.base, student.corpus, student.recipe), {})
                own[student.seed] = own.get(student.seed, 0.0) + job.seconds * max(1, job.work.gpus) / 3600
    return {name: sum(own.values()) / len(own) for name, own in by_seed.items()}


def mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def lines(found: list[Proposal]) -> list[str]:
    """Return the proposals as text, and as lines of a config."""
    texts = [
        "One more training seed of these lowers the expected loss of taking the best teacher seen, in points of AP:",
        "",
    ]
    for one in found:
        hours = "hours unknown" if one.hours is None else f"{one.hours:.3g} h, {one.rate:.3g} points an hour"
        texts.append(
            f"  {one.gain:6.3f}  {hours:32}  {one.grid}: {one.cell['corpus']} on {one.cell['base']}, seed {one.cell['seed']}"
        )
    for grid in dict.fromkeys(one.grid for one in found):
        cells = [", ".join(f"{key}: {value}" for key, value in one.cell.items()) for one in found if one.grid == grid]
        texts += ["", f"In the config, grids.{grid}:", "    include:", *(f"      - {{{cell}}}" for cell in cells)]
    return texts + [f"\nNote: it {note}." for note in dict.fromkeys(one.note for one in found if one.note)]


def as_json(found: list[Proposal]) -> list[str]:
    return [json.dumps([one._asdict() for one in found], indent=1)]
