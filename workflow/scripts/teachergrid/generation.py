"""Let a model answer: a teacher the instructions, a student or a reference the tasks of a suite."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pyarrow as pa

from . import artifacts, shards
from .errors import BadInput


def respond(
    instructions: pa.Table, settings: dict, work: Path, source: str | None = None
) -> tuple[pa.Table, list[int]]:
    """Return a teacher's responses (artifacts.RESPONSES) and the lengths of their row groups, one per shard.

    settings: {"teacher": the config's entry, "model": its model unless responses exist already}. work: folder of unfinished
    shards. source: the file of responses that exist already, or of those to strip. Rows come in the order of the instructions, then sample.
    Raises BadInput as chat, models and engines.existing do, and when every prompt is too long for the model.
    """
    teacher = settings["teacher"]
    if teacher["engine"] == "existing":
        from .engines import existing

        rows = existing.respond(instructions.to_pylist(), teacher, source)
        return artifacts.table(rows, artifacts.RESPONSES), [len(rows)]
    if teacher["engine"] == "stripped":
        from . import think

        rows = think.stripped(artifacts.read(source, artifacts.RESPONSES))
        return rows, [rows.num_rows]
    sampling = teacher["sampling"]
    rows = _asked(instructions, sampling["samples"])
    parts = shards.bounds(len(rows), teacher["shard"])
    say = _speaker(settings["model"], teacher)

    def make(i: int) -> list[dict]:
        part = rows[slice(*parts[i])]
        said = say(part, sampling, teacher["batch"])
        return [
            {
                "id": row["id"],
                "sample": row["sample"],
                "response": one["text"],
                "finish_reason": one["finish_reason"],
                "prompt_tokens": one["prompt_tokens"],
                "response_tokens": one["response_tokens"],
                "seed": sampling["seed"] if sampling["temperature"] > 0 else None,
            }
            for row, one in zip(part, said, strict=True)
        ]

    tables = shards.run(work, len(parts), make, artifacts.RESPONSES, "responses")
    return _whole(tables, artifacts.RESPONSES, settings["model"]), [table.num_rows for table in tables]


def answer(items: dict[str, pa.Table], settings: dict, work: Path, weights: Path | None = None) -> pa.Table:
    """Return a model's answers to all tasks of a suite (artifacts.ANSWERS), from one model load; a shard is of one task.

    items: the prompts of each task (artifacts.INSTRUCTIONS). settings: {"talk": how the model is spoken to, "format": chat
    or plain, "tasks": {name: {"sampling": sampling, ...}}, "suite": {"batch", "shard"}, "model": a reference's model, or a
    student's base}. weights: folder of a student's weights and tokenizer.
    Raises BadInput as `respond` does.
    """
    jobs = []
    for task, table in items.items():
        rows = _asked(table, settings["tasks"][task]["sampling"]["samples"])
        jobs += [(task, rows[slice(*part)]) for part in shards.bounds(len(rows), settings["suite"]["shard"])]
    say = _speaker(settings["model"], settings["talk"], settings["format"], weights)

    def make(i: int) -> list[dict]:
        task, part = jobs[i]
        said = say(part, settings["tasks"][task]["sampling"], settings["suite"]["batch"])
        return [
            {
                "task": task,
                "id": row["id"],
                "sample": row["sample"],
                "category": row["category"],
                "answer": one["text"],
                "finish_reason": one["finish_reason"],
                "prompt_tokens": one["prompt_tokens"],
                "answer_tokens": one["response_tokens"],
            }
            for row, one in zip(part, said, strict=True)
        ]

    tables = shards.run(work, len(jobs), make, artifacts.ANSWERS, "answers")
    return _whole(tables, artifacts.ANSWERS, settings["model"])


def _asked(instructions: pa.Table, samples: int) -> list[dict]:
    items = instructions.select(["id", "messages", "category"]).to_pylist()
    return [{**item, "sample": sample} for item in items for sample in range(samples)]


def _speaker(model: dict, talk: dict, format: str = "chat", weights: Path | None = None) -> Callable:
    """Return a function (rows, sampling, batch) -> results of engines.hf.generate. The model is loaded at its first call,
    so that work which is finished needs none."""

    @cache
    def loaded():
        from . import chat, models

        tokenizer = models.load_tokenizer(model, talk, weights)
        # before the model, which takes longer: a bad template fails here
        chat.end(tokenizer, talk, format)
        network = models.load_model(model, folder=weights)
        return tokenizer, network, chat.stops(tokenizer, talk, format, network.generation_config.eos_token_id)

    def say(rows: list[dict], sampling: dict, batch: int) -> list[dict]:
        from . import chat
        from .engines import hf

        tokenizer, network, stops = loaded()
        prompts = [chat.prompt(tokenizer, row["messages"], talk, format).ids for row in rows]
        keys = [(row["id"], row["sample"]) for row in rows]
        return hf.generate(network, tokenizer, prompts, keys, sampling, stops, batch)

    return say


def _whole(tables: list[pa.Table], schema: pa.Schema, model: dict) -> pa.Table:
    table = pa.concat_tables([schema.empty_table(), *tables])
    if set(table["finish_reason"].to_pylist()) == {"prompt_too_long"}:
        count, first = len(set(table["id"].to_pylist())), table.slice(0, 1).to_pylist()[0]
        raise BadInput(
            f"{model['repo']}: all {count} prompts are too long for the model's context, such as id {first['id']} with "
            f"{first['prompt_tokens']} tokens; take a model with a longer context, or shorter instructions"
        )
    return table
