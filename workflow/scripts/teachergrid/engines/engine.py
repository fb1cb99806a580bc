"""What lets a model generate: messages go in, texts with their finish reason and numbers of tokens come out.

The only engine is transformers (huggingface.py). Responses that are read from a file need none (responses/published.py).
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import pyarrow as pa

from ..errors import BadInput

if TYPE_CHECKING:
    from ..models.chat import Message
    from ..spec.settings import ChatSettings
    from .huggingface import Generator


class Sampling(TypedDict):
    """How tokens are drawn; the keys are those of the config (`sampling` of a teacher or task)."""

    temperature: float  # 0 is greedy
    top_p: float  # 1 keeps all tokens
    top_k: int  # 0 keeps all tokens
    max_tokens: int
    samples: int  # responses to each prompt
    seed: int | None  # of the draws; has no effect where the temperature is 0


class Request(NamedTuple):
    """One sample of one prompt. Its id and number, with the seed, decide what is drawn."""

    id: str
    sample: int
    messages: "list[Message]"
    category: str | None  # not read by an engine


class Output(TypedDict):
    """What a model generated for one request."""

    text: str  # without special tokens, not stripped
    # stop; length (max_tokens, or the end of the model's context); prompt_too_long, with an empty text
    finish_reason: str
    prompt_tokens: int
    response_tokens: int  # without the end token


Generate = Callable[[list[Request], Sampling, int], list[Output]]


def requests_of(instructions: pa.Table, samples: int) -> list[Request]:
    """Return all samples of the first instruction, then of the second, and so on. instructions: artifacts.INSTRUCTIONS."""
    rows = instructions.select(["id", "messages", "category"]).to_pylist()
    return [Request(row["id"], i, row["messages"], row["category"]) for row in rows for i in range(samples)]


def load(model: dict, chat_settings: "ChatSettings", format: str = "chat", weights: Path | None = None) -> Generate:
    """Return the function `generate(requests, sampling, batch)` of a model, which gives one Output for each request.

    The model is loaded at the first call, so that a job whose shards are all complete loads none.

    Args:
        model: the model's entry in the config.
        format: `chat` or `plain`.
        weights: folder of a student's weights and tokenizer; then `model` is its base.
    Raises (at the first call):
        BadInput: as chat.prompt, chat.end, loading.load_tokenizer and loading.load_model do.
    """

    @cache
    def generator() -> "Generator":
        from ..models import chat, loading
        from . import huggingface

        tokenizer = loading.load_tokenizer(model, chat_settings, weights)
        # a bad template fails here, before the model, which takes longer to load
        chat.end(tokenizer, chat_settings, format)
        network = loading.load_model(model, folder=weights)
        stops = chat.stops(tokenizer, chat_settings, format, network.generation_config.eos_token_id)
        return huggingface.Generator(network, tokenizer, stops)

    def generate(requests: list[Request], sampling: Sampling, batch: int) -> list[Output]:
        from ..models import chat

        loaded = generator()
        prompts = [chat.prompt(loaded.tokenizer, request.messages, chat_settings, format).ids for request in requests]
        keys = [(request.id, request.sample) for request in requests]
        return loaded.generate(prompts, keys, sampling, batch)

    return generate


def check_prompts_fit(rows: pa.Table, model: dict) -> None:
    """Raise BadInput if every prompt is too long for the model. rows: artifacts.RESPONSES or artifacts.ANSWERS."""
    if set(rows["finish_reason"].to_pylist()) == {"prompt_too_long"}:
        count, first = len(set(rows["id"].to_pylist())), rows.slice(0, 1).to_pylist()[0]
        raise BadInput(
            f"{model['repo']}: all {count} prompts are too long for the model's context, such as id {first['id']} with "
            f"{first['prompt_tokens']} tokens; take a model with a longer context, or shorter instructions"
        )
