"""A published table of many fine-tuning runs through the same statistics: data sets stand for teachers.

The layout is that of llm-jp/massive-sft (`evaluation_result.csv`: 11 bases, 10 data sets, LoRA and full, epochs 1 to 10, 1,000 and 20,000
rows). It has no licence, so none of it is shipped: the file is named by its path. Each row is one run.

What it answers: do other bases rank the data sets as mine does, how much is peculiar to a base, and is the winner of a
pilot that trains (on a twentieth of the rows, for fewer epochs, with LoRA) the winner?
"""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from ..errors import BadInput

COLUMNS = ("model_name", "data_name", "data_size", "lora", "epoch", "lr_strategy")
BENCHMARKS = (
    *("alpaca_eval_v2-total", "mtbench-total", "gsm8k-4shot", "gsm8k-0shot"),
    *("mbpp-0shot", "humaneval-0shot", "mmlu-5shot", "math-0shot"),
)
MIXED = ("", "all", "pretrain")  # data sets that are none, beside those without one (`w/o-`)
SMALL, LARGE = 1000, 20000
LEAST = 6  # data sets that two sides must share
KEPT = 3


class Run(NamedTuple):
    """One run. scores: {benchmark: in points}, of those that were measured."""

    base: str
    data: str
    rows: int
    lora: bool
    epoch: int
    constant: bool  # the learning rate: else along a cosine
    scores: dict[str, float]


Side = Callable[[Run], bool]  # which runs are compared
Table = dict[str, dict[str, float]]  # {base: {data set: score}}


class Pilot(NamedTuple):
    """How well one side of runs tells of another. Means over bases; lost: points of the benchmark."""

    bases: int
    rho: float
    worst: float  # rho of the base with the lowest
    found: int  # bases whose best data set is the first of the pilot
    lost_first: float  # by training only the first of the pilot
    lost_kept: float  # by training the first KEPT, and taking the best of them


class Benchmark(NamedTuple):
    """What the runs say about one benchmark; None where too few have it."""

    name: str
    data_sets: int
    borrowed: float | None  # rho of a base's scores with the mean of the others, mean over bases
    main_effect: float | None  # share of the variance that data sets explain over all bases
    rows: Pilot | None  # SMALL rows -> LARGE rows, epoch 3
    epochs: Pilot | None  # epoch 2 -> epoch 3 of LARGE rows: what noise leaves to be reached
    lora: Pilot | None  # LoRA -> full, SMALL rows, epoch 10


