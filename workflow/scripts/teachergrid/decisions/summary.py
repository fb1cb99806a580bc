"""All tables of a grid block from its cells' results, over what exists."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import yaml

from ..analysis.baselines import grid_metrics, student_ap
from ..analysis.columns import Label
from ..analysis.correlations import Panels, correlations, labels_of, tables_of
from ..analysis.effects import effects
from ..analysis.evidence import primary, with_primary
from ..analysis.performance import Unit, performance, units
from ..store import artifacts, origin
from ..store.artifacts import Source
from .across import across_rows
from .components import component_rows, policy_rows
from .contrasts import combination_rows, contrast_rows
from .curves import curve_rows
from .fronts import front_rows, pilot_rows, tokens_of
from .recommendation import recommendation, teachers_of, terms
from .selection import overlaps, paired, selections


class Results(NamedTuple):
    """The results of a grid's cells. A source is a table or the path of its file."""

    scores: dict[tuple[str, str, str], Source]  # {(model, suite, judge): artifacts.SCORES}
    metrics: dict[tuple[str, str], Source]  # {(base, corpus): artifacts.METRICS}
    students: dict[str, dict]  # {student: its student.json}
    health: dict[str, Source]  # {responses: artifacts.HEALTH}
    chosen: dict[tuple[str, str], Source]  # {(derived corpus, base, or `any` for all bases): artifacts.CORPUS_ROWS}


class Summary(NamedTuple):
    """The rows of artifacts.PERFORMANCE, GRID_METRICS, CORRELATIONS, EFFECTS and LINEAGE, and the recommendation."""

    performance: list[dict]
    metrics: list[dict]
    correlations: list[dict]
    effects: list[dict]
    lineage: list[dict]
    recommendation: dict


# --- files of the job


class InputFiles(Protocol):
    """The inputs of the rule `correlate`, as Snakemake passes them."""

    students: Sequence[str]
    verified: Sequence[str]
    judged: Sequence[str]
    metrics: Sequence[str]
    health: Sequence[str]
    chosen: Sequence[str]


class OutputFiles(Protocol):
    """The outputs of the rule `correlate`."""

    performance: str
    metrics: str
    correlations: str
    effects: str
    lineage: str
    recommendation: str


def read_results(files: InputFiles) -> Results:
    """Return the results of a grid's cells; their paths name the cells."""
    scores: dict[tuple[str, str, str], Source] = {}
    for path in [*files.verified, *files.judged]:
        model, suite, judge = _cell(path, 3)
        scores[model, suite, judge] = path
    metrics: dict[tuple[str, str], Source] = {}
    for path in files.metrics:
        base, corpus = _cell(path, 2)
        metrics[base, corpus] = path
    students = {Path(path).parent.name: json.loads(Path(path).read_text()) for path in files.students}
    health: dict[str, Source] = {_cell(path, 1)[0]: path for path in files.health}
    chosen: dict[tuple[str, str], Source] = {}
    for path in files.chosen:
        corpus, base = _cell(path, 2)
        chosen[corpus, base] = path
    return Results(scores, metrics, students, health, chosen)


def _cell(path: str, depth: int) -> tuple[str, ...]:
    """Return ("q-raw", "math", "verify"): the last `depth` parts of a path name its cell."""
    return Path(path).with_suffix("").parts[-depth:]


def write(files: OutputFiles, summary: Summary, made_from: dict) -> None:
    """Write a grid's tables and its recommendation. made_from: their origin (origin.of)."""
    artifacts.write(files.performance, summary.performance, artifacts.PERFORMANCE, made_from)
    artifacts.write(files.metrics, summary.metrics, artifacts.GRID_METRICS, made_from)
    artifacts.write(files.correlations, summary.correlations, artifacts.CORRELATIONS, made_from)
    artifacts.write(files.effects, summary.effects, artifacts.EFFECTS, made_from)
    artifacts.write(files.lineage, summary.lineage, artifacts.LINEAGE, made_from)
    text = yaml.safe_dump(summary.recommendation, sort_keys=False, allow_unicode=True, width=120)
    origin.write_beside(files.recommendation, made_from)
    origin.replace_text(files.recommendation, text)


# --- tables


