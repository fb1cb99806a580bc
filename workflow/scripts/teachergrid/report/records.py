"""What happened: health of responses, failures, time, training and provenance, as tables."""

from typing import Any

from markupsafe import Markup

from ..analysis.evolution import ALL
from ..data.contamination import WAYS
from ..evolution.grading import LEVELS
from ..job.failures import UNKNOWN, Group, grouped
from ..pages import plots, text
from ..spec.ids import Responses, Student
from .data import PageData, Row, places


def health(data: PageData) -> dict:
    """Return {"checks": [(name, limit)], "rows": [{"name", "n", "cells", "gated"}], "examples": [...]}."""
    tables = {name: rows for name, rows in data.inputs["health"].items() if rows}
    limits: dict[str, float | None] = {}
    for rows in tables.values():
        for row in rows:
            limits[row["check"]] = row["limit"] if row["limit"] is not None else limits.get(row["check"])
    # a check without a finding and without a limit would only widen the table
    found_any = {row["check"] for rows in tables.values() for row in rows if row["count"]}
    limits = {check: limit for check, limit in limits.items() if limit is not None or check in found_any}
    table_rows, examples = [], []
    one_set = len({Responses.parse(name).instructions for name in tables}) == 1
    for name, rows in tables.items():
        by_check = {row["check"]: row for row in rows}
        table_rows.append(
            {
                "name": Responses.parse(name).teacher if one_set else name,
                "n": max((row["n"] or 0 for row in rows), default=0),
                "cells": [by_check.get(check, {}) for check in limits],
                "gated": [row["check"] for row in rows if row["passed"] is False],
            }
        )
        examples += [{**row, "name": table_rows[-1]["name"]} for row in rows if row["example"]]
    return {"checks": list(limits.items()), "rows": table_rows, "examples": examples}


def failed(data: PageData) -> list[Group]:
    """Return the failures by class, the largest first: {"kind", "remedy", "cells": [{"job", "line", "log"}]}."""
    jobs = []
    for row in data.inputs["failures"]:
        job = " ".join(filter(None, (row["rule"], row["cell"])))
        jobs.append((row["kind"] or UNKNOWN, {"job": job, "line": row["reason"], "log": row["log"]}))
    return grouped(jobs)


def training(data: PageData) -> list[dict]:
    """Return lineage rows with the learning rate of their recipe."""
    recipes = data.settings["recipes"]
    rows = data.inputs["lineage"]
    return [{**row, "learning_rate": (recipes.get(row["recipe"]) or {}).get("learning_rate")} for row in rows]


def budgets(data: PageData) -> dict | None:
    """Return how much the students of every cell were trained; None where nothing was trained.

    {"columns": places, "rows": [{"name", "cells": [{"tokens": mean over seeds, "text"}]}], "ratio": the most over the fewest
    trained tokens of a base}.
    """
    by_model: dict[str, list[Row]] = {}
    for row in training(data):
        by_model.setdefault(Student.parse(row["student"]).any_seed if row["student"] else "", []).append(row)
    columns, rows, ratio = places(data), [], 1.0
    for unit in data.units:
        students_of = [by_model.get(data.cell(base, panel, unit)["model"], []) for base, panel in columns]
        rows.append({"name": unit, "cells": [_budget(students) for students in students_of]})
    for column in zip(*(row["cells"] for row in rows), strict=True):
        tokens = [cell["tokens"] for cell in column if cell["tokens"]]
        ratio = max(ratio, max(tokens, default=1) / min(tokens, default=1))
    return {"columns": columns, "rows": rows, "ratio": ratio} if by_model else None


def _budget(students: list[dict]) -> dict:
    tokens = [row["trained_tokens"] for row in students if row["trained_tokens"] is not None]
    if not tokens:
        return {"tokens": None, "text": text.DASH}
    mean, steps = sum(tokens) / len(tokens), {row["steps"] for row in students}
    rates = sorted({row["learning_rate"] for row in students if row["learning_rate"]})
    rate = f", lr {' '.join(text.significant(rate, 2) for rate in rates)}" if rates else ""
    budget = f"{text.count(round(mean))} in {text.listing(sorted(map(str, steps)))} steps{rate}"
    return {"tokens": mean, "text": budget}


SHOWN = 3  # examples of one way in one set and task


