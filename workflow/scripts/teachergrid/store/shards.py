"""Unfinished work of a cell: rows are written shard by shard, so that a kill loses at most the shard at work.

A shard is one parquet file whose name holds the sha256 of its bytes: one that was cut off, or in which a bit flipped, is
seen and made again. The folder must be named by all that decides the rows (work.folder does).
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import pyarrow as pa
import pyarrow.parquet as pq

from ..units import span
from . import artifacts

Make = Callable[..., list[dict] | pa.Table]  # of a shard's number and what a copy of a model consists of


def run(folder: str | Path, number_of_shards: int, make: Make, schema: pa.Schema, what: str) -> list[pa.Table]:
    """Return all shards under the schema: those in the folder as they are, the others by `make(i)`, written before the next.

    what: names the work in the progress lines.
    """
    return list(ensure(folder, number_of_shards, make, schema, what))


@dataclass(frozen=True)
class Shards:
    """Shards that are all there; each is read when its turn comes, as often as they are gone through."""

    folder: Path
    number: int
    schema: pa.Schema
    what: str

    def __iter__(self) -> Iterator[pa.Table]:
        for i in range(self.number):
            table = _saved(self.folder, i, self.schema, self.what)
            if table is None:
                raise FileNotFoundError(f"{self.what}: shard {i + 1} is gone from {self.folder}")
            yield table


def ensure(
    folder: str | Path,
    number_of_shards: int,
    make: Make,
    schema: pa.Schema,
    what: str,
    load: Callable[[], Sequence[tuple]] = lambda: [()],
) -> Shards:
    """Do what `run` does, and return the shards to be read one by one: a corpus may exceed memory.

    Args:
        load: called if a shard is missing; returns one tuple for each copy of a model: the arguments of `make` after the
            shard's number. Copies work at the same time, and any of them may make any shard, so they must be alike.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [i for i in range(number_of_shards) if _saved(folder, i, schema, what) is None]
    if len(missing) < number_of_shards:
        _say(f"{what}: {number_of_shards - len(missing)} of {number_of_shards} shards are there from an earlier run")
    if missing:
        _make(folder, missing, make, schema, f"{what}: shard {{}} of {number_of_shards}", load())
    return Shards(folder, number_of_shards, schema, what)


def _make(folder: Path, missing: list[int], make: Make, schema: pa.Schema, line: str, copies: Sequence[tuple]) -> None:
    free: SimpleQueue[tuple] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def work(i: int) -> int:
        copy = free.get()
        try:
            table = artifacts.table(make(i, *copy), schema)
        finally:
            free.put(copy)
        _write(folder, i, table)
        return table.num_rows

    start, rows = time.monotonic(), 0
    with ThreadPoolExecutor(len(copies)) as threads:
        # in this thread where it is one: Ctrl-C then ends the shard at work
        counts = threads.map(work, missing) if len(copies) > 1 else map(work, missing)
        for done, (i, count) in enumerate(zip(missing, counts, strict=True), 1):
            rows += count
            seconds = time.monotonic() - start
            left = seconds / done * (len(missing) - done)
            _say(f"{line.format(i + 1)}, {rows / max(seconds, 1e-9):.0f} rows/s, {span(left, largest='min')} left")


def bounds(rows: int, size: int) -> list[tuple[int, int]]:
    """Return the first row and the row after the last of each shard of at most `size` rows."""
    return [(first, min(first + size, rows)) for first in range(0, rows, size)]


def _saved(folder: Path, i: int, schema: pa.Schema, what: str) -> pa.Table | None:
    """Return a complete shard of this schema, or None; what is damaged is removed."""
    for path in sorted(folder.glob(f"{i:06d}-*.parquet")):
        content = path.read_bytes()
        if path.stem.partition("-")[2] != hashlib.sha256(content).hexdigest():
            reason = "is damaged"
        else:
            table = pq.read_table(pa.BufferReader(content))
            if table.schema.equals(schema):
                return table
            reason = "has other columns"
        _say(f"{what}: shard {i + 1} {reason} and is made again ({path})")
        path.unlink()
    return None


def _write(folder: Path, i: int, table: pa.Table) -> None:
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd")
    content = buffer.getvalue().to_pybytes()
    part = folder / f"{i:06d}.part"
    part.write_bytes(content)
    os.replace(part, folder / f"{i:06d}-{hashlib.sha256(content).hexdigest()}.parquet")


def _say(line: str) -> None:
    print(line, flush=True)
