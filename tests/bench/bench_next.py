"""Are the cells that `teachergrid next` proposes worth their hours? Its first proposals against random ones, where the truth is known.

    python tests/bench/bench_next.py --grids 100                             # simulated grids
    python tests/bench/bench_next.py --results results --suite miniworld     # a finished grid of several seeds

All cells start with one training seed. A proposal shows one more seed of a cell, up to three. What is taken at the end is the
best teacher seen of each base. A line says by how many points its true regret fell, and that for each hour.

Simulated teachers truly differ by a given share of the demo's spread. In a finished grid each draw hides all seeds but one. The truth of a
cell is the mean of the seeds that no draw shows, or of all three where there are no others.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from bench_statistics import grid
from teachergrid.analysis.columns import Table
from teachergrid.commands.next import Proposal, ranked
from teachergrid.decisions.components import NEXT, component_rows
from teachergrid.spec.ids import Model
from teachergrid.store import artifacts

SHOWN = 3  # seeds that a cell can have
FIRST = (1, 2, 3, 4, 6)  # numbers of proposals after which the regret is taken
HOURS = (1.0, 1.4)  # of one seed on a base, as on the demo's two
Cell = tuple[int, int]  # base, teacher


class Study(NamedTuple):
    """A grid of which some seeds are shown. Scores are 0 to 1, the truth is in points."""

    cube: np.ndarray  # [bases, teachers, seeds, items]; the first SHOWN seeds can be shown
    truth: np.ndarray  # [bases, teachers]
    hours: np.ndarray  # [bases], of one seed


def simulated(number: int, spread: float, seed_sd: float) -> Study:
    """Return a grid of 2 bases x 8 teachers. spread, seed_sd: in logits; 0.05 is about a point."""
    rng = np.random.default_rng([17, number])
    drawn = grid(rng, 8, 2, SHOWN, seed_sd, spread, 0.3 * spread)
    # a mean over the items of all benchmarks like this one
    points, weights = np.polynomial.hermite_e.hermegauss(31)
    over_items = 1 / (1 + np.exp(-(drawn.truth[..., None] + 1.2 * points - 0.3)))
    return Study(drawn.cube, 100 * over_items @ (weights / weights.sum()), np.array(HOURS))


def finished(results: Path, suite: str, judge: str) -> np.ndarray:
    """Return the scores [bases, teachers, seeds, items] of a grid whose cells all have the same seeds."""
    found: dict[tuple[str, str], dict[int, np.ndarray]] = defaultdict(dict)
    for path in sorted(results.glob(f"scores/*/{suite}/{judge}.parquet")):
        if student := Model.parse(path.parts[-3]).student:
            table = artifacts.read(path, artifacts.SCORES).sort_by([("task", "ascending"), ("id", "ascending")])
            found[student.base, student.corpus][student.seed] = table["score"].to_numpy()
    bases, teachers = (list(dict.fromkeys(names)) for names in zip(*found, strict=True))
    return np.array([[[*found[base, teacher].values()] for teacher in teachers] for base in bases])


def hidden(cube: np.ndarray, number: int) -> Study:
    """Return a finished grid with its seeds in another order, so that other ones are shown. Needs SHOWN seeds or more."""
    order = np.random.default_rng([18, number]).permutation(cube.shape[2])
    cube = cube[:, :, order]
    of_truth = cube[:, :, SHOWN:] if cube.shape[2] > SHOWN else cube
    return Study(cube[:, :, :SHOWN], 100 * of_truth.mean((2, 3)), np.array(HOURS)[: len(cube)])


# --- ways to choose cells


def proposed(study: Study, shown: np.ndarray) -> list[Cell]:
    """Return the cells in the order of `teachergrid next`. shown: seeds of each cell [bases, teachers]."""
    n = len(study.truth[0])
    blank = {
        "values": {},
        "self_pair": np.zeros(n, bool),
        "families": [None] * n,
        "draws": np.empty((0, n)),
        "ceiling": None,
    }
    tables = {}
    for base, cells in enumerate(study.cube):
        items = [scores[:count] for scores, count in zip(cells, shown[base], strict=True)]
        ap = 100 * np.array([scores.mean() for scores in items])
        tables[str(base)] = Table([str(i) for i in range(n)], ap, items=items, **blank)
    rows = [row for row in component_rows(tables) if row["effect"] == NEXT]
    found = [
        Proposal(
            "",
            "",
            {"base": int(row["base"]), "teacher": int(row["subject"])},
            row["value"],
            study.hours[int(row["base"])],
        )
        for row in rows
    ]
    cells = [(one.cell["base"], one.cell["teacher"]) for one in ranked(found)]
    return [cell for cell in cells if shown[cell] < SHOWN]


def one_by_one(study: Study, rng: np.random.Generator) -> Iterator[Cell]:
    """Yield the first proposal, and after its run the first of the next list."""
    shown = np.ones_like(study.truth, int)
    while cells := proposed(study, shown):
        shown[cells[0]] += 1
        yield cells[0]


def at_once(study: Study, rng: np.random.Generator) -> Iterator[Cell]:
    """Yield the proposals of the first list, in its order."""
    yield from proposed(study, np.ones_like(study.truth, int))


def at_random(study: Study, rng: np.random.Generator) -> Iterator[Cell]:
    seeds = [cell for cell in np.ndindex(study.truth.shape) for _ in range(SHOWN - 1)]
    yield from (seeds[i] for i in rng.permutation(len(seeds)))


WAYS: dict[str, Callable[[Study, np.random.Generator], Iterator[Cell]]] = {
    "next, one by one": one_by_one,
    "next, its first list": at_once,
    "random": at_random,
}


def falls(study: Study, way: Callable, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Return (points by which the true regret fell, hours) after each number of proposals of FIRST."""
    shown, hours, found = np.ones_like(study.truth, int), 0.0, []
    before = taken(study, shown)
    for number, cell in enumerate(way(study, rng), 1):
        shown[cell] += 1
        hours += study.hours[cell[0]]
        if number in FIRST:
            found.append((taken(study, shown) - before, hours))
        if number == max(FIRST):
            break
    return found