def contamination(data: PageData) -> dict:
    """Return {"rows": [{"name", "task", "n": {way: count}, "removed", "share"}], "examples": [...]} of what is shared."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in data.inputs["contamination"]:
        groups.setdefault((row["instructions"], row["task"]), []).append(row)
    rows, examples = [], []
    for (name, task), group in groups.items():
        present = [row for row in group if not row["removed"]]
        size = (data.inputs.get("sizes") or {}).get(name)
        count = {way: sum(row["how"] == way for row in present) for way in WAYS}
        removed = len(group) - len(present)
        share = len(present) / size if size else None
        rows.append({"name": name, "task": task, "n": count, "removed": removed, "share": share})
        for way in WAYS:
            matches = [row for row in group if row["how"] == way][:SHOWN]
            examples += [
                {
                    **row,
                    "instruction": text.clipped(row["instruction"], 400),
                    "prompt": text.clipped(row["prompt"], 400),
                }
                for row in matches
            ]
    return {"rows": rows, "examples": examples}


def evolved(data: PageData) -> list[Row]:
    """Return the operators and rounds of evolved sets, with the reasons in words, the most frequent first."""
    rows = []
    for row in data.inputs["evolved"]:
        reasons = sorted((row["left_out"] or {}).items(), key=lambda item: -item[1])
        words = ", ".join(f"{reason} {text.count(number)}" for reason, number in reasons)
        share = row["kept"] / row["asked"] if row["asked"] else None
        rows.append({**row, "share": share, "reasons": words or text.DASH})
    return rows


def by_round(data: PageData) -> dict:
    """Return what a page shows of grades and rewards by round and operator.

    {"levels": of the grades, "grades": rows, "rewards": rows, "plots": one for each model that graded, and for each reward}.
    """
    graded, scored = data.inputs["grades"], data.inputs["evolution_scores"]
    figures = []
    for judge in dict.fromkeys(row["graded_by"] for row in graded):
        own = [row for row in graded if row["graded_by"] == judge]
        figures.append(_over_rounds(own, f"How hard {judge} finds the instructions", f"score by {judge}, 0 to 100"))
    for reward, teacher in dict.fromkeys((row["reward"], row["answered_by"]) for row in scored):
        own = [row for row in scored if (row["reward"], row["answered_by"]) == (reward, teacher)]
        figures.append(_over_rounds(own, f"{reward} of the answers of {teacher}", f"{reward}, answers of {teacher}"))
    return {"levels": LEVELS, "grades": graded, "rewards": scored, "plots": figures}


def _over_rounds(rows: list[Row], title: str, axis: str) -> Markup:
    """Return the plot of the means of each set and round."""
    whole = {(row["instructions"], row["round"]) for row in rows if row["operator"] == ALL}
    shown = [row for row in rows if row["operator"] == ALL or (row["instructions"], row["round"]) not in whole]
    digits = 1 if all(abs(row["mean"] or 0) >= 10 for row in shown) else 3
    sets = list(dict.fromkeys(row["instructions"] for row in shown))
    dots = [
        plots.Dot(
            label=f"{row['instructions']}, round {row['round']}",
            value=row["mean"],
            low=row["low"],
            high=row["high"],
            text=text.number(row["mean"], digits),
            title=f"{row['instructions']}, round {row['round']}: {text.within(row['mean'], row['low'], row['high'], digits)}",
            series=sets.index(row["instructions"]),
        )
        for row in shown
    ]
    return plots.dots(dots, title, "One row per set and round, with 95 % intervals over instructions.", axis)


def stages(data: PageData) -> dict:
    """Return the stages with their share of the jobs' wall time, and the sums over all."""
    rows = data.inputs["stages"]
    stated = {
        key: [row[key] for row in rows if row[key] is not None] for key in ("jobs", "wall_s", "cpu_s", "max_rss_mb")
    }
    total = {key: sum(values) if values else None for key, values in stated.items()}
    total["max_rss_mb"] = max(stated["max_rss_mb"], default=None)
    share = {row["rule"]: (row["wall_s"] or 0) / total["wall_s"] for row in rows} if total["wall_s"] else {}
    return {"rows": rows, "total": total, "share": share}


SAMPLES = {
    "responses": (("id", "question"), ("teacher", "text", "reward", "finish_reason")),
    "answers": (("id", "task", "question", "reference_answer"), ("model", "text", "score")),
}


def samples(data: PageData) -> dict:
    """Return the samples with all their keys, and long texts cut."""
    inputs = data.inputs.get("samples") or {}
    shown = {}
    for kind, (keys, columns) in SAMPLES.items():
        shown[kind] = [{**dict.fromkeys(keys), **item} for item in inputs.get(kind) or []]
        for item in shown[kind]:
            item["question"] = text.clipped(item["question"], 1500)
            rows = [{**dict.fromkeys(columns), **row} for row in item.get("answers") or []]
            item["answers"] = [{**row, "text": text.clipped(row["text"])} for row in rows]
    return shown


def flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Return nested provenance as (name, text): {"a": {"b": 1}} -> [("a / b", "1")]; empty parts are an em dash."""
    if isinstance(value, dict) and value:
        return [pair for key, item in value.items() for pair in flat(item, f"{prefix} / {key}" if prefix else str(key))]
    if isinstance(value, list) and value and not any(isinstance(item, dict | list) for item in value):
        return [(prefix, ", ".join(map(str, value)))]
    if isinstance(value, list) and value:
        return [pair for i, item in enumerate(value, 1) for pair in flat(item, f"{prefix} {i}")]
    return [(prefix, text.DASH if value is None or value in ({}, [], "") else str(value))]
