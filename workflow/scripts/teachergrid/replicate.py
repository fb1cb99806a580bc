"""The first paper's tables through the statistics of this package: ours against paper.

Reads the numbers that the paper prints and what follows from them (`published/README.md`), computes each again with the
functions that a grid's tables are made with, and says which come out. The exit code is 1 when a number is not reproduced
within its printed rounding.
"""

from argparse import Namespace
from pathlib import Path
from typing import NamedTuple

from . import published
from .planning.pilot_study import size

BASES = ("Qwen2-1.5B", "Gemma-2-2B", "Qwen2.5-3B", "Llama-3.2-3B", "Llama-3.1-Minitron-4B")
TEACHERS = 19


class Cell(NamedTuple):
    printed: str  # with the digits of its source
    ours: float
    slack: float = 0.0  # what the rounding of the inputs alone may change

    @property
    def digits(self) -> int:
        return len(self.printed.partition(".")[2])

    @property
    def ok(self) -> bool:
        return abs(self.ours - float(self.printed)) <= 0.5 * 10**-self.digits + self.slack + 1e-9

    @property
    def written(self) -> str:
        """0.9246 (0.925)"""
        return f"{self.ours:.{self.digits + 1 if self.digits else 0}f} ({self.printed})"


class Section(NamedTuple):
    title: str
    about: str
    columns: list  # names
    rows: list  # [(label, {column: Cell})]

    @property
    def cells(self) -> list:
        return [cell for _, row in self.rows for cell in row.values()]


def main(own: Namespace) -> int:
    """Print ours against the paper's, and write the page with --html. Return 1 when a number does not come out."""
    study = Study(published.rows(), published.rows("derived"), published.rows("families"))
    found, more = sections(study), beyond(study)
    print(*lines(found, more), sep="\n")
    if own.html:
        from .report import replicated

        Path(own.html).write_text(replicated.build(found, more, study))
    return 0 if all(cell.ok for section in found for cell in section.cells) else 1


class Study:
    """The shipped tables as arrays over BASES and the teachers of Table 6."""

    def __init__(self, rows: list[dict], derived: list[dict], families: list[dict]):
        import numpy as np

        self.printed = {(r["table"], r["base_model"], r["teacher"], r["metric"]): r["value"] for r in rows}
        self.derived = {}
        for row in derived:
            of = self.derived.setdefault(row["what"], {}).setdefault(row["of"], {})
            of[row["base_model"]] = row["printed"]
        of_model = {row["model"]: row for row in families}
        self.teachers = list(dict.fromkeys(r["teacher"] for r in rows if r["table"] == "Table6"))
        self.names = [published.short(teacher) for teacher in self.teachers]
        self.lc, self.ah = (
            np.array([[float(self.printed["Table6", base, t, metric]) for t in self.teachers] for base in BASES])
            for metric in ("AE2_LC", "AH")
        )
        self.ap = published.average_performance(self.lc, self.ah)
        self.borrowed = np.array([np.delete(self.ap, i, axis=0).mean(0) for i in range(len(BASES))])
        self.families = [of_model[teacher]["family"] for teacher in self.teachers]
        self.sizes = [size(teacher) for teacher in self.teachers]
        self.self_pair = np.array([[of_model[t]["parent"] == base for t in self.teachers] for base in BASES])
        own = np.array([[of_model[base]["family"] == family for family in self.families] for base in BASES])
        self.own_family = own & ~self.self_pair

    def averages(self) -> list[tuple]:
        """[(metric, printed average of Table 4)]"""
        rows = ((key, value) for key, value in self.printed.items() if key[:2] == ("Table4", "Average"))
        return [(key[3].removeprefix("spearman:"), float(value)) for key, value in rows]

    def steps(self) -> list[tuple]:
        """[(family, name of the step, differences [bases])]"""
        from . import families

        return [
            (family, f"{self.names[small]} to {self.names[large]}", self.ap[:, large] - self.ap[:, small])
            for family, (small,), (large,) in families.siblings(self.families, self.sizes)
        ]


# --- what must come out


def sections(study: Study) -> list[Section]:
    """Return every number that is known from elsewhere beside ours."""
    from . import families, stats

    def per_base(values) -> dict:
        return dict(zip(BASES, map(float, values), strict=True))

    rhos = per_base(stats.spearman(*pair) for pair in zip(study.borrowed, study.ap, strict=True))
    rhos["mean"] = sum(rhos.values()) / len(BASES)
    sizes = per_base(stats.spearman(study.sizes, ap) for ap in study.ap)
    both = per_base(stats.spearman(*pair) for pair in zip(study.lc, study.ah, strict=True))
    left = families.residuals(study.ap)
    kin = {(t, base): left[i, j] for i, base in enumerate(BASES) for j, t in enumerate(study.teachers)}
    kin["teacher main effect", "all"] = families.main_effect(study.ap)
    steps = {name: {**per_base(gaps), "wins": float((gaps > 0).sum())} for _, name, gaps in study.steps()}
    regrets = {
        teacher: {"mean": sum(stats.regret([t == teacher for t in study.teachers], ap) for ap in study.ap) / len(BASES)}
        for teacher in study.teachers
    }
    known = {
        "borrowed": {"borrowed ranking": rhos},
        "regret": regrets,
        "step": steps,
        "interval": {
            metric: dict(zip(("low", "high"), stats.fieller(rho, TEACHERS), strict=True))
            for metric, rho in study.averages()
        },
        "size": {"teacher size": sizes},
        "agreement": {"AE2 LC and AH": both},
        "kinship": {
            of: {base: value for (t, base), value in kin.items() if t == of} for of in study.derived["kinship"]
        },
    }
    return [
        *_tables(study),
        *(_section(study, what, title, about, known[what]) for what, (title, about) in DERIVED.items()),
    ]