def read(path: Path | str) -> list[Run]:
    """Return the runs of a table; runs on mixed data sets, or none, are left out.

    Raises:
        BadInput: when the file is missing, lacks a column, or has no run that can be read.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, restval=""))  # a row that ends early
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"--results-table {path}: cannot be read: {error}") from error
    missing = [name for name in COLUMNS if not rows or name not in rows[0]]
    if missing:
        raise BadInput(
            f"--results-table {path}: lacks the columns {', '.join(missing)}; it must be a CSV of the layout of "
            "llm-jp/massive-sft's evaluation_result.csv"
        )
    single = [row for row in rows if row["data_name"] not in MIXED and not row["data_name"].startswith("w/o")]
    runs = [run for row in single if (run := _run(row)) is not None and run.scores]
    if not runs:
        raise BadInput(
            f"--results-table {path}: no row has a base, a data set and a score; expected benchmarks are {', '.join(BENCHMARKS)}"
        )
    return runs


def _run(row: dict[str, str]) -> Run | None:
    """Return the run of a row; None where its size or epoch is no number."""
    rows, epoch = _number(row["data_size"]), _number(row["epoch"])
    scores = {name: value for name in BENCHMARKS if (value := _number(row.get(name))) is not None}
    if rows is None or epoch is None:
        return None
    lora, constant = row["lora"].lower() == "true", row["lr_strategy"] == "constant"
    return Run(row["model_name"], row["data_name"], int(rows), lora, int(epoch), constant, scores)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


# --- sides


def _on(rows: int, epoch: int) -> Side:
    return lambda run: (run.rows, run.epoch, run.constant, run.lora) == (rows, epoch, True, False)


def _tuned(lora: bool) -> Side:
    return lambda run: (run.rows, run.epoch, run.constant, run.lora) == (SMALL, 10, False, lora)


def table(runs: Iterable[Run], benchmark: str, side: Side) -> Table:
    """Return the mean score of the runs of one side, by base and data set."""
    found: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        if side(run) and benchmark in run.scores:
            found.setdefault(run.base, {}).setdefault(run.data, []).append(run.scores[benchmark])
    return {base: {data: sum(own) / len(own) for data, own in by.items()} for base, by in found.items()}


# --- statistics


def pilot(before: Table, after: Table) -> Pilot | None:
    """Return how well `before` tells of `after`, over the bases that share LEAST data sets or more; None where none does."""
    import numpy as np

    from ..stats import rank

    rhos, firsts, lost_first, lost_kept = [], [], [], []
    for base in sorted(before.keys() & after.keys()):
        shared = sorted(before[base].keys() & after[base].keys())
        x, y = (np.array([side[base][name] for name in shared]) for side in (before, after))
        if len(shared) < LEAST or np.isnan(rho := rank.spearman(x, y)):
            continue
        rhos.append(rho)
        lost_first.append(float(rank.regret(x, y)))
        lost_kept.append(float(y.max() - y[np.argsort(-x, kind="stable")[:KEPT]].max()))
        firsts.append(y[x.argmax()] == y.max())
    if not rhos:
        return None
    means = (float(np.mean(values)) for values in (lost_first, lost_kept))
    return Pilot(len(rhos), float(np.mean(rhos)), min(rhos), sum(map(bool, firsts)), *means)


def over_bases(scores: Table) -> tuple[int, float | None, float | None]:
    """Return the number of data sets that all bases have, rho of the borrowed ranking, and the share of the main effect."""
    import numpy as np

    from ..stats import families, rank

    shared = sorted(set.intersection(*(set(own) for own in scores.values()))) if scores else []
    if len(scores) < 2 or len(shared) < LEAST:
        return len(shared), None, None
    values = np.array([[scores[base][name] for name in shared] for base in sorted(scores)])
    borrowed = [rank.spearman(row, np.delete(values, i, 0).mean(0)) for i, row in enumerate(values)]
    return len(shared), float(np.mean(borrowed)), families.main_effect(values)


def study(runs: list[Run]) -> list[Benchmark]:
    """Return what the runs say about each benchmark that they have."""
    found = []
    for name in BENCHMARKS:
        sides = (_on(SMALL, 3), _on(LARGE, 3), _on(LARGE, 2), _tuned(True), _tuned(False))
        small, large, earlier, lora, full = (table(runs, name, side) for side in sides)
        pilots = pilot(small, large), pilot(earlier, large), pilot(lora, full)
        one = Benchmark(name, *over_bases(full), *pilots)
        if one.borrowed is not None or any(pilots):
            found.append(one)
    return found


# --- text


def lines(path: Path | str, runs: list[Run], found: list[Benchmark]) -> list[str]:
    """Return the results as text."""
    names = {run.base for run in runs}
    texts = [
        f"{path}: {len(runs)} runs of {len(names)} bases on {len({run.data for run in runs})} data sets, which stand for teachers",
        "",
        "Do bases agree? (full tuning, 1,000 rows, epoch 10)",
        f"{'':22} {'data sets':>9} {'borrowed rho':>13} {'main effect':>12}",
    ]
    texts += [
        f"{one.name:22} {one.data_sets:9} {one.borrowed:13.2f} {one.main_effect:12.2f}"
        for one in found
        if one.borrowed is not None and one.main_effect is not None
    ]
    titles = {
        "rows": "Is the winner of a pilot with a twentieth of the rows the winner? (1,000 -> 20,000 rows, epoch 3)",
        "epochs": "What noise leaves to be reached (20,000 rows, epoch 2 -> 3)",
        "lora": "Does LoRA rank them as full tuning does? (1,000 rows, epoch 10)",
    }
    for key, title in titles.items():
        shown = [(one.name, own) for one in found if (own := getattr(one, key))]
        if shown:
            heads = ("bases", "rho", "lowest", "winner", "lost by first", f"lost by first {KEPT}")
            texts += [
                "",
                title,
                f"{'':22} {heads[0]:>6} {heads[1]:>6} {heads[2]:>7} {heads[3]:>9} {heads[4]:>14} {heads[5]:>15}",
            ]
            texts += [
                f"{name:22} {own.bases:6} {own.rho:6.2f} {own.worst:7.2f} {f'{own.found} of {own.bases}':>9} {own.lost_first:14.2f} {own.lost_kept:15.2f}"
                for name, own in shown
            ]
    return [
        *texts,
        "",
        "Lost: points of the benchmark, mean over bases. Each cell is one run, so noise lowers every rho.",
    ]
