"""The page of `teachergrid replicate`: the first paper's numbers and ours, side by side."""

from markupsafe import Markup

from .. import stats
from . import plots, text
from .page import environment


def build(sections: list, more: list[str], study) -> str:
    """Return the page: sections of replicate.Section, sentences on what the paper does not print, and plots of both."""
    cells = [cell for section in sections for cell in section.cells]
    return (
        environment()
        .get_template("replicate.html")
        .render(
            sections=sections,
            more=more,
            good=sum(cell.ok for cell in cells),
            all=len(cells),
            plots=[_steps(study), _averages(study)],
        )
    )


def _steps(study) -> Markup:
    families = list(dict.fromkeys(study.families))
    rows = [
        {
            "label": name.split(" to ")[1],
            "value": float(gaps.mean()),
            "low": float(gaps.min()),
            "high": float(gaps.max()),
            "text": text.number(float(gaps.mean()), 2, sign=True),
            "title": f"{name}: {text.within(*map(float, (gaps.mean(), gaps.min(), gaps.max())), digits=2, sign=True)}",
            "series": families.index(family),
        }
        for family, name, gaps in study.steps()
    ]
    return plots.dots(
        rows,
        "Is the bigger sibling the better teacher?",
        "One row per step within a family, named after the bigger sibling: mean over five bases, whiskers from the lowest to "
        "the highest base. Right of the line the bigger one is better.",
        "AP of the bigger less that of the next smaller sibling",
        lines=[(0.0, "", "zero")],
    )


def _averages(study) -> Markup:
    rows = []
    for metric, rho in sorted(study.averages(), key=lambda pair: -pair[1]):
        low, high = stats.bonett_wright(rho, len(study.teachers))
        css = "best" if metric == "CAR" else ""
        row = {"label": metric.removeprefix("Reward:"), "value": rho, "low": low, "high": high, "css": css}
        rows.append({**row, "text": text.number(rho, 2), "title": f"{metric}: {text.within(rho, low, high, 2)}"})
    return plots.dots(
        rows,
        "How well each metric of Table 4 ranks the teachers",
        "Spearman's rho, mean over five bases, with 95 % intervals by Bonett and Wright for 19 teachers.",
        "rho",
        lines=[(0.0, "", "zero")],
        domain=(-1.0, 1.0),
    )
