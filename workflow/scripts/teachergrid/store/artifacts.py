"""Read and write the parquet tables between the rules; every write and every read checks their columns."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import BadInput
from . import origin
from .schemas import (
    ANSWERS,
    CONTAMINATION,
    CORPUS,
    CORPUS_ROWS,
    CORRELATIONS,
    CUT_OFF,
    DISTRIBUTIONS,
    EFFECTS,
    EVOLVED,
    GRID_METRICS,
    HEALTH,
    INSTRUCTIONS,
    LIKELIHOODS,
    LINEAGE,
    METRIC_COLUMNS,
    METRICS,
    PERFORMANCE,
    RESPONSES,
    REWARDS,
    SCORES,
    TRAINING_LOG,
    VERDICTS,
)

__all__ = [
    "ANSWERS",
    "BATCH",
    "CONTAMINATION",
    "CORPUS",
    "CORPUS_ROWS",
    "CORRELATIONS",
    "CUT_OFF",
    "DISTRIBUTIONS",
    "EFFECTS",
    "EVOLVED",
    "GRID_METRICS",
    "HEALTH",
    "INSTRUCTIONS",
    "LIKELIHOODS",
    "LINEAGE",
    "METRICS",
    "METRIC_COLUMNS",
    "PERFORMANCE",
    "RESPONSES",
    "REWARDS",
    "SCORES",
    "TRAINING_LOG",
    "VERDICTS",
    "BadTable",
    "Source",
    "batches",
    "holds",
    "name_of",
    "read",
    "table",
    "write",
    "write_beside",
]
# columns that tables had not from the beginning; only rules that load no model read these tables
LATER = ("measures", "top", "end_top", "sure", "end_sure")
BATCH = 4096  # rows that are read at once
Source: TypeAlias = str | Path | pa.Table  # the path of a table, or the table itself


class BadTable(BadInput):
    """A table that does not fit its schema; the message names the file, the column and the remedy."""


def table(rows: list[dict] | pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows as a table of the schema. Missing optional columns become null.

    Raises BadTable for an unknown column, and for nulls in a column that allows none.
    """
    if not isinstance(rows, pa.Table):
        unknown = {key for row in rows for key in row} - set(schema.names)
        if unknown:
            raise BadTable(f"unknown columns: {', '.join(sorted(unknown))}")
        rows = pa.Table.from_pylist(rows, schema=schema)
    rows = rows.select(schema.names).cast(schema)
    for field in schema:
        if not field.nullable and rows[field.name].null_count:
            raise BadTable(f"column '{field.name}' has {rows[field.name].null_count} nulls and allows none")
    return rows


def write(
    path: str | Path,
    rows: list[dict] | pa.Table | Iterator[pa.Table],
    schema: pa.Schema,
    made_from: dict | None,
    beside: bool = False,
    row_groups: Sequence[int] = (),
) -> None:
    """Write a table under a temporary name and rename it.

    Args:
        rows: a table, dicts, or an iterator of tables; of an iterator each table becomes a row group, and only one is in memory.
        made_from: the origin of the file (origin.of).
        beside: write the origin into a file of its own, `{path}.origin`. For a cheap job whose output a GPU job reads: equal rows
            then have equal bytes whatever settings chose them, and the GPU job is not run again.
        row_groups: number of rows in each row group of a table; by default all rows are one group.
    Raises:
        BadTable: the rows do not fit the schema or the row groups.
    """
    path, part = Path(path), f"{path}.part"
    path.parent.mkdir(parents=True, exist_ok=True)
    groups = rows if isinstance(rows, Iterator) else _groups(path, table(rows, schema), row_groups)
    within = {origin.KEY: origin.text(made_from)} if made_from is not None and not beside else None
    with origin.create(part) as raw, pq.ParquetWriter(raw, schema.with_metadata(within), compression="zstd") as file:
        for group in groups:
            data = table(group, schema).replace_schema_metadata(within)
            file.write_table(data, row_group_size=max(data.num_rows, 1))
    if beside and made_from is not None:
        origin.write_beside(path, made_from)
    os.replace(part, path)


def write_beside(path: str | Path, rows: pa.Table, schema: pa.Schema, made_from: dict | None) -> None:
    """Write a table that is beside a result and of which no rule knows; without rows there is no such file."""
    if rows.num_rows:
        write(path, rows, schema, made_from)
    else:
        Path(path).unlink(missing_ok=True)


def _groups(path: Path, data: pa.Table, lengths: Sequence[int]) -> Iterator[pa.Table]:
    if sum(lengths or [data.num_rows]) != data.num_rows:
        raise BadTable(f"{path}: {sum(lengths)} rows in row groups, {data.num_rows} rows in the table")
    start = 0
    for length in lengths or [data.num_rows]:
        yield data.slice(start, length)
        start += length


def read(source: Source, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """Return a table (or some of its columns), checked against the schema.

    A column that may be null is null where an older version has written the file without it.

    Raises:
        BadTable: the file is cut off, is not parquet, or lacks a column.
        FileNotFoundError: there is no file.
    """
    if isinstance(source, pa.Table):
        return table(source, schema).select(columns or schema.names)
    names = columns or schema.names
    later = [name for name in LATER if name in names]
    with _opened(source, schema, [name for name in names if name not in later]) as file:
        lacking = [name for name in later if name not in file.schema_arrow.names]
        data = _whole(file, [name for name in names if name not in lacking])
    for name in lacking:
        data = data.append_column(schema.field(name), pa.nulls(data.num_rows, schema.field(name).type))
    return table(data, pa.schema([schema.field(name) for name in names]))


def _whole(file: pq.ParquetFile, columns: list[str]) -> pa.Table:
    """Return columns of a file, read in batches: ParquetFile.read takes four times their size for a moment. What threads read with,
    each would keep.
    """
    schema = pa.schema([file.schema_arrow.field(name) for name in columns])
    batches = file.iter_batches(BATCH, columns=columns, use_threads=False)
    whole = pa.Table.from_batches((batch.select(columns) for batch in batches), schema)
    pa.default_memory_pool().release_unused()
    return whole


def holds(path: str | Path, schema: pa.Schema) -> bool:
    """Whether a file is a table with just the columns of a schema. Raises BadTable and FileNotFoundError as `read` does."""
    with _opened(path, schema, []) as file:
        return file.schema_arrow.names == schema.names


def batches(source: Source, schema: pa.Schema, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield some columns of a table, BATCH rows at a time, so that long list columns fit in memory. Raises as `read` does."""
    if isinstance(source, pa.Table):
        yield from table(source, schema).select(columns).to_batches(BATCH)
        return
    with _opened(source, schema, columns) as file:
        yield from file.iter_batches(BATCH, columns=columns)


def name_of(source: Source) -> str:
    """Return the name of a source for messages."""
    return "the given table" if isinstance(source, pa.Table) else str(source)


@contextmanager
def _opened(path: str | Path, schema: pa.Schema, columns: list[str] | None) -> Iterator[pq.ParquetFile]:
    try:
        file = pq.ParquetFile(path)
        if missing := set(schema.names if columns is None else columns) - set(file.schema_arrow.names):
            raise BadTable(
                f"{path}: no column {', '.join(sorted(missing))}; delete the file and run again, so that this version makes it"
            )
        yield file
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise BadTable(f"{path}: not a complete parquet file ({error}); delete it and run again") from error
