"""The rows of a job that generates: made by its engine, and saved on the way, so that a kill loses little."""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path

import pyarrow as pa

from ..store import shards
from . import engine
from .requests import Output, Setup

# rows of a row group in the file, where the engine's shards decide no result
GROUP = 1024
FULL = 256  # requests that fill an engine which gets all at once


def made(
    name: str, setup: Setup, parts: Sequence[int], row: Callable[[int, Output], dict], schema: pa.Schema, what: str
) -> list[pa.Table]:
    """Return the rows of all requests, in their order. Each table is to become a row group; none holds rows of two parts.

    Args:
        name: of an engine that generates.
        setup: with all requests, and the folder of unfinished work.
        parts: numbers of requests of one task after the other; their sum is that of all requests.
        row: of (number of a request, its output).
        schema: of the rows.
        what: a name of the work, for progress messages.
    """
    assert setup.work is not None
    generate = engine.load(name, setup)
    by_shard = engine.ENGINES[name].by_shard
    bounds = bounds_of(parts, setup.shard if by_shard else GROUP)
    if by_shard:
        return shards.run(setup.work, len(bounds), _maker(generate, setup, bounds, row), schema, what)

    def produce(numbers: list[int]) -> Iterator[tuple[int, dict]]:
        for i, output in generate([setup.requests[number] for number in numbers]):
            yield numbers[i], row(numbers[i], output)

    whole = shards.gather(Path(setup.work), len(setup.requests), produce, schema, what, setup.shard)
    return [whole.slice(first, end - first) for first, end in bounds]


def _maker(
    generate: engine.Generate, setup: Setup, bounds: list[tuple[int, int]], row: Callable[[int, Output], dict]
) -> Callable[[int], list[dict]]:
    """Return the function that makes one shard."""

    def make(i: int) -> list[dict]:
        first, end = bounds[i]
        outputs = dict(generate(setup.requests[first:end]))
        return [row(first + number, outputs[number]) for number in range(end - first)]

    return make


def bounds_of(parts: Sequence[int], size: int) -> list[tuple[int, int]]:
    """Return the first row and the row after the last of each shard of at most `size` rows, none of which holds two parts."""
    starts = [0, *accumulate(parts)]
    return [
        (start + first, start + end)
        for start, rows in zip(starts, parts, strict=False)
        for first, end in shards.bounds(rows, size)
    ]


def together(entry: dict) -> int:
    """Return how many requests generate together under the engine of a teacher or suite: a batch, or as many as fill it."""
    return entry["batch"] if engine.ENGINES[entry["engine"]].by_shard else FULL
