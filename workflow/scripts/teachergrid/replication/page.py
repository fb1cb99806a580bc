"""The page of `teachergrid replicate`: the numbers of two papers and ours, side by side."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from markupsafe import Markup

from ..pages import plots, text
from ..pages.environment import environment
from ..stats import rank
from .comparisons import Section, counts
from .evidence import by_base
from .evolvers import PAIRED, Pair, Tables
from .misprints import Misprint
from .study import Study

TEMPLATES = Path(__file__).parent / "template"
# what each paper is called, by author and year
TEACHERS, EVOLVERS = "Xu et al. 2025", "Hui et al. 2024"
# rows of the plot by benchmark: the tables that compare all bases
SCENARIOS = ("Table 1", "Table 2", "Table 3", "Table 4")
# ways to select, short enough for a plot
SHORT = {
    "Original (100%)": "all of round 3",
    "Instruction length (keep shortest 25%)": "shortest quarter",
    "Instruction PPL (keep lowest 25%)": "lowest perplexity",
    "IFD (keep highest 25%)": "highest IFD",
    "IC-IFD (keep highest 25%)": "highest IC-IFD",
}


class Figure(NamedTuple):
    """A plot and what is said below it."""

    plot: Markup
    note: str


class Part(NamedTuple):
    """What the page says of one paper."""

    key: str  # in its links
    name: str
    title: str  # of the paper
    sections: list[Section]
    more: list[str]  # sentences on what the paper does not print
    figures: list[Figure]
    misprints: Sequence[Misprint] = ()

    @property
    def number(self) -> dict[str, int]:
        return counts(self.sections)


def build(parts: list[Part]) -> str:
    """Return the page."""
    return environment(TEMPLATES).get_template("replicate.html").render(parts=parts)


def teachers(sections: list[Section], more: list[str], study: Study) -> Part:
    """Return what the page says of the first paper."""
    title = "Stronger Models are Not Always Stronger Teachers for Instruction Tuning"
    figures = [
        Figure(
            _steps(study),
            "Steps within a family, named after the bigger sibling; the dot is the mean over five bases, the whisker goes from the lowest "
            "to the highest.",
        ),
        Figure(_averages(study), "Bonett and Wright's 95 % intervals, n = 19 teachers; bold: CAR."),
    ]
    return Part("teachers", TEACHERS, f"{title} ({TEACHERS}, arXiv 2411.07133)", sections, more, figures)


def evolvers(sections: list[Section], more: list[str], tables: Tables) -> Part:
    """Return what the page says of the second paper."""
    title = "Smaller Language Models Are Better Instruction Evolvers"
    figures = [
        Figure(
            _by_table(tables),
            "From the top: Tables 1, 2, 3, 4, 10, 11 and 12. The dot is the mean over a table's cells, the whisker goes from the lowest to the "
            "highest base.",
        ),
        Figure(
            _by_benchmark(tables), "The same by benchmark, in the tables that compare several bases. One run a cell."
        ),
        Figure(
            _selected(tables),
            "Table 5: Llama-3-8B on a quarter of the small evolver's round 3 or on all of a round, one student each.",
        ),
        Figure(
            _wins(tables),
            "Figures 6 and 7: shares of Alpaca by IC-IFD against the same shares by IFD, or against all. 95 % intervals over 805 questions; "
            "neither the judge's nor the training's noise is in them.",
        ),
    ]
    paper = f"{title} ({EVOLVERS}, arXiv 2412.11231)"
    return Part("evolvers", EVOLVERS, paper, sections, more, figures, tables.misprints())


def _steps(study: Study) -> Markup:
    """Return the plot of the steps from each teacher to its next larger sibling."""
    families = list(dict.fromkeys(study.families))
    rows = []
    for family, name, gaps in study.steps():
        mean, low, high = float(gaps.mean()), float(gaps.min()), float(gaps.max())
        rows.append(
            plots.Dot(
                label=name.split(" to ")[1],
                value=mean,
                low=low,
                high=high,
                text=text.number(mean, 2, sign=True),
                title=f"{name}: {text.within(mean, low, high, digits=2, sign=True)}",
                series=families.index(family),
            )
        )
    return plots.dots(
        rows,
        "Is the bigger sibling the better teacher?",
        "One row per step within a family, named after the bigger sibling: mean over five bases, whiskers from the lowest to "
        "the highest base. Right of the line the bigger one is better.",
        "AP of the bigger minus that of the next smaller sibling",
        lines=[plots.ZERO],
    )


def _averages(study: Study) -> Markup:
    """Return the plot of Table 4's averages with their intervals."""
    rows = []
    for metric, rho in sorted(study.averages(), key=lambda pair: -pair[1]):
        low, high = rank.bonett_wright(rho, len(study.teachers)) or (None, None)
        rows.append(
            plots.Dot(
                label=metric.removeprefix("Reward:"),
                value=rho,
                low=low,
                high=high,
                text=text.number(rho, 2),
                css="best" if metric == "CAR" else "",
                title=f"{metric}: {text.within(rho, low, high, 2)}",
            )
        )
    return plots.dots(
        rows,
        "How well each metric of Table 4 ranks the teachers",
        "Spearman's rho, mean over five bases, with 95 % intervals by Bonett and Wright for 19 teachers.",
        "rho",
        lines=[plots.ZERO],
        domain=(-1.0, 1.0),
    )