def summarise(settings: dict, results: Results) -> Summary:
    """Return the tables of a grid.

    What is missing is listed in the recommendation; units of a gated corpus are in no statistic.

    Args:
        settings: {"grid", "students", "references", "pairs", "metrics", "teachers", "bases", "suites", "judges", "kin"} as
            grid.blocks states them, and "corpora" {name: how its rows are chosen} of derived corpora.
    """
    found = primary(settings)
    settings = with_primary(settings, found)
    grid_units = units(settings, results.health)
    student_performance = performance(settings, grid_units, results.scores)
    ap = student_ap(student_performance.rows)
    metric_rows = grid_metrics(settings, grid_units, results.metrics, student_performance.rows)
    overall = [row for row in metric_rows if row.get("category") is None]
    panels = tables_of(settings, grid_units, overall, ap, student_performance.items)
    labels = labels_of(settings, overall)
    correlation_rows = correlations(settings, panels, labels)
    effect_rows = effects(settings, grid_units, ap, student_performance.items)
    if settings.get("corpora"):
        effect_rows += selections(settings, grid_units, student_performance.items)
        effect_rows += overlaps(settings, grid_units, results.chosen)
        effect_rows += curve_rows(settings, grid_units, student_performance.items, results.students)
    effect_rows += paired(settings, grid_units, student_performance.items)
    effect_rows += _answers(settings, panels, labels, student_performance.rows, overall)
    tokens = tokens_of(grid_units, results.students)
    for panel, tables in panels.items():
        effect_rows += [{"panel": panel, **row} for row in front_rows(settings, panel, tables, tokens)]
    missing = _missing(settings, grid_units, results)
    answer = recommendation(settings, grid_units, student_performance, correlation_rows, effect_rows, missing)
    answer |= {"left_out": found.left_out, "evidence": found.evidence}
    origins = lineage(settings, results.students)
    return Summary(student_performance.rows, metric_rows, correlation_rows, effect_rows, origins, answer)


def _answers(
    settings: dict,
    panels: Panels,
    labels: Mapping[str, Label],
    performance_rows: list[dict],
    metric_rows: list[dict],
) -> list[dict]:
    """Return the rows of artifacts.EFFECTS that compare metrics, bases and equals, and say where differences come from.

    metric_rows: over all responses.
    """
    rows = []
    for panel, by_base in panels.items():
        tables = {base: table for base, table in by_base.items() if len(table.names) > 1}
        if not tables:
            continue
        own = contrast_rows(settings, tables, labels) + combination_rows(tables, labels)
        components = component_rows(tables)
        own += components + policy_rows(settings, tables, labels)
        own += pilot_rows(tables, labels, [row for row in metric_rows if row["panel"] == panel], components)
        own += across_rows(settings, tables, performance_rows, panel)
        rows += [{"panel": panel, **row} for row in own]
    return rows


def lineage(settings: dict, students: dict[str, dict]) -> list[dict]:
    """Return where every student that was trained came from, and the terms of its base and teachers."""
    rows = []
    for cell in settings["students"]:
        if student := students.get(cell["student"]):
            names = {key: cell[key] for key in ("student", "base", "corpus", "recipe", "seed")}
            licences = {
                "teacher": ", ".join(teachers_of(settings, cell)) or cell["corpus"],
                "base_licence": settings["bases"].get(cell["base"], {}).get("licence"),
                "teacher_licence": terms(settings, cell, "licence"),
                "output_terms": terms(settings, cell, "output_terms"),
            }
            counts = {key: student.get(key) for key in ("steps", "examples", "trained_tokens")}
            notes = " ".join(student.get("notes") or []) or None
            weights = _weights(student.get("weights") or {})
            rows.append({**names, **licences, **counts, "weights": weights, "notes": notes})
    return rows


def _weights(files: dict[str, str]) -> str | None:
    """Return the sha256 of a student: that of its one weight file, or of the list of several."""
    if len(files) < 2:
        return next(iter(files.values()), None)
    return "sha256:" + hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _missing(settings: dict, grid_units: list[Unit], results: Results) -> list[str]:
    """Return what the grid needs and does not have. What depends on a missing student is not listed in addition."""
    students = [student for unit in grid_units if not unit.gated for student in unit.students.values()]
    missing = [f"student {student}" for student in students if student not in results.students]
    models = [student for student in students if student in results.students]
    models += [reference["name"] for reference in settings["references"]]
    for suite, judges in settings["suites"].items():
        for judge in judges:
            without = [model for model in models if (model, suite, judge) not in results.scores]
            missing += [f"scores of {model} in {suite}/{judge}" for model in without]
    pairs = [(base, corpus) for base, corpus in settings["pairs"] if (base, corpus) not in results.metrics]
    return missing + [f"metrics of {corpus} for {base}" for base, corpus in pairs]
