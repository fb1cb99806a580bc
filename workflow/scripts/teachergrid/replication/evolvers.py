"""The second paper's tables: small against large evolvers, what IC-IFD selects, and what such tables can show.

`tables/evolvers.csv` holds what the paper, its code and the papers behind it print; `tables/evolvers_derived.csv` what
follows from these numbers. A pair is one cell of a table, trained on the small and on the large evolver's data.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from . import published
from .comparisons import Comparison, Section, section
from .misprints import ITEMS, Misprint, Printed, misprints

PAPER = "2412.11231"
# what each table compares, in the paper's order
PAIRED = {
    "Table 1": "Evol-Instruct, Llama",
    "Table 2": "Evol-Instruct, Qwen",
    "Table 3": "AutoIF",
    "Table 4": "Auto Evol-Instruct",
    "Table 10": "three rounds",
    "Table 11": "Qwen2.5 0.5B to 72B",
    "Table 12": "six temperatures",
}
QUESTIONS = 805  # AlpacaFarm's
TITLES = {  # what in evolvers_derived.csv: (title, about)
    "cells": (
        "Small against large evolvers",
        "cells of a table where the small evolver's data trains the better student",
    ),
    "gap": ("Mean differences", "points that the small evolver's data is better, mean over the cells of a table"),
    "selection": (
        "What is selected",
        "mean of IFEval's four numbers, Llama-3-8B; a quarter of the small evolver's round 3, or all",
    ),
    "wins": ("Win rates of IC-IFD's selection", "percent of 805 questions, a tie is half a win; Figures 6 and 7"),
    "loss": ("Loss of the instructions", "nats a token, as IFD / IC-IFD implies (Table 15)"),
    "difficulty": ("Very hard instructions", "percent, by the judge's labels of each round (Figure 2)"),
    "possible": (
        "Accuracies that are no k/n",
        "printed accuracies, those that no number of right answers gives, and those off by 0.01 only",
    ),
}
Values = dict[str, dict[str, float]]  # {row: {column: value}}


class Pair(NamedTuple):
    """One cell of a table, trained on the small and on the large evolver's data, in points."""

    base: str
    round: str
    condition: str
    benchmark: str
    metric: str
    small: float
    large: float

    @property
    def gap(self) -> float:
        """How much better the small evolver's data is, in points."""
        return self.small - self.large

    @property
    def noise(self) -> float | None:
        """The standard error of the gap in points, of two independent samples of items; None where their number is unknown."""
        items = ITEMS.get((self.benchmark, self.metric))
        if items is None:
            return None
        return float(sum(value * (100 - value) for value in (self.small, self.large)) / items) ** 0.5


class Rate(NamedTuple):
    """A win rate in percent, with its 95 % interval over questions."""

    name: str
    rate: float
    low: float
    high: float


class Tables:
    """What the second paper prints."""

    def __init__(self, rows: list[dict[str, str]], derived: list[dict[str, str]]) -> None:
        self.rows = rows  # of all papers
        self.own = [row for row in rows if row["paper"] == PAPER]
        self.derived: dict[str, dict[str, dict[str, str]]] = {}  # {what: {row: {column: printed}}}
        for row in derived:
            self.derived.setdefault(row["what"], {}).setdefault(row["of"], {})[row["column"]] = row["printed"]
        self.pairs = {table: list(self._pairs(table)) for table in PAIRED}

    def of(self, table: str) -> Iterator[dict[str, str]]:
        return (row for row in self.own if row["table"] == table)

    def _pairs(self, table: str) -> Iterator[Pair]:
        cells: dict[tuple[str, str, str, str, str], dict[str, float]] = {}
        for row in self.of(table):
            key = row["base"], row["round"], row["condition"], row["benchmark"], row["metric"]
            cells.setdefault(key, {})[row["group"]] = float(row["value"])
        return (Pair(*key, cell["SLM"], cell["LLM"]) for key, cell in cells.items() if {*cell} == {"SLM", "LLM"})

    def accuracies(self) -> list[Printed]:
        """Return the printed accuracies whose number of items is known; the plot script's numbers are no table's."""
        return [
            Printed(
                (row["table"], row["base"], row["group"], row["round"], row["condition"]),
                row["benchmark"],
                row["metric"],
                row["value"],
            )
            for row in self.own
            if (row["benchmark"], row["metric"]) in ITEMS and row["table"].startswith("Table")
        ]

    def misprints(self) -> list[Misprint]:
        return misprints(self.accuracies())

    def selection(self) -> dict[str, float]:
        """Return the mean of IFEval's four numbers, in percent, of each way to select and of all rows of each round."""
        means = _means((row["condition"], row["value"]) for row in self.of("Table 5"))
        of_rounds = (
            (f"all of round {row['round']}", row["value"]) for row in self.of("Table 10") if _small_ifeval(row)
        )
        return means | _means(of_rounds)

    def wins(self) -> list[Rate]:
        """Return the win rates of Figures 6 and 7."""
        rates = []
        for figure in ("Figure 6", "Figure 7"):
            rows = self.of(figure)
            for (base, condition), group in groupby(rows, key=lambda row: (row["base"], row["condition"])):
                count = {row["metric"]: int(row["value"]) for row in group}
                rates.append(_rate(f"{base}, {condition}", count["win"], count["tie"], count["lose"]))
        return rates

    def sets(self) -> dict[str, dict[str, float]]:
        """Return {group: {metric: value in percent}} of Table 15."""
        found: dict[str, dict[str, float]] = {}
        for row in self.of("Table 15"):
            found.setdefault(row["group"], {})[row["metric"].partition(" (")[0]] = float(row["value"])
        return found


