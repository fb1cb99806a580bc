"""Unfinished work of a cell: rows are written shard by shard, so that a kill loses at most the shard at work.

A shard is one parquet file whose name holds the sha256 of its bytes: one that was cut off, or in which a bit flipped, is
seen and made again. The folder must be named by all that decides the rows (work.folder does).
"""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from . import artifacts


def run(
    folder, number_of_shards: int, make: Callable[[int], list[dict] | pa.Table], schema: pa.Schema, what: str
) -> list[pa.Table]:
    """Return all shards under the schema: those in the folder as they are, the others by `make(i)`, written before the next.

    what: names the work in the progress lines.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tables = [_found(folder, i, schema, what) for i in range(number_of_shards)]
    missing = [i for i, table in enumerate(tables) if table is None]
    if len(missing) < number_of_shards:
        _say(f"{what}: {number_of_shards - len(missing)} of {number_of_shards} shards are there from an earlier run")
    start, rows = time.monotonic(), 0
    for done, i in enumerate(missing, 1):
        tables[i] = artifacts.table(make(i), schema)
        _write(folder, i, tables[i])
        rows += tables[i].num_rows
        seconds = time.monotonic() - start
        left = seconds / done * (len(missing) - done)
        _say(f"{what}: shard {i + 1} of {number_of_shards}, {rows / max(seconds, 1e-9):.0f} rows/s, {_span(left)} left")
    return tables


def bounds(rows: int, size: int) -> list[tuple[int, int]]:
    """Return the first row and the row after the last of each shard of at most `size` rows."""
    return [(first, min(first + size, rows)) for first in range(0, rows, size)]


def _found(folder: Path, i: int, schema: pa.Schema, what: str) -> pa.Table | None:
    """Return a whole shard of this schema, or None; what is damaged is removed."""
    found = None
    for path in sorted(folder.glob(f"{i:06d}-*.parquet")):
        content = path.read_bytes()
        if path.stem.partition("-")[2] != hashlib.sha256(content).hexdigest():
            reason = "is damaged"
        else:
            found = pq.read_table(pa.BufferReader(content))
            if found.schema.equals(schema):
                return found
            found, reason = None, "has other columns"
        _say(f"{what}: shard {i + 1} {reason} and is made again ({path})")
        path.unlink()
    return found


def _write(folder: Path, i: int, table: pa.Table) -> None:
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd")
    content = buffer.getvalue().to_pybytes()
    part = folder / f"{i:06d}.part"
    part.write_bytes(content)
    os.replace(part, folder / f"{i:06d}-{hashlib.sha256(content).hexdigest()}.parquet")


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _say(line: str) -> None:
    print(line, flush=True)
