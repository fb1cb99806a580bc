"""Assemble the report of a grid block: one HTML file without anything from outside."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..pages import estimates, plots
from ..pages.environment import environment
from . import agreement, answer, effects, judges, metrics, ranks, records, selection, tasks, values
from .data import PageData, gather

TEMPLATES = Path(__file__).parent / "template"
OF_THE_DEMO = ["config/config.yaml"]  # the config of a run that names none


def build(inputs: Mapping[str, Any]) -> str:
    """Return the page of a grid block.

    Args:
        inputs: the keys of data.Inputs. What is missing or null is shown as unknown.
    """
    data = gather(inputs)
    tables = values.tables(data)
    recommendation = data.inputs["recommendation"]
    failed_cells = [row["cell"] for row in data.inputs["failures"] if row["cell"]]
    gated = recommendation.get("gated") or {}
    return (
        environment(TEMPLATES)
        .get_template("page.html")
        .render(
            data=data,
            title=data.inputs["title"] or "Which model should teach yours",
            counted=counted(data),
            values=tables,
            cut=metrics.cut(data),
            family_mark=plots.key,
            **agreement.section(data),
            **(_without_students(data, tables) if data.only_measured else _about_students(data)),
            health=records.health(data),
            failed=records.failed(data),
            samples=records.samples(data),
            verdicts=judges.verdicts(data),
            stages=records.stages(data),
            estimates=estimates.table(data.inputs["estimates"]),
            training=records.training(data),
            contamination=records.contamination(data),
            evolved=records.evolved(data),
            by_round=records.by_round(data),
            provenance=records.flat(data.inputs["provenance"]),
            reproduce=reproduce(data.inputs["config_files"]),
            gated=gated,
            gated_without_log={corpus: reason for corpus, reason in gated.items() if corpus not in failed_cells},
            missing=[
                name for name in recommendation.get("missing") or [] if not any(cell in name for cell in failed_cells)
            ],
        )
    )


def reproduce(config_files: Sequence[str]) -> str:
    """Return the command that makes the page again. config_files: of the run that made it, [] where they are unknown."""
    own = [] if list(config_files) in ([], OF_THE_DEMO) else ["--configfile", *config_files]
    return shlex.join(["teachergrid", "run", *own])


def _about_students(data: PageData) -> dict[str, Any]:
    """Return what only a page about students shows."""
    correlations, answers, heat = ranks.tables(data), answer.answers(data), answer.heat(data)
    gains, benchmarks = tasks.gains(data), tasks.benchmarks(data)
    for row in benchmarks["rows"] if benchmarks else []:
        row["mark"] = judges.marks(data, row["score"])
    recommendation, primary = data.inputs["recommendation"], data.settings["grid"]["performance"] or []
    return {
        "answers": answers,
        "headline": answer.headline(answers),
        "one_seed": all(found["one_seed"] for found in answers),
        "pilot": answer.pilot(data),
        "heat": heat,
        "judges": judges.tables(data),
        "behind_ap": judges.behind(data, primary),
        "left_out": recommendation.get("left_out") or {},
        "evidence": recommendation.get("evidence") or [],
        "benchmarks": benchmarks,
        "behind_benchmarks": judges.behind(data, benchmarks["scores"]) if benchmarks else [],
        "behind_gains": judges.behind(data, [name for one in gains for name in one["measures"]]),
        "empty": heat["empty"],
        "budgets": records.budgets(data),
        "items": _items(data),
        "strength": metrics.strength(data),
        "siblings": effects.siblings(data),
        "selection": selection.section(data),
        "pairs": selection.pairs(data),
        "effects": effects.section(data),
        "matched": effects.matched(data),
        "known": data.inputs["recommendation"].get("known") or [],
        "proposals": data.inputs["recommendation"].get("next") or [],
        "metrics": metrics.against_performance(data),
        "correlations": correlations,
        "unlike_papers": metrics.unlike_papers(data),
        "overview": ranks.overview(correlations),
        "sensitivity": ranks.sensitivity(data),
        "gains": gains,
        "circular_gains": tasks.gains(data, circular=True),
        "cannot_say": recommendation.get("cannot_say") or [],
    }


def _without_students(data: PageData, tables: list[dict]) -> dict[str, Any]:
    """Return what only a page without students shows. What the recommendation cannot say is all about students."""
    return {
        "plots": values.dots(data, tables),
        "empty": sum(len(table["absent"]) for table in tables),
        "cannot_say": [],
    }


def _items(data: PageData) -> int | None:
    """Return the number of benchmark items behind a student's AP, the greatest where cells differ."""
    return max((row["n_items"] or 0 for row in data.cells.values()), default=0) or None


def counted(data: PageData) -> str:
    """Return how many units there are, in words: `4 teachers and 8 derived corpora`."""
    derived = sum(unit in data.settings["corpora"] for unit in data.units)
    counts = [
        (len(data.units) - derived, (data.unit_name, data.units_name)),
        (derived, ("derived corpus", "derived corpora")),
    ]
    return " and ".join(f"{count} {words[count != 1]}" for count, words in counts if count)