def load() -> Tables:
    """Return the tables as shipped."""
    return Tables(published.rows("evolvers"), published.rows("evolvers_derived"))


def _small_ifeval(row: dict[str, str]) -> bool:
    return row["group"] == "SLM" and row["benchmark"] == "IFEval"


def _means(values: Iterable[tuple[str, str]]) -> dict[str, float]:
    by_name: dict[str, list[float]] = {}
    for name, value in values:
        by_name.setdefault(name, []).append(float(value))
    return {name: sum(of) / len(of) for name, of in by_name.items()}


def _rate(name: str, win: int, tie: int, lose: int) -> Rate:
    n = win + tie + lose
    rate = (win + tie / 2) / n
    error = ((win + tie / 4) / n - rate**2) ** 0.5 / n**0.5
    return Rate(name, 100 * rate, 100 * (rate - 1.96 * error), 100 * (rate + 1.96 * error))


# --- what must agree


def sections(tables: Tables) -> list[Section]:
    """Return every printed or derived number with ours."""
    computed = {
        "cells": _cells(tables),
        "gap": _gaps(tables),
        "selection": {name: {"mean": value} for name, value in tables.selection().items()},
        "wins": {rate.name: {"win rate": rate.rate} for rate in tables.wins()},
        "loss": {of: {"nats": set_["mean IFD"] / set_["mean IC-IFD"]} for of, set_ in tables.sets().items()},
        "difficulty": _very_hard(tables),
        "possible": _possible(tables),
    }
    numbers = [_followbench(tables), _table_15(tables)]
    for what, (title, about) in TITLES.items():
        rows = {
            of: {column: Comparison(printed, computed[what][of][column]) for column, printed in row.items()}
            for of, row in tables.derived[what].items()
        }
        numbers.append(section(title, about, rows))
    return numbers


def _cells(tables: Tables) -> Values:
    of = tables.pairs | {"Table 10, round 3, IFEval": _round_3(tables)}
    return {
        name: {
            "cells": len(pairs),
            "better": sum(pair.gap > 0 for pair in pairs),
            "worse": sum(pair.gap < 0 for pair in pairs),
        }
        for name, pairs in of.items()
    }


def _round_3(tables: Tables) -> list[Pair]:
    return [pair for pair in tables.pairs["Table 10"] if (pair.round, pair.benchmark) == ("3", "IFEval")]


def _gaps(tables: Tables) -> Values:
    followbench = [pair for pair in tables.pairs["Table 3"] if pair.benchmark == "FollowBench"]
    of = tables.pairs | {"Table 3, FollowBench": followbench}
    return {name: {"points": mean_gap(pairs)} for name, pairs in of.items()}


def mean_gap(pairs: list[Pair]) -> float:
    """Return the mean gap in points."""
    return sum(pair.gap for pair in pairs) / len(pairs)


def _very_hard(tables: Tables) -> Values:
    """Return the share of labels "very hard" in percent: {set and evolver: {round: share}}."""
    labels: dict[tuple[str, str], dict[str, int]] = {}
    for row in tables.of("Figure 2 (counts)"):
        of = labels.setdefault((f"{row['condition']}, {row['group']}", row["round"]), {})
        of[row["metric"]] = int(row["value"])
    shares: Values = {}
    for (name, round_), of in labels.items():
        shares.setdefault(name, {})[f"round {round_}"] = 100 * of["very hard"] / sum(of.values())
    return shares


def _possible(tables: Tables) -> Values:
    wrong = tables.misprints()
    return {
        "all tables": {
            "printed": len(tables.accuracies()),
            "impossible": len(wrong),
            "by 0.01": sum(misprint.by_one_digit for misprint in wrong),
        }
    }


def _followbench(tables: Tables) -> Section:
    """Return the averages of Table 3 that the paper prints beside the five levels."""
    rows: dict[str, dict[str, Comparison]] = {}
    levels = [row for row in tables.of("Table 3") if row["benchmark"] == "FollowBench"]
    for (base, group), cells in groupby(levels, key=lambda row: (row["base"], row["group"])):
        values = {row["metric"]: row["value"] for row in cells}
        average = values.pop("HSR avg")
        # so much the rounding of the five may change their mean
        rows.setdefault(base, {})[group] = Comparison(average, sum(map(float, values.values())) / 5, slack=0.005)
    return section("FollowBench averages of Table 3", "mean of five levels, each printed with two digits", rows, True)


def _table_15(tables: Tables) -> Section:
    printed = {row["group"]: row["value"] for row in tables.of("Table 15") if row["metric"].startswith("mean of 4")}
    ifeval = [row for row in tables.of("Table 10") if (row["round"], row["benchmark"]) == ("3", "IFEval")]
    means = _means((row["group"], row["value"]) for row in ifeval)
    rows = {group: {"IFEval": Comparison(value, means[group], slack=0.005)} for group, value in printed.items()}
    return section("Means of Table 15", "IFEval's four numbers of round 3 in Table 10", rows, True)