def _by_table(tables: Tables) -> Markup:
    """Return the plot of the mean difference of each table."""
    rows = [_gap(what, tables.pairs[table], 0) for table, what in PAIRED.items()]
    return plots.dots(
        rows,
        "Do small evolvers make better data?",
        "One row per table: mean difference over its cells, whiskers from the lowest to the highest base. Right of the line the small "
        "evolver's data is better.",
        "points, small minus large evolver",
        lines=[plots.ZERO],
    )


def _by_benchmark(tables: Tables) -> Markup:
    """Return the plot of the mean difference on each benchmark in each scenario."""
    benchmarks = list(dict.fromkeys(pair.benchmark for table in SCENARIOS for pair in tables.pairs[table]))
    rows = []
    for benchmark in benchmarks:
        for i, table in enumerate(SCENARIOS):
            pairs = [pair for pair in tables.pairs[table] if pair.benchmark == benchmark]
            rows += [_gap(f"{benchmark}, {table}", pairs, i)] if pairs else []
    return plots.dots(
        rows,
        "On which benchmarks?",
        "One row per benchmark and table: mean difference over bases, whiskers from the lowest to the highest base.",
        "points, small minus large evolver",
        lines=[plots.ZERO],
    )


def _gap(label: str, pairs: list[Pair], series: int) -> plots.Dot:
    mean, of_bases = fmean(pair.gap for pair in pairs), by_base(pairs).values()
    low, high = (min(of_bases), max(of_bases)) if len(of_bases) > 1 else (None, None)
    title = f"{label}: {text.within(mean, low, high, digits=2, sign=True)}, {len(pairs)} cells"
    return plots.Dot(label, mean, low, high, text.number(mean, 2, sign=True), title=title, series=series)


def _selected(tables: Tables) -> Markup:
    """Return the plot of Table 5: what each selection trains."""
    rows = [
        plots.Dot(
            SHORT.get(name, name),
            value,
            None,
            None,
            text.number(value, 2),
            css="best" if name.startswith("IC-IFD") else "",
        )
        for name, value in sorted(tables.selection().items(), key=lambda pair: -pair[1])
        if name != "all of round 3"  # as Original, which Table 5 prints again
    ]
    return plots.dots(
        rows,
        "What a quarter of round 3 is worth (Table 5)",
        "IFEval of Llama-3-8B, trained on all rows of a round or on a quarter of round 3.",
        "mean of IFEval's four numbers, percent",
    )


def _wins(tables: Tables) -> Markup:
    """Return the plot of Figures 6 and 7."""
    rows = [
        plots.Dot(
            rate.name.replace("IC-IFD vs ", "").replace("ratio ", "").replace("full Alpaca", "all"),
            rate.rate,
            rate.low,
            rate.high,
            f"{text.number(rate.rate, 1)} %",
            title=f"{rate.name}: {text.within(rate.rate, rate.low, rate.high)} %",
            series=int(rate.name.startswith("Llama-3.2")),
        )
        for rate in tables.wins()
    ]
    return plots.dots(
        rows,
        "Selections by IC-IFD against others (Figures 6, 7)",
        "Win rate of the student of a share of Alpaca chosen by IC-IFD against that of the same share by IFD, or of all of Alpaca.",
        "win rate, percent",
        lines=[plots.Level(50.0)],
    )