def taken(study: Study, shown: np.ndarray) -> float:
    """Return the true performance of the best teacher seen, in points, as the mean over bases."""
    means = [
        [scores[:count].mean() for scores, count in zip(*of_base, strict=True)]
        for of_base in zip(study.cube, shown, strict=True)
    ]
    return float(np.mean([truth[int(np.argmax(seen))] for truth, seen in zip(study.truth, means, strict=True)]))


def compare(name: str, studies: list[Study], draws: int) -> dict[tuple[str, int], float]:
    """Print and return the points per hour of each way after each number of proposals. draws: random ways in each study."""
    rates = {}
    for label, way in WAYS.items():
        repeats = draws if label == "random" else 1
        found = np.array(
            [
                falls(study, way, np.random.default_rng([19, i, j]))
                for i, study in enumerate(studies)
                for j in range(repeats)
            ]
        )
        by_study = found.reshape(len(studies), repeats, len(FIRST), 2).mean(1)
        for k, number in enumerate(FIRST):
            fell, hours = by_study[:, k].mean(0)
            error = (by_study[:, k, 0] / hours).std(ddof=1) / len(studies) ** 0.5
            rates[label, number] = float(fell / hours)
            print(
                f"{name:24} {label:22} {number} proposals: regret fell by {fell:6.3f} points, {fell / hours:6.3f} +- {error:.3f} an hour",
                flush=True,
            )
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grids", type=int, default=100, help="simulated grids of each kind, or orders of the seeds")
    parser.add_argument("--draws", type=int, default=100, help="random ways in each of them")
    parser.add_argument("--results", type=Path, help="folder of a finished grid")
    parser.add_argument("--suite", default="miniworld")
    parser.add_argument("--judge", default="verify")
    arguments = parser.parse_args()
    if arguments.results:
        cube = finished(arguments.results, arguments.suite, arguments.judge)
        kinds = {f"{cube.shape[2]} seeds of {arguments.results}": [hidden(cube, i) for i in range(arguments.grids)]}
    else:
        kinds = {
            f"spread {spread}, seed {seed_sd}": [simulated(i, spread, seed_sd) for i in range(arguments.grids)]
            for spread, seed_sd in ((0.12, 0.06), (0.12, 0.12), (0.25, 0.12))
        }
    lost = 0
    for name, studies in kinds.items():
        rates = compare(name, studies, arguments.draws)
        lost += sum(
            rates[way, k] <= rates["random", k] for way in ("next, one by one", "next, its first list") for k in FIRST
        )
    print(f"{lost} figures where random proposals are as good")


if __name__ == "__main__":
    main()
