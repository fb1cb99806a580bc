"""The rows of a job that generates: made by its engine, and saved on the way, so that a kill loses little."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from ..store import shards
from . import engine
from .requests import Output, Request, Sampling, Setup, longest

# rows of a row group in the file, where the engine's shards decide no result
GROUP = 1024
FULL = 256  # requests that fill an engine which gets all at once


class Made(NamedTuple):
    """The rows of a job.

    tables: each is to become a row group. cut: the rows that a second try has replaced, as they were.
    """

    tables: list[pa.Table]
    cut: pa.Table


def made(
    name: str, setup: Setup, parts: Sequence[int], row: Callable[[int, Output], dict], schema: pa.Schema, what: str
) -> Made:
    """Return the rows of all requests, in their order. No table holds rows of two parts.

    Args:
        name: of an engine that generates.
        setup: with all requests, and the folder of unfinished work.
        parts: numbers of requests of one task after the other; their sum is that of all requests.
        row: of (number of a request, its output).
        schema: of the rows; its column `finish_reason` says which were cut off.
        what: a name of the work, for progress messages.
    """
    job = _Job(name, engine.load(name, setup), setup, schema)
    first = job.made(setup.requests, parts, row, what)
    reasons = [reason for table in first for reason in table["finish_reason"].to_pylist()]
    again = [i for i, reason in enumerate(reasons) if reason == "length" and _may_go_on(setup.requests[i].sampling)]
    if not again:
        return Made(first, schema.empty_table())
    starts = [0, *accumulate(parts)]
    parts = [sum(start <= i < end for i in again) for start, end in pairwise(starts)]
    longer = [_with_more(setup.requests[i]) for i in again]
    second = job.made(longer, parts, lambda i, output: row(again[i], output), f"{what} that were cut off", "again")
    whole = pa.concat_tables([*first, *second])
    place = {number: len(reasons) + i for i, number in enumerate(again)}
    final = whole.take([place.get(i, i) for i in range(len(reasons))])
    ends = list(accumulate(table.num_rows for table in first))
    return Made([final.slice(start, end - start) for start, end in pairwise([0, *ends])], whole.take(again))


def _may_go_on(sampling: Sampling) -> bool:
    return longest(sampling) > sampling["max_tokens"]


def _with_more(request: Request) -> Request:
    """Return a request with the limit of its second try. It draws the same, so that the response goes on where it was cut off."""
    return request._replace(sampling={**request.sampling, "max_tokens": longest(request.sampling)})


@dataclass(frozen=True)
class _Job:
    """A job that generates, with its engine: loaded once for all tries."""

    name: str
    generate: engine.Generate
    setup: Setup
    schema: pa.Schema

    def made(
        self,
        requests: Sequence[Request],
        parts: Sequence[int],
        row: Callable[[int, Output], dict],
        what: str,
        folder: str = "",
    ) -> list[pa.Table]:
        """Return the rows of requests, each table a row group. folder: in that of unfinished work."""
        assert self.setup.work is not None
        work, by_shard = Path(self.setup.work, folder), engine.ENGINES[self.name].by_shard
        bounds = bounds_of(parts, self.setup.shard if by_shard else GROUP)

        def make(i: int) -> list[dict]:
            first, end = bounds[i]
            outputs = dict(self.generate(requests[first:end]))
            return [row(first + number, outputs[number]) for number in range(end - first)]

        def produce(numbers: list[int]) -> Iterator[tuple[int, dict]]:
            for i, output in self.generate([requests[number] for number in numbers]):
                yield numbers[i], row(numbers[i], output)

        if by_shard:
            return shards.run(work, len(bounds), make, self.schema, what)
        whole = shards.gather(work, len(requests), produce, self.schema, what, self.setup.shard)
        return [whole.slice(first, end - first) for first, end in bounds]


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
