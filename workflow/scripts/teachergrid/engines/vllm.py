"""Generation with vLLM's offline engine: it always has as many requests as it can work on, in an order in which those with the
same beginning follow each other.

What is drawn is our own noise (models/noise.py) by a logits processor; vLLM decodes greedily what that leaves over. So order,
kills and the number of GPUs change nothing but rounding. Its own seeds would give other draws, and fail on a CPU where a prefill is
split.

A model that fits on one GPU runs in this process, or as a copy on each of several GPUs (engines/copies.py). A larger one is shared by
as few of them as it fits on.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cost.workload import bytes_per_weight, shared_by
from ..errors import BadInput
from ..models import loading
from . import copies
from .prompts import Reader, named
from .requests import ended, without_text
from .vllm_copy import Asked

if TYPE_CHECKING:
    from .requests import Generate, Output, Request, Setup

DRAW = "teachergrid.engines.vllm_draw:Draw"


def open_model(setup: "Setup") -> "Generate":
    """Load a model, as often as its GPUs hold it, and return what generates with it.

    Raises:
        BadInput: as chat.prompt, chat.report and models.load_tokenizer do, and for what vLLM refuses.
    """
    reader = Reader.of(setup)
    options = options_of(setup, reader)
    loaded = copies.opened(options, devices_of(setup))
    context = min(reader.context, options["max_model_len"])

    def generate(requests: "Sequence[Request]") -> "Iterator[tuple[int, Output]]":
        prompts = reader.ids(requests)
        asked = []
        for number, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
            limit = int(min(request.sampling["max_tokens"], context - len(prompt)))
            if limit < 1:
                yield number, without_text("prompt_too_long", len(prompt))
            else:
                top = request.sampling.get("top_logprobs", 0)
                asked.append(Asked(number, prompt, limit, draw_of(request), top))
        asked.sort(key=order_of)
        limits = {one.number: one.limit for one in asked}
        for done in loaded.stream(asked, reader.stops):
            number, sampling = done.number, requests[done.number].sampling
            stop = sampling.get("stop", ())
            output = ended(len(prompts[number]), done.ids, limits[number], reader.stops, reader.text, stop)
            if top := sampling.get("top_logprobs", 0):
                output["logprobs"] = named(reader.tokenizer, (done.first or [])[:top])
            yield number, output

    return generate


def order_of(one: Asked) -> tuple[bytes, int]:
    """Return the key by which prompts with the same beginning follow each other."""
    # with their highest byte first, numbers as bytes compare as numbers do
    return np.asarray(one.prompt, dtype=">i4").tobytes(), one.number


def draw_of(request: "Request") -> dict[str, Any] | None:
    """Return what a request's logits processor has to know; None for greedy decoding."""
    sampling = request.sampling
    if not sampling["temperature"] > 0:
        return None
    return {"id": request.id, "sample": request.sample, "sampling": dict(sampling)}


def options_of(setup: "Setup", reader: Reader) -> dict[str, Any]:
    """Return the arguments of vLLM's engine but for those that depend on the GPUs."""
    model = setup.model
    assert model is not None
    weights = loading.whole_folder(model, setup.weights, Path(setup.work or ".", "merged"))
    source, options = local(*loading.source_of(model, weights))
    return {
        **options,
        "model": source,
        # prompts come as tokens, and what is generated is turned into text here
        "skip_tokenizer_init": True,
        "dtype": model["dtype"],
        "max_model_len": int(min(reader.context, reader.longest())),
        # a vendor's generation defaults (a repetition penalty, for example) have no effect
        "generation_config": "vllm",
        "logits_processors": [DRAW],
        "seed": 0,
        "disable_log_stats": True,
    }


def local(source: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a model's folder in the cache of the hub, and its options; the hub id where the cache does not have it.

    A folder needs no network, which compute nodes may lack, and vLLM asks the hub which files an id has.
    """
    from huggingface_hub import try_to_load_from_cache

    if os.path.isdir(source):
        return source, options
    config = try_to_load_from_cache(source, "config.json", revision=options["revision"])
    if not isinstance(config, str):
        return source, options
    return str(Path(config).parent), {key: value for key, value in options.items() if key != "revision"}


# --- devices


def devices_of(setup: "Setup") -> list[list[str]]:
    """Return the visible GPUs that each copy of a model shares; [[]] for one copy on the CPU.

    A model that states how many share it (`tensor_parallel`) on a machine without GPUs is shared by so many processes.
    """
    model = setup.model
    assert model is not None
    stated = model.get("tensor_parallel")
    memory = gpu_memory()
    if not memory:
        return [[""] * (stated or 1)]
    names = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    names = names if len(names) == len(memory) and all(names) else [str(i) for i in range(len(memory))]
    # how large a model is takes a while to find out
    share = stated or (shared_by(len(names), weights_of(model), min(memory)) if len(names) > 1 else 1)
    if len(names) % share:
        raise BadInput(
            f"{model['repo']}: {len(names)} GPUs cannot be divided into groups of {share}; set its `gpus` to a multiple of "
            "`tensor_parallel`"
        )
    return [names[first : first + share] for first in range(0, len(names), share)]


def gpu_memory() -> list[int]:
    """Return the bytes of each visible GPU, without starting CUDA in this process."""
    import torch

    if not torch.cuda.device_count():
        return []
    from vllm.platforms import current_platform

    return [current_platform.get_device_total_memory(i) for i in range(torch.cuda.device_count())]


def weights_of(model: dict) -> float:
    """Return the bytes of a model's weights. Its name says whether they are quantised."""
    full = {"float32": 4, "bfloat16": 2, "float16": 2}[model["dtype"]]
    return loading.weight_bytes(model) * bytes_per_weight(model) / full
