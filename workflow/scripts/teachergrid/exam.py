"""The exams of models in the table of cells (grid.Cells): answers, checks, comparisons, and the freeing of weights after them."""

from functools import cache

from . import canonical, costs
from .canonical import picked, without
from .config import VERIFY
from .ids import Student

TALK = ("template", "template_args", "system", "plain")


def add(cells, model: str, suite: str, judges: list[str]) -> None:
    who = model if model in cells.config["references"] else Student.parse(model).base
    prompts, items = cells.prompts_of(suite)
    cells.rows["answer"][f"{model}/{suite}"] = {
        **_answer_row(cells, who, suite),
        "students": [] if who == model else [model],
        "prompts": prompts,
        "rows": items,
    }
    if who != model:
        _add_freeing(cells, model, suite)
    for judge in judges:
        if judge == VERIFY:
            row = {"spec": _verify_spec(cells, suite), "prompts": prompts, "rows": items}
            cells.rows["verify"][f"{model}/{suite}"] = row
        else:
            _add_comparison(cells, model, suite, judge, prompts, items)


def _add_comparison(cells, model: str, suite: str, judge: str, prompts: list[str], items: int) -> None:
    opponent = cells.config["judges"][judge]["baseline"]
    cells.rows["judge"][f"{model}/{suite}/{judge}"] = {
        **_judge_row(cells, judge, suite),
        # the opponent itself ties with itself
        "baselines": [opponent] if opponent != model else [],
        "suites": [suite],
        "prompts": prompts,
        # both sides are scored
        "rows": 2 * items,
    }
    if f"{opponent}/{suite}" not in cells.rows["answer"]:
        add(cells, opponent, suite, [])


def _add_freeing(cells, student: str, suite: str) -> None:
    """Add a job that frees a student's weights after its last answer; a report over what exists has none."""
    keep = cells.config["recipes"][Student.parse(student).recipe]["keep"]
    if keep != "model" and not cells.config["partial"]:
        row = cells.rows["free"].setdefault(student, {"spec": canonical.dump(keep=keep), "suites": []})
        row["suites"] += [suite] if suite not in row["suites"] else []


@cache
def _answer_row(cells, who: str, suite: str) -> dict:
    entry = cells.config["references"].get(who) or cells.config["bases"][who]
    talk = {**picked(entry, "model", *TALK), "format": entry.get("format", "chat")}
    tasks = {n: picked(task, "fields", "prompt_version", "sampling") for n, task in cells.tasks_of(suite).items()}
    row = cells.with_model(
        "reference",
        talk if talk["format"] == "plain" else without(talk, "plain"),
        tasks=tasks,
        suite=picked(cells.config["suites"][suite], "batch", "shard"),
    )
    longest = max(task["sampling"]["max_tokens"] for task in tasks.values())
    return row | {"tokens": min(longest, costs.USUAL_TOKENS)}


@cache
def _verify_spec(cells, suite: str) -> str:
    tasks = cells.tasks_of(suite)
    return canonical.dump(tasks={n: picked(task, "fields", "checker", "checker_version") for n, task in tasks.items()})


@cache
def _judge_row(cells, judge: str, suite: str) -> dict:
    entry = cells.config["judges"][judge]
    reward = without(cells.config["rewards"][entry["reward"]], "plain")
    tasks = {name: picked(task, "fields") for name, task in cells.tasks_of(suite).items()}
    row = cells.with_model("reward", reward, tasks=tasks, judge=picked(entry, "tie"))
    return row | {"tokens": min(reward["max_length"], costs.USUAL_TOKENS)}
