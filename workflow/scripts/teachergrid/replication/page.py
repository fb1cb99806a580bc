"""The page of `teachergrid replicate`: the first paper's numbers and ours, side by side."""

from pathlib import Path

from markupsafe import Markup

from ..pages import plots, text
from ..pages.environment import environment
from ..stats import rank
from .study import Section, Study, counts

TEMPLATES = Path(__file__).parent / "template"


def build(sections: list[Section], more: list[str], study: Study) -> str:
    """Return the page. more: sentences on what the paper does not print."""
    return (
        environment(TEMPLATES)
        .get_template("replicate.html")
        .render(
            sections=sections,
            more=more,
            number=counts(sections),
            plots=[_steps(study), _averages(study)],
        )
    )


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
