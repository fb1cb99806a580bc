"""The answers of a student or a reference to the tasks of a suite."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa

from ..data import published
from ..engines import engine, rows
from ..engines.requests import Output, Request, Setup, requests_of
from ..errors import BadInput
from ..spec.settings import AnswerSettings
from ..store import artifacts
from . import prompting
from .prompting import Example

NONE: Mapping[str, Sequence[Example]] = MappingProxyType({})


def answer(
    items: dict[str, pa.Table],
    settings: AnswerSettings,
    work: Path,
    weights: Path | None = None,
    examples: Mapping[str, Sequence[Example]] = NONE,
) -> tuple[pa.Table, pa.Table]:
    """Return a model's answers to all tasks of a suite (artifacts.ANSWERS), with one model load for all, and those that a second try
    has replaced.

    Rows come task by task, in the order of the prompts, then of samples.

    Args:
        items: {task: its prompts (artifacts.INSTRUCTIONS)}.
        settings: {"chat": the chat settings, "format": `chat` or `plain`, "tasks": {task: {"sampling": ..., ...}},
            "suite": {"engine", "batch", "shard"}, "model": a reference's model, or a student's base}.
        work: folder of unfinished shards.
        weights: folder of a student's weights and tokenizer.
        examples: {task: solved examples}, of tasks that show any (prompting.examples_of).
    Raises:
        BadInput: as models.chat and models.loading do, and when every prompt is too long for the model.
    """
    suite, of_task, format = settings["suite"], settings["tasks"], settings["format"]
    shown, chat = prompting.asked(items, settings, examples)
    parts = {task: requests_of(asked, prompting.sampling_of(of_task[task], format)) for task, asked in shown.items()}
    requests = [(task, request) for task, several in parts.items() for request in several]
    setup = Setup(
        settings["model"],
        chat,
        format,
        weights,
        [request for _, request in requests],
        suite["batch"],
        suite["shard"],
        work,
    )

    def row(number: int, output: Output) -> dict:
        return _row(*requests[number], output)

    made = rows.made(suite["engine"], setup, list(map(len, parts.values())), row, artifacts.ANSWERS, "answers")
    table = pa.concat_tables([artifacts.ANSWERS.empty_table(), *made.tables])
    engine.check_prompts_fit(table, settings["model"])
    return table, made.cut


def read(items: Mapping[str, pa.Table], reference: dict, paths: Sequence[str]) -> pa.Table:
    """Return answers that were published (artifacts.ANSWERS), task by task, in the order of the prompts.

    Args:
        items: {task: its prompts (artifacts.INSTRUCTIONS)}.
        reference: the config's entry: how the source is read.
        paths: of the files, that of `source` and those of `by_category` in the order of its sorted names; none for a hub data set.
    Raises:
        BadInput: as published.load does: an item has no answer or two, or no row answers any.
    """
    made: list[dict] = []
    for task, table in items.items():
        order = {id: place for place, id in enumerate(table["id"].to_pylist())}
        rows: list[dict] = []
        for number, category in enumerate([None, *sorted(reference["by_category"])]):
            asked = [item for item in table.to_pylist() if _source_of(item, reference) == category]
            if not asked:
                continue
            source = reference if category is None else reference | {"source": reference["by_category"][category]}
            try:
                found = published.load(asked, source, paths[number] if paths else None)
            except BadInput as error:
                raise BadInput(f"task {task}: {error}") from error
            rows += _published(task, asked, found)
        made += sorted(rows, key=lambda row: (order[row["id"]], row["sample"]))
    return artifacts.table(made, artifacts.ANSWERS)


def _source_of(item: dict, reference: dict) -> str | None:
    """Return the category that has a source of its own; None where the item belongs to the usual one."""
    return item["category"] if item["category"] in reference["by_category"] else None


def _published(task: str, asked: list[dict], found: list[dict]) -> list[dict]:
    """Return rows of artifacts.ANSWERS. asked: the items; found: responses to them."""
    categories = {item["id"]: item["category"] for item in asked}
    return [
        {
            **{key: row[key] for key in ("id", "sample", "finish_reason")},
            "task": task,
            "category": categories[row["id"]],
            "answer": row["response"],
        }
        for row in found
    ]


def _row(task: str, request: Request, output: Output) -> dict:
    """Return one row of artifacts.ANSWERS."""
    return {
        "task": task,
        "id": request.id,
        "sample": request.sample,
        "category": request.category,
        "answer": output["text"],
        "finish_reason": output["finish_reason"],
        "prompt_tokens": output["prompt_tokens"],
        "answer_tokens": output["response_tokens"],
    }
