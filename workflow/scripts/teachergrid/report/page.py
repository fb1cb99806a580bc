"""Assemble the report of a grid block: one HTML file without anything from outside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import (
    agreement,
    beside,
    estimates,
    measures,
    pilot,
    plots,
    ranks,
    records,
    siblings,
    tasks,
    values,
    verdict,
)
from .environment import environment
from .facts import Facts, gather

TEMPLATES = Path(__file__).parent / "template"
REPRODUCE = "snakemake --workflow-profile profiles/default"


def build(data: Mapping[str, Any]) -> str:
    """Return the page of a grid block.

    Args:
        data: the keys of facts.Inputs. What is missing or null is shown as unknown.
    """
    facts = gather(data)
    tables = values.tables(facts)
    recommendation = facts.data["recommendation"]
    failed_cells = [row["cell"] for row in facts.data["failures"] if row["cell"]]
    gated = recommendation.get("gated") or {}
    return (
        environment(TEMPLATES)
        .get_template("page.html")
        .render(
            facts=facts,
            title=facts.data["title"] or "Which model should teach yours",
            values=tables,
            family_mark=plots.key,
            **agreement.section(facts),
            **(_without_students(facts, tables) if facts.only_measured else _about_students(facts)),
            health=records.health(facts),
            failed=records.failed(facts),
            samples=records.samples(facts),
            stages=records.stages(facts),
            estimates=estimates.table(facts.data["estimates"]),
            training=records.training(facts),
            contamination=records.contamination(facts),
            provenance=records.flat(facts.data["provenance"]),
            reproduce=REPRODUCE,
            gated=gated,
            gated_without_log={corpus: reason for corpus, reason in gated.items() if corpus not in failed_cells},
            missing=[
                name for name in recommendation.get("missing") or [] if not any(cell in name for cell in failed_cells)
            ],
        )
    )


def _about_students(facts: Facts) -> dict[str, Any]:
    """Return what only a page about students shows."""
    correlations, answers, heat = ranks.tables(facts), verdict.answers(facts), verdict.heat(facts)
    return {
        "answers": answers,
        "headline": verdict.headline(answers),
        "pilot": pilot.section(facts),
        "heat": heat,
        "judges": beside.tables(facts),
        "empty": heat["empty"],
        "budgets": records.budgets(facts),
        "items": _items(facts),
        "strength": measures.strength(facts),
        "siblings": siblings.section(facts),
        "metrics": measures.against_performance(facts),
        "correlations": correlations,
        "overview": ranks.overview(correlations),
        "sensitivity": ranks.sensitivity(facts),
        "gains": tasks.gains(facts),
        "cannot_say": facts.data["recommendation"].get("cannot_say") or [],
    }


def _without_students(facts: Facts, tables: list[dict]) -> dict[str, Any]:
    """Return what only a page without students shows. What the recommendation cannot say is all about students."""
    return {
        "plots": values.dots(facts, tables),
        "empty": sum(len(table["absent"]) for table in tables),
        "cannot_say": [],
    }


def _items(facts: Facts) -> int | None:
    """Return the number of benchmark items behind a student's AP, the greatest where cells differ."""
    return max((row["n_items"] or 0 for row in facts.cells.values()), default=0) or None
