"""The answers of a student or a reference to the tasks of a suite."""

from pathlib import Path

import pyarrow as pa

from ..engines import engine
from ..engines.requests import Output, Request
from ..spec.settings import AnswerSettings
from ..store import artifacts, shards


def answer(items: dict[str, pa.Table], settings: AnswerSettings, work: Path, weights: Path | None = None) -> pa.Table:
    """Return a model's answers to all tasks of a suite (artifacts.ANSWERS), with one model load for all.

    Rows come task by task, in the order of the prompts, then of samples. A shard never holds two tasks.

    Args:
        items: {task: its prompts (artifacts.INSTRUCTIONS)}.
        settings: {"chat": the chat settings, "format": `chat` or `plain`, "tasks": {task: {"sampling": ..., ...}},
            "suite": {"batch", "shard"} in rows, "model": a reference's model, or a student's base}.
        work: folder of unfinished shards.
        weights: folder of a student's weights and tokenizer.
    Raises:
        BadInput: as models.chat and models.loading do, and when every prompt is too long for the model.
    """
    parts = []  # (task, requests) of each shard
    for task, instructions in items.items():
        requests = engine.requests_of(instructions, settings["tasks"][task]["sampling"]["samples"])
        bounds = shards.bounds(len(requests), settings["suite"]["shard"])
        parts += [(task, requests[first:end]) for first, end in bounds]
    everything = [request for _, requests in parts for request in requests]
    generate = engine.load(settings["model"], settings["chat"], settings["format"], weights, requests=everything)

    def make(i: int) -> list[dict]:
        task, requests = parts[i]
        outputs = generate(requests, settings["tasks"][task]["sampling"], settings["suite"]["batch"])
        return [_row(task, request, output) for request, output in zip(requests, outputs, strict=True)]

    tables = shards.run(work, len(parts), make, artifacts.ANSWERS, "answers")
    table = pa.concat_tables([artifacts.ANSWERS.empty_table(), *tables])
    engine.check_prompts_fit(table, settings["model"])
    return table


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