DERIVED = {
    "borrowed": ("Borrowed ranking", "Spearman's rho of AP with the mean AP of the other four bases' students"),
    "regret": ("Regret of one teacher for all bases", "AP lost to the best teacher, mean over bases"),
    "step": (
        "Steps within a family",
        "AP of the bigger sibling less that of the next smaller one; wins: bases of five",
    ),
    "interval": ("Intervals of Table 4's averages", "95 %, by Fieller, Hartley and Pearson, n = 19"),
    "size": ("Teacher size", "Spearman's rho with AP"),
    "agreement": ("Two benchmarks", "Spearman's rho over teachers"),
    "kinship": (
        "Teacher and base",
        "share of the standardised variance that is the teacher's own; residual in sd of a student's own instruct version",
    ),
}


def _tables(study: Study) -> list[Section]:
    found = []
    for table in ("Table2", "Table3"):
        rows = {}
        for (of, base, teacher, metric), printed in study.printed.items():
            if (of, metric) == (table, "AP"):
                lc, ah = (float(study.printed[table, base, teacher, name]) for name in ("AE2_LC", "AH"))
                rows.setdefault(teacher, {})[base] = Cell(printed, published.average_performance(lc, ah))
        found.append(_laid_out(f"AP of {table[:5]} {table[5:]}", "(AlpacaEval 2 LC + Arena-Hard) / 2", rows))
    rows = {}
    for (of, base, teachers, metric), printed in study.printed.items():
        if (of, base) == ("Table4", "Average"):
            own = [float(study.printed[of, b, teachers, metric]) for b in BASES]
            # the rounding of the five may move their mean so far
            cell = Cell(printed, sum(own) / len(own), slack=0.5e-4)
            rows[metric.removeprefix("spearman:")] = {"average": cell}
    return [
        *found,
        _laid_out("Averages of Table 4", "mean of Spearman's rho over five bases, each printed with four digits", rows),
    ]


def _section(study: Study, what: str, title: str, about: str, ours: dict) -> Section:
    rows = {
        of: {column: Cell(printed, float(ours[of][column])) for column, printed in row.items()}
        for of, row in study.derived[what].items()
    }
    return _laid_out(title, about, rows)


def _laid_out(title: str, about: str, rows: dict) -> Section:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    return Section(title, about, columns, list(rows.items()))


# --- what the paper does not print


def beyond(study: Study) -> list[str]:
    """Return in sentences what the same functions say of these tables besides."""
    from . import families, stats
    from .report.text import number, probability, within

    pooled = {
        name: stats.pooled(x, study.ap) for name, x in (("borrowed", study.borrowed), ("size", [study.sizes] * 5))
    }
    without = stats.leave_one_out(study.borrowed, study.ap, study.families)
    by_family = {}
    for family, _, gaps in study.steps():
        by_family.setdefault(family, []).append(float(gaps.mean()))
    rises = families.rises(by_family)
    descend, others = (families.kinship(study.ap, kin) for kin in (study.self_pair, study.own_family))
    top = sorted(study.averages(), key=lambda pair: -pair[1])[:3]
    wide = (f"{metric} {within(rho, *stats.bonett_wright(rho, TEACHERS), digits=2)}" for metric, rho in top)
    least = stats.minimum_detectable_rho(TEACHERS), stats.detectable_rho(TEACHERS)
    return [
        f"By mean AP the bigger sibling is the better teacher in {rises.rises:g} of {rises.steps} steps "
        f"(exact p {probability(rises.p)}). Size pooled over bases: rho {_pooled(pooled['size'])}.",
        f"Teachers that descend from a base teach it {number(descend.mean, 2, sign=True)} sd better than they teach the others "
        f"({descend.cells} cells, p {probability(descend.p)}); others of its family {number(others.mean, 2, sign=True)} sd "
        f"({others.cells} cells, p {probability(others.p)}).",
        f"The borrowed ranking pooled over bases: rho {_pooled(pooled['borrowed'])}; "
        f"{number(min(without.values()), 2)} to {number(max(without.values()), 2)} with one family left out.",
        f"Bonett and Wright's intervals of the three highest averages overlap: {'; '.join(wide)}.",
        f"With {TEACHERS} teachers no rho below {number(least[0], 2)} is significant, and only a true one of {number(least[1], 2)} "
        "is found in four of five studies.",
    ]


def _pooled(found) -> str:
    from .report.text import probability, within

    return f"{within(found.rho, *found.bca, digits=2)} (p {probability(found.p)})"


# --- the terminal


def lines(found: list[Section], more: list[str]) -> list[str]:
    """Return ours with the published number in brackets, marked where it does not come out."""
    cells = [cell for section in found for cell in section.cells]
    good = sum(cell.ok for cell in cells)
    text = [f"Ours (published): {good} of {len(cells)} numbers come out within their printed rounding"]
    for section in found:
        width = max(34, *(len(label) + 2 for label, _ in section.rows))
        text += ["", f"{section.title}: {section.about}"]
        text.append(" " * width + "".join(f"{column.removeprefix('Llama-3.1-'):>20}" for column in section.columns))
        for label, row in section.rows:
            shown = [marked(row[column]) if column in row else "" for column in section.columns]
            text.append(f"{label:<{width}}" + "".join(f"{value:>20}" for value in shown))
    return [*text, "", "Not in the paper:", *(f"- {sentence}" for sentence in more)]


def marked(cell: Cell) -> str:
    return f"{cell.written}{'' if cell.ok else ' !'}"
