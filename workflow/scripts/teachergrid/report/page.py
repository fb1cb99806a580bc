"""Assemble the report of a grid block: one HTML file without anything from outside."""

from pathlib import Path

import jinja2

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
    text,
    values,
    verdict,
)
from .facts import Facts, gather

FOLDER = Path(__file__).parent / "template"
REPRODUCE = "snakemake --workflow-profile profiles/default"


def build(data: dict) -> str:
    """Return the page of a grid block.

    data: title, settings (those of `correlate`), performance, metrics, correlations and lineage (rows of these tables in
    artifacts), recommendation, pilot (see pilot.section), health (rows by responses id), samples, failures, stages, estimates (of
    estimates.compared), rewards (means by responses id and reward), reward_quality, notes, provenance. What is missing or null is said to be so.
    """
    facts = gather(data)
    tables = values.tables(facts)
    told = facts.data.get("recommendation") or {}
    gated, told_of = told.get("gated") or {}, [row["cell"] for row in facts.data["failures"] if row["cell"]]
    return (
        environment()
        .get_template("page.html")
        .render(
            facts=facts,
            title=facts.data.get("title") or "Which model should teach yours",
            values=tables,
            **agreement.section(facts),
            **(measured(facts, tables) if facts.only_measured else answered(facts)),
            health=records.health(facts),
            failed=records.failed(facts),
            samples=records.samples(facts),
            stages=records.stages(facts),
            estimates=estimates.table(facts.data["estimates"]),
            training=records.training(facts),
            contamination=records.contamination(facts),
            provenance=records.flat(facts.data.get("provenance") or {}),
            reproduce=REPRODUCE,
            gated=gated,
            untold={corpus: reason for corpus, reason in gated.items() if corpus not in told_of},
            missing=[name for name in told.get("missing") or [] if not any(cell in name for cell in told_of)],
        )
    )


def answered(facts: Facts) -> dict:
    """Return what only a page about students shows."""
    correlations, verdicts, heat = ranks.tables(facts), verdict.verdicts(facts), verdict.heat(facts)
    return {
        "verdicts": verdicts,
        "headline": verdict.headline(verdicts),
        "pilot": pilot.section(facts),
        "heat": heat,
        "beside": beside.tables(facts),
        "empty": heat["empty"],
        "budgets": records.budgets(facts),
        "items": items(facts),
        "strength": measures.strength(facts),
        "siblings": siblings.section(facts),
        "metrics": measures.against_performance(facts),
        "correlations": correlations,
        "overview": ranks.overview(correlations),
        "sensitivity": ranks.sensitivity(facts),
        "gains": tasks.gains(facts),
        "cannot_say": (facts.data.get("recommendation") or {}).get("cannot_say") or [],
    }


def measured(facts: Facts, tables: list[dict]) -> dict:
    """Return what only a page without students shows. What the recommendation cannot say is all about students."""
    return {
        "plots": values.dots(facts, tables),
        "empty": sum(len(table["absent"]) for table in tables),
        "cannot_say": [],
    }


def items(facts: Facts) -> int | None:
    """Return how many benchmark items a student's AP rests on; the greatest number where cells differ."""
    return max((row.get("n_items") or 0 for row in facts.cells.values()), default=0) or None


def environment() -> jinja2.Environment:
    """Return the templates: everything is escaped, a name that does not exist is an error, null prints as an em dash."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: text.DASH if value is None else value,
    )
    names = (
        "number",
        "significant",
        "within",
        "probability",
        "percent",
        "count",
        "duration",
        "breakable",
        "coded",
        "listing",
        "together",
    )
    found.filters |= {name: getattr(text, name) for name in names}
    found.globals["family_mark"] = plots.key
    return found
