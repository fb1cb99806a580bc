"""What lets a model generate: messages go in, texts with their finish reason and numbers of tokens come out.

ENGINES has one row for each name that `engine` may have in a teacher's entry. Whether an engine loads its model is written in
the schema (x-without-model), since what fetches models and estimates jobs lies below this module.
"""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from ..errors import BadInput
from .requests import Generate, Output, Request, Sampling

if TYPE_CHECKING:
    from ..spec.settings import ChatSettings

# (model, chat settings, format, weights), as `load` takes them; no model where the teacher's entry names none
Open = Callable[[dict | None, "ChatSettings", str, Path | None], Generate]
# the same, and all requests -> the ids of those that the model cannot be given
Refused = Callable[[dict | None, "ChatSettings", str, Path | None, Sequence[Request]], set[str]]


class Engine(NamedTuple):
    """Where a teacher's responses come from."""

    key: str | None  # of the teacher's entry, which it cannot do without
    open: Open | None = None  # makes ready what generates; None: the responses are read from a file
    refused: Refused | None = None  # asked before `open`; None: it takes all requests


# the check of the config reads ENGINES, so the modules of engines are imported when one is opened


def _transformers(model: dict | None, chat_settings: "ChatSettings", format: str, weights: Path | None) -> Generate:
    from . import huggingface

    return huggingface.open_model(model, chat_settings, format, weights)


def _refused_by_template(
    model: dict | None, chat_settings: "ChatSettings", format: str, weights: Path | None, requests: Sequence[Request]
) -> set[str]:
    from . import huggingface

    return huggingface.refused_ids(model, chat_settings, format, weights, requests)


ENGINES = {
    "transformers": Engine("model", _transformers, _refused_by_template),
    "existing": Engine("source"),
    "stripped": Engine("of"),
}


def requests_of(instructions: pa.Table, samples: int) -> list[Request]:
    """Return all samples of the first instruction, then of the second, and so on. instructions: artifacts.INSTRUCTIONS."""
    rows = instructions.select(["id", "messages", "category"]).to_pylist()
    return [Request(row["id"], i, row["messages"], row["category"]) for row in rows for i in range(samples)]


def load(
    model: dict | None,
    chat_settings: "ChatSettings",
    format: str = "chat",
    weights: Path | None = None,
    engine: str = "transformers",
    requests: Sequence[Request] = (),
) -> Generate:
    """Return the function `generate(requests, sampling, batch)` of a model, which gives one Output for each request.

    The model is loaded at the first call, so that a job whose shards are all complete loads none.

    Args:
        model: the model's entry in the config; None where an engine needs none.
        format: `chat` or `plain`.
        weights: folder of a student's weights and tokenizer; then `model` is its base.
        engine: one that generates.
        requests: all that will be asked for; those that the model cannot be given are found before it is loaded.
    Raises (at the first call):
        BadInput: as the engine does.
    """
    row = ENGINES[engine]
    open_engine = row.open
    assert open_engine is not None, f"engine {engine} reads a file"

    @cache
    def opened() -> tuple[set[str], Generate]:
        refused = row.refused(model, chat_settings, format, weights, requests) if row.refused else set()
        return refused, open_engine(model, chat_settings, format, weights)

    def generate(requests: list[Request], sampling: Sampling, batch: int) -> list[Output]:
        refused, generate_all = opened()
        made = iter(generate_all([request for request in requests if request.id not in refused], sampling, batch))
        return [_without_prompt() if request.id in refused else next(made) for request in requests]

    return generate


def _without_prompt() -> Output:
    """Return the output for an instruction that the chat template refuses."""
    return {"text": "", "finish_reason": "prompt_refused", "response_tokens": 0, "prompt_tokens": 0}


def check_prompts_fit(rows: pa.Table, model: dict | None) -> None:
    """Raise BadInput if every prompt is too long for the model. rows: artifacts.RESPONSES or artifacts.ANSWERS."""
    if set(rows["finish_reason"].to_pylist()) == {"prompt_too_long"}:
        count, first = len(set(rows["id"].to_pylist())), rows.slice(0, 1).to_pylist()[0]
        name = model["repo"] if model else "this teacher"
        raise BadInput(
            f"{name}: all {count} prompts are too long for the model's context, such as id {first['id']} with "
            f"{first['prompt_tokens']} tokens; take a model with a longer context, or shorter instructions"
        )
