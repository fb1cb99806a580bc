"""What lets a model generate: messages go in, texts with their finish reason and numbers of tokens come out.

ENGINES has one row for each name that `engine` may have in a teacher's entry or in a suite's. It says what an engine needs, what
it promises, and which settings decide nothing under it. No other room compares the name of an engine: it asks this table. Two facts
are told elsewhere, since the rooms below need them: whether an engine loads its model, in the schema (x-without-model), and how
long it takes, in cost/throughput.py.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

import pyarrow as pa

from ..errors import BadInput
from .requests import Generate, Output, Request, Setup, without_text

# What an engine promises of an output that is made again: the same text on the same kind of machine; the same as far as rounding
# goes (other batches, kinds of GPU or numbers of them move the last bits of probabilities); nothing
SAME, ROUNDING, NOTHING = "same", "rounding", "nothing"


class Engine(NamedTuple):
    """Where responses come from.

    key: of the teacher's entry, which it cannot do without. open: makes ready what generates; None: responses are read from a file.
    refused: asked before `open`, returns the ids of the instructions that the model cannot be given; None: it takes all. package:
    that has to be installed beside ours, and `install`, how. by_endpoint: whether its model is one with `api`, which an endpoint
    serves for money and without our GPUs. unused: keys of an entry (teacher, suite, model) that decide no
    result under it; they only cost, or are not read.
    """

    key: str | None
    open: Callable[[Setup], Generate] | None = None
    refused: Callable[[Setup], set[str]] | None = None
    by_endpoint: bool = False
    package: str | None = None
    install: str = ""
    promise: str = SAME
    unused: tuple[str, ...] = ()

    @property
    def by_shard(self) -> bool:
        """Whether what generates together is part of the result, so that a shard is generated as a whole or not at all."""
        return "shard" not in self.unused


# the check of the config reads ENGINES, so the modules of engines are imported when one is opened


def _transformers(setup: Setup) -> Generate:
    from . import huggingface

    return huggingface.open_model(setup)


def _vllm(setup: Setup) -> Generate:
    from . import vllm

    return vllm.open_model(setup)


def _openai(setup: Setup) -> Generate:
    from . import openai

    return openai.open_model(setup)


def _refused_by_template(setup: Setup) -> set[str]:
    from . import prompts

    return prompts.refused_ids(setup)


# keys of a model that say how it is loaded
LOADING = ("revision", "dtype", "attention", "trust_remote_code")

ENGINES = {
    "transformers": Engine("model", _transformers, _refused_by_template),
    "vllm": Engine(
        "model",
        _vllm,
        _refused_by_template,
        package="vllm",
        install="`make setup LOCK=envs/gpu.lock` on machines with GPUs, `make vllm` on others",
        promise=ROUNDING,
        unused=("batch", "shard", "attention"),
    ),
    "openai": Engine(
        "model",
        _openai,
        by_endpoint=True,
        promise=NOTHING,
        unused=("batch", "shard", "template", "template_args", "refused_prompts", *LOADING),
    ),
    "existing": Engine("source"),
    "stripped": Engine("of"),
}


def generates(name: str) -> bool:
    """Whether an engine makes responses; otherwise it reads them from a file."""
    return ENGINES[name].open is not None


def missing(name: str) -> str | None:
    """Return a sentence on the package that an engine lacks in this environment, with the remedy; None where nothing is missing."""
    row = ENGINES[name]
    if row.package is None or find_spec(row.package) is not None:
        return None
    return f"the engine {name} needs the package {row.package}, which this environment does not have: {row.install}"


def load(engine: str, setup: Setup) -> Generate:
    """Return the function `generate(requests)` of a model, which yields (number of a request, its output).

    The model is loaded at the first call, so that a job which has saved all its rows loads none. Requests that the model cannot be
    given are found before it is loaded.

    Args:
        engine: one that generates.
        setup: with all that will be asked.
    Raises (at the first call):
        BadInput: the engine's package is not installed, and as the engine does.
    """
    row = ENGINES[engine]
    open_engine = row.open
    assert open_engine is not None, f"engine {engine} reads a file"

    @cache
    def opened() -> tuple[set[str], Generate]:
        if lack := missing(engine):
            raise BadInput(lack)
        refused = row.refused(setup) if row.refused else set()
        return refused, open_engine(setup)

    def generate(requests: Sequence[Request]) -> Iterator[tuple[int, Output]]:
        refused, generate_all = opened()
        asked = [number for number, request in enumerate(requests) if request.id not in refused]
        for number, request in enumerate(requests):
            if request.id in refused:
                yield number, without_text("prompt_refused", 0)
        for number, output in generate_all([requests[number] for number in asked]):
            yield asked[number], output

    return generate


def check_prompts_fit(rows: pa.Table, model: dict | None) -> None:
    """Raise BadInput if every prompt is too long for the model. rows: artifacts.RESPONSES or artifacts.ANSWERS."""
    if set(rows["finish_reason"].to_pylist()) == {"prompt_too_long"}:
        count, first = len(set(rows["id"].to_pylist())), rows.slice(0, 1).to_pylist()[0]
        name = model["repo"] or model["api"] if model else "this teacher"
        raise BadInput(
            f"{name}: all {count} prompts are too long for the model's context, such as id {first['id']} with "
            f"{first['prompt_tokens']} tokens; take a model with a longer context, or shorter instructions"
        )
