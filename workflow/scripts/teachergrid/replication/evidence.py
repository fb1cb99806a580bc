"""What the second paper's tables can show and what not, in sentences: one run a cell, printed without intervals."""

from collections.abc import Iterable

from ..pages.text import listing, number, probability
from ..stats.comparison import sign_p
from .evolvers import QUESTIONS, Pair, Tables, mean_gap
from .misprints import Printed, Run, repeated, swapped

SURE = 1.96  # standard errors
ONE_BASE = ("Table 10", "Table 12")


def beyond(tables: Tables) -> list[str]:
    """Return, in sentences, what the paper does not say about its numbers."""
    return [*_signs(tables), *_noise(tables), *_doubtful(tables), *_selection(tables)]


def by_base(pairs: Iterable[Pair]) -> dict[str, float]:
    """Return the mean gap in points of each base."""
    gaps: dict[str, list[Pair]] = {}
    for pair in pairs:
        gaps.setdefault(pair.base, []).append(pair)
    return {base: mean_gap(of) for base, of in gaps.items()}


def _signs(tables: Tables) -> list[str]:
    cells, bases = [], []
    for table, pairs in tables.pairs.items():
        cells.append(f"{table}: {_signed(pair.gap for pair in pairs)}")
        if table not in ONE_BASE:
            bases.append(f"{table}: {_signed(by_base(pairs).values())}")
    return [
        f"Sign tests over cells, the small evolver's data better and worse: {'; '.join(cells)}. They take cells as independent. The "
        "columns of one student are not, IFEval's four numbers least of all.",
        f"Sign tests over bases, each by its mean over all columns: {'; '.join(bases)}.",
    ]


def _signed(gaps: Iterable[float]) -> str:
    signs = list(gaps)
    better, worse = sum(gap > 0 for gap in signs), sum(gap < 0 for gap in signs)
    return f"{better} to {worse} (p {probability(sign_p(better, worse))})"


def _noise(tables: Tables) -> list[str]:
    known = [pair for pairs in tables.pairs.values() for pair in pairs if pair.noise]
    sure = sum(abs(pair.gap) > SURE * (pair.noise or 0) for pair in known)
    of_rounds = ([pair for pair in tables.pairs["Table 10"] if pair.round == name] for name in ("1", "2", "3"))
    means = listing([number(mean_gap(pairs), 2, sign=True) for pairs in of_rounds])
    return [
        f"Every cell is one run, and no seed was repeated. Of {len(known)} gaps on benchmarks with a known number of items, {sure} exceed "
        f"{SURE} standard errors of two samples of items. One item of HumanEval is {number(100 / 164, 2)} points. So the counts "
        "of signs are evidence, and few single gaps are.",
        f"The lead over rounds 1, 2 and 3 (Table 10, one base): {means} points. In round 3 the small evolver is behind in all four "
        "numbers of IFEval.",
    ]


def _doubtful(tables: Tables) -> list[str]:
    cells, wrong = tables.accuracies(), tables.misprints()
    worst = max(wrong, key=lambda misprint: misprint.off)
    largest = [w for w in wrong if w.printed.run[:2] == ("Table 11", "Qwen-2.5-72B (LoRA)")]
    exchanged = [f"{_named(a.run)}: {a.column} {a.text} and {b.column} {b.text}" for a, b in swapped(cells)]
    copied = [f"{_columns(of)} in {_named(a)} and {_named(b)}" for a, b, of in repeated(cells)]
    copied += [f"FollowBench {value} at two levels of {base}, {group}" for base, group, value in levels_alike(tables)]
    off, plotted = plot_script(tables)
    return [
        f"{len(wrong)} of {len(cells)} printed accuracies are no k/n: no number of right answers gives them. "
        f"{sum(w.by_one_digit for w in wrong)} are off by 0.01, as another rounding would be; the others by up to {number(worst.off, 2)}. "
        f"{len(largest)} of the 16 numbers of Table 11's 72B student are among them.",
        f"Columns that look exchanged, as each is possible in the other's place only: {'; '.join(exchanged)}.",
        f"Numbers that occur twice, which may be chance: {'; '.join(copied)}.",
        f"The paper's own plot script holds other numbers than its Table 10 in {off} of {plotted} places. The table is used here.",
    ]


def levels_alike(tables: Tables) -> list[tuple[str, str, str]]:
    """Return (base, group, value) where FollowBench has one value at two levels of a student."""
    seen, found = set(), []
    for row in tables.of("Table 3"):
        if row["benchmark"] == "FollowBench":
            cell = (row["base"], row["group"], row["value"])
            found += [cell] if cell in seen else []
            seen.add(cell)
    return found


def plot_script(tables: Tables) -> tuple[int, int]:
    """Return in how many places the paper's plot script has another number than Table 10, and in how many both have one."""
    # of the benchmarks in both, each has one number
    table = {(row["group"], row["round"], row["benchmark"]): row["value"] for row in tables.of("Table 10")}
    found = []
    for row in tables.of("Figure 1 plot script"):
        printed = table.get((row["group"], row["round"], row["benchmark"]))
        found += [float(printed) != float(row["value"])] if printed else []
    return sum(found), len(found)


def _selection(tables: Tables) -> list[str]:
    means, sets = tables.selection(), tables.sets()
    best, whole = means["IC-IFD (keep highest 25%)"], means["Original (100%)"]
    agree = {
        metric: (sets["SLM"][metric] > sets["LLM"][metric]) == (_outcome(sets["SLM"]) > _outcome(sets["LLM"]))
        for metric in ("mean IC-IFD", "mean IFD")
    }
    words = {True: "rightly", False: "wrongly"}
    wins = tables.wins()
    return [
        f"Table 15 compares two sets: IC-IFD ranks them {words[agree['mean IC-IFD']]}, IFD {words[agree['mean IFD']]}. With n = 2 a coin "
        "is right every second time.",
        f"The quarter with the highest IC-IFD is {number(best - whole, 2)} points better than all of round 3, but all of "
        f"round 1 ({number(means['all of round 1'], 2)}) and of round 2 ({number(means['all of round 2'], 2)}) are better than "
        f"it ({number(best, 2)}). No quarter at random was trained, and IFD had no upper limit of 1: what IC-IFD adds is open.",
        f"{sum(rate.low > 50 for rate in wins)} of the {len(wins)} win rates are above one half by more than the noise of {QUESTIONS} "
        "questions. One judge saw one order of the two answers, and one student stands for each selection. Figure 7's order of shares is assumed.",
    ]


def _outcome(of: dict[str, float]) -> float:
    return of["mean of 4 IFEval metrics"]


def _named(run: Run) -> str:
    table, base, group = run[:3]
    return f"{table} {base}, {group}"


def _columns(cells: list[Printed]) -> str:
    return listing([f"{cell.column} {cell.text}" for cell in cells])
