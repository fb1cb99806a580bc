"""The first paper's tables through the statistics of this package: our numbers against the paper's.

Reads the numbers that the paper prints and what follows from them (`tables/README.md`), computes each again with
the functions behind a grid's tables, and says which ones agree. The exit code is 1 when a number is not
reproduced within its printed rounding.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from . import published
from .comparisons import Comparison, Section, section
from .pilot import size

if TYPE_CHECKING:
    import numpy as np

    from ..stats.rank import Pooled

BASES = ("Qwen2-1.5B", "Gemma-2-2B", "Qwen2.5-3B", "Llama-3.2-3B", "Llama-3.1-Minitron-4B")
TEACHERS = 19
TITLES = {  # what in derived.csv: (title, about)
    "borrowed": ("Borrowed ranking", "Spearman's rho of AP with the mean AP of the other four bases' students"),
    "regret": ("Regret of one teacher for all bases", "AP lost to the best teacher, mean over bases"),
    "step": (
        "Steps within a family",
        "AP of the bigger sibling minus that of the next smaller one; wins: bases of five",
    ),
    "interval": ("Intervals of Table 4's averages", "95 %, by Fieller, Hartley and Pearson, n = 19"),
    "size": ("Teacher size", "Spearman's rho with AP"),
    "agreement": ("Two benchmarks", "Spearman's rho over teachers"),
    "kinship": (
        "Teacher and base",
        "share of the standardised variance that is the teacher's own; residual in sd of a student's own instruct version",
    ),
}
Values = dict[str, dict[str, float]]  # {row: {column: value}}


class Study:
    """The shipped tables as arrays over BASES and the teachers of Table 6. AP and scores are in points."""

    def __init__(
        self, rows: list[dict[str, str]], derived: list[dict[str, str]], families: list[dict[str, str]]
    ) -> None:
        import numpy as np

        self.printed = {(r["table"], r["base_model"], r["teacher"], r["metric"]): r["value"] for r in rows}
        self.derived: dict[str, dict[str, dict[str, str]]] = {}  # {what: {row: {column: printed}}}
        for row in derived:
            self.derived.setdefault(row["what"], {}).setdefault(row["of"], {})[row["base_model"]] = row["printed"]
        by_model = {row["model"]: row for row in families}
        self.teachers = list(dict.fromkeys(r["teacher"] for r in rows if r["table"] == "Table6"))
        self.names = [published.short(teacher) for teacher in self.teachers]
        self.lc, self.ah = self._scores("AE2_LC"), self._scores("AH")
        self.ap: np.ndarray = published.average_performance(self.lc, self.ah)
        # [bases, teachers]: mean AP of the other bases' students
        self.borrowed = np.array([np.delete(self.ap, i, axis=0).mean(0) for i in range(len(BASES))])
        self.families = [by_model[teacher]["family"] for teacher in self.teachers]
        self.sizes = [size(teacher) for teacher in self.teachers]
        self.self_pair = np.array([[by_model[t]["parent"] == base for t in self.teachers] for base in BASES])
        same_family = np.array([[by_model[base]["family"] == family for family in self.families] for base in BASES])
        self.own_family = same_family & ~self.self_pair

    def _scores(self, metric: str) -> "np.ndarray":
        """Return a score of Table 6: [bases, teachers]."""
        import numpy as np

        return np.array([[float(self.printed["Table6", base, t, metric]) for t in self.teachers] for base in BASES])

    def averages(self) -> list[tuple[str, float]]:
        """Return [(metric, printed average of Table 4)]."""
        rows = ((key, value) for key, value in self.printed.items() if key[:2] == ("Table4", "Average"))
        return [(key[3].removeprefix("spearman:"), float(value)) for key, value in rows]

    def steps(self) -> list[tuple[str, str, "np.ndarray"]]:
        """Return [(family, name of the step, differences in AP [bases])]."""
        from ..stats import families

        return [
            (family, f"{self.names[small]} to {self.names[large]}", self.ap[:, large] - self.ap[:, small])
            for family, (small,), (large,) in families.siblings(self.families, self.sizes)
        ]


def load() -> Study:
    """Return the study from the shipped tables."""
    return Study(published.rows(), published.rows("derived"), published.rows("families"))


# --- what must agree


def sections(study: Study) -> list[Section]:
    """Return every published or derived number with ours."""
    numbers = _tables(study)
    for what, values in _computed(study).items():
        rows = {
            name: {column: Comparison(printed, float(values[name][column])) for column, printed in row.items()}
            for name, row in study.derived[what].items()
        }
        numbers.append(section(*TITLES[what], rows))
    return numbers


def _computed(study: Study) -> dict[str, Values]:
    """Return our values of what derived.csv lists, in the order of TITLES."""
    from ..stats import rank

    def rho_per_base(x: Iterable, y: Iterable) -> dict[str, float]:
        return {base: rank.spearman(*pair) for base, *pair in zip(BASES, x, y, strict=True)}

    borrowed = rho_per_base(study.borrowed, study.ap)
    borrowed["mean"] = sum(borrowed.values()) / len(BASES)
    values = {
        "borrowed": {"borrowed ranking": borrowed},
        "regret": {teacher: {"mean": _regret_of(study, teacher)} for teacher in study.teachers},
        "step": {name: _per_base(gaps) | {"wins": float((gaps > 0).sum())} for _, name, gaps in study.steps()},
        "interval": {metric: _fieller(rho) for metric, rho in study.averages()},
        "size": {"teacher size": rho_per_base([study.sizes] * len(BASES), study.ap)},
        "agreement": {"AE2 LC and AH": rho_per_base(study.lc, study.ah)},
        "kinship": _kinship(study),
    }
    return {what: values[what] for what in TITLES}


def _per_base(values: Iterable[float]) -> dict[str, float]:
    return dict(zip(BASES, map(float, values), strict=True))


def _regret_of(study: Study, teacher: str) -> float:
    """Return the mean AP that bases lose if all learn from one teacher."""
    from ..stats import rank

    is_teacher = [name == teacher for name in study.teachers]
    return sum(rank.regret(is_teacher, ap) for ap in study.ap) / len(BASES)


def _fieller(rho: float) -> dict[str, float]:
    from ..stats import rank

    interval = rank.fieller(rho, TEACHERS)
    return dict(zip(("low", "high"), interval, strict=True)) if interval else {}


def _kinship(study: Study) -> Values:
    """Return the residual of each teacher on each base, and the share of variance that is the teacher's."""
    from ..stats import families

    residuals = families.residuals(study.ap)
    values = {teacher: _per_base(residuals[:, j]) for j, teacher in enumerate(study.teachers)}
    return values | {"teacher main effect": {"all": families.main_effect(study.ap)}}


