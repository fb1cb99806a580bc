"""Save the rows of a job shard by shard, so that a kill loses at most the shard in progress.

A shard is a parquet file whose name holds the sha256 of its bytes, so a file that is cut off or has a flipped bit is recognised
and made again. The name of the folder must contain a digest of all that decides the rows (store.unfinished.folder).
`gather` is for rows that are done in any order.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import pyarrow as pa
import pyarrow.parquet as pq

from ..units import span
from . import artifacts, origin

Make = Callable[..., list[dict] | pa.Table]  # (number of the shard, *a copy of the model) -> its rows
Produce = Callable[[list[int]], Iterator[tuple[int, dict]]]  # numbers of rows -> (number, row) of each, in any order
NUMBER = "row_number"  # column of a saved file of `gather`
SECONDS = 60.0  # after which `gather` saves what is done


def run(folder: str | Path, number_of_shards: int, make: Make, schema: pa.Schema, what: str) -> list[pa.Table]:
    """Return all shards in order, as tables of the schema.

    A shard that is already in `folder` is read; any other is computed by `make(i)` and saved before the next one begins.
    what: a name of the work, for progress messages.
    """
    return list(ensure(folder, number_of_shards, make, schema, what))


@dataclass(frozen=True)
class Shards:
    """Saved shards, iterable any number of times. Each shard is read from disk only when its turn comes."""

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
    """Compute and save the missing shards like `run`, and return all of them for reading one by one: they may exceed memory.

    Args:
        load: called if a shard is missing. Returns a tuple for each copy of a model: the arguments of `make` after the shard's
            number. Copies work in parallel, and each may make any shard, so they must give equal results.
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
        # a single copy works in this thread, so that Ctrl-C ends the shard in progress
        counts = threads.map(work, missing) if len(copies) > 1 else map(work, missing)
        for done, (i, count) in enumerate(zip(missing, counts, strict=True), 1):
            rows += count
            seconds = time.monotonic() - start
            left = seconds / done * (len(missing) - done)
            _say(f"{line.format(i + 1)}, {rows / max(seconds, 1e-9):.0f} rows/s, {span(left, largest='min')} left")


def gather(folder: str | Path, number: int, produce: Produce, schema: pa.Schema, what: str, size: int) -> pa.Table:
    """Return so many rows in their order, computed in any order: those that are not saved by `produce`, called once.

    A file is saved for each `size` rows that are done, and for fewer after a minute; a kill loses the rows since then and those at
    work. Neither `size` nor the order decides what is returned, so both may change between two runs.
    """
    folder, schema_saved = Path(folder), schema.append(pa.field(NUMBER, pa.int64(), nullable=False))
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted({int(path.name.partition("-")[0]) for path in folder.glob("*-*.parquet")})
    tables = [table for i in files if (table := _saved(folder, i, schema_saved, what)) is not None]
    done = {n for table in tables for n in table[NUMBER].to_pylist()}
    if tables:
        _say(f"{what}: {len(done)} of {number} rows are there from an earlier run")
    if missing := [n for n in range(number) if n not in done]:
        tables += _gathered(
            folder, max(files, default=-1) + 1, produce(missing), schema_saved, f"{what}: {{}} of {number}", size
        )
    whole = pa.concat_tables([schema_saved.empty_table(), *tables])
    place = {n: i for i, n in enumerate(whole[NUMBER].to_pylist())}
    return whole.take([place[n] for n in range(number)]).drop_columns([NUMBER])


def _gathered(
    folder: Path, first: int, rows: Iterator[tuple[int, dict]], schema: pa.Schema, line: str, size: int
) -> list[pa.Table]:
    """Save rows as they come, in files that are numbered from `first`, and return them. line: about progress."""
    tables: list[pa.Table] = []
    waiting: list[dict] = []
    # the time until the first row is that of the model's loading
    start = saved = 0.0

    def save() -> None:
        tables.append(artifacts.table(waiting, schema))
        _write(folder, first + len(tables) - 1, tables[-1])
        waiting.clear()
        rows_done = sum(table.num_rows for table in tables)
        _say(f"{line.format(rows_done)} rows, {rows_done / max(time.monotonic() - start, 1e-9):.0f} rows/s")

    for number, row in rows:
        start, saved = start or time.monotonic(), saved or time.monotonic()
        waiting.append({**row, NUMBER: number})
        if len(waiting) >= size or time.monotonic() - saved > SECONDS:
            save()
            saved = time.monotonic()
    if waiting:
        save()
    return tables


def bounds(rows: int, size: int) -> list[tuple[int, int]]:
    """Return the first row and the row after the last of each shard of at most `size` rows."""
    return [(first, min(first + size, rows)) for first in range(0, rows, size)]


def _saved(folder: Path, i: int, schema: pa.Schema, what: str) -> pa.Table | None:
    """Return a saved shard; None where there is none. Files that are damaged or have another schema are removed."""
    for path in sorted(folder.glob(f"{i:06d}-*.parquet")):
        content = path.read_bytes()
        if path.stem.partition("-")[2] != hashlib.sha256(content).hexdigest():
            reason = "is damaged"
        else:
            # without threads: one that still holds these bytes when Python ends would abort the job (apache/arrow#34314)
            table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
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
    origin.replace_bytes(folder / f"{i:06d}-{hashlib.sha256(content).hexdigest()}.parquet", content)


def _say(line: str) -> None:
    print(line, flush=True)