def _tables(study: Study) -> list[Section]:
    """Return the numbers of Tables 2, 3 and 4 that follow from others in the same table."""
    numbers = []
    for table in ("Table2", "Table3"):
        ap_rows: dict[str, dict[str, Comparison]] = {}
        for (source, base, teacher, metric), printed in study.printed.items():
            if (source, metric) == (table, "AP"):
                lc, ah = (float(study.printed[table, base, teacher, name]) for name in ("AE2_LC", "AH"))
                ap_rows.setdefault(teacher, {})[base] = Comparison(printed, published.average_performance(lc, ah))
        numbers.append(section(f"AP of {table[:5]} {table[5:]}", "(AlpacaEval 2 LC + Arena-Hard) / 2", ap_rows, True))
    rows = {}
    for (source, base, teachers, metric), printed in study.printed.items():
        if (source, base) == ("Table4", "Average"):
            rhos = [float(study.printed[source, b, teachers, metric]) for b in BASES]
            # so much the rounding of the five may change their mean
            comparison = Comparison(printed, sum(rhos) / len(rhos), slack=0.5e-4)
            rows[metric.removeprefix("spearman:")] = {"average": comparison}
    about = "mean of Spearman's rho over five bases, each printed with four digits"
    return [*numbers, section("Averages of Table 4", about, rows, True)]


# --- what the paper does not print


def beyond(study: Study) -> list[str]:
    """Return, in sentences, further results of the same functions on these tables."""
    from ..pages.text import number, probability
    from ..stats import families, pooling, rank, sample_size

    # shuffling all bases alike would not be the null of a ranking that is the other bases' performance
    borrowed = rank.pooled(study.borrowed, study.ap)._replace(p=pooling.borrowed_p(study.ap))
    sizes_of_all = [study.sizes] * len(BASES)
    of_families = families.family_p(sizes_of_all, study.ap, study.families)
    sizes = rank.pooled(sizes_of_all, study.ap)
    without = rank.leave_one_out(study.borrowed, study.ap, study.families).values()
    by_family: dict[str, list[float]] = {}
    for family, _, gaps in study.steps():
        by_family.setdefault(family, []).append(float(gaps.mean()))
    rises = families.rises(by_family)
    self_pairs, own_family = (families.kinship(study.ap, kin) for kin in (study.self_pair, study.own_family))
    top = sorted(study.averages(), key=lambda pair: -pair[1])[:3]
    intervals = [f"{metric} {_with_interval(rho, rank.bonett_wright(rho, TEACHERS))}" for metric, rho in top]
    smallest, detectable = sample_size.minimum_detectable_rho(TEACHERS), sample_size.detectable_rho(TEACHERS)
    return [
        f"By mean AP the bigger sibling is the better teacher in {rises.rises:g} of {rises.steps} steps "
        f"(exact p {probability(rises.p)}). Size pooled over bases: rho {_pooled(sizes)}; as members of a family are alike, "
        f"p with the {of_families.families} families shuffled: {probability(of_families.p)}.",
        f"Teachers that descend from a base teach it {number(self_pairs.mean, 2, sign=True)} sd better than they teach "
        f"the others ({self_pairs.cells} cells, p {probability(self_pairs.p)}); others of its family "
        f"{number(own_family.mean, 2, sign=True)} sd ({own_family.cells} cells, p {probability(own_family.p)}), which shows neither "
        "an effect nor that there is none.",
        f"The borrowed ranking pooled over bases: rho {_pooled(borrowed)}; "
        f"{number(min(without), 2)} to {number(max(without), 2)} with one family left out.",
        f"The three highest averages of Table 4, with Bonett and Wright's intervals: {'; '.join(intervals)}. Whether one of them is "
        "better is not known: overlapping intervals are no test for metrics of the same teachers, and the paper prints no "
        "metric's value for a teacher.",
        f"With {TEACHERS} teachers no rho below {number(smallest, 2)} is significant, and only a true one of "
        f"{number(detectable, 2)} is found in four of five studies.",
    ]


def _pooled(result: "Pooled") -> str:
    from ..pages.text import probability

    return f"{_with_interval(result.rho, result.bca)} (p {probability(result.p)})"


def _with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    from ..pages.text import within

    low, high = interval or (None, None)
    return within(value, low, high, digits=2)
