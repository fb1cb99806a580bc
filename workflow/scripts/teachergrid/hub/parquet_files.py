"""Rows of parquet files: in pieces that fit into memory, and only of the columns that are needed.

A file may hold the responses of twenty teachers in a column each: read whole it takes twenty times the memory of one.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

LARGEST_BATCH = 4096  # rows of a parquet file that are read at once
BATCH_BYTES = 64 << 20  # and their size: nested columns of over 2 GiB cannot be read in one piece
SMALLER = "write it again with smaller row groups: pyarrow.parquet.write_table(table, FILE, row_group_size=1000)"


class Columns(NamedTuple):
    """The columns that a reader needs.

    stated: each as its path, (column, key of the struct in it, ...); without any, all columns are read. usual: names of further
    columns, which are read where a file has them.
    """

    stated: Sequence[tuple[str, ...]]
    usual: Sequence[str] = ()


def opened(path: Path) -> "pq.ParquetFile":
    """Return a parquet file, of which only the end has been read. Raises BadInput where it is broken."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path}: not a complete parquet file ({error}); copy it again") from error
    names = file.schema_arrow.names
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(f"{path}: several columns have the name '{doubled[0]}'; rename them")
    return file


def rows(path: Path, columns: Columns | None) -> Iterator[dict]:
    """Yield the rows of a parquet file, few at a time, with the columns that are needed (None: all). Raises BadInput where it is broken."""
    file = opened(path)
    names = None if columns is None else _projection(file, columns)
    number = 0
    for group in range(file.num_row_groups):
        for batch in _batches(file, group, path, names):
            yield from _dicts(batch, path, number)
            number += len(batch)


def _projection(file: "pq.ParquetFile", columns: Columns) -> list[str] | None:
    """Return the names under which Arrow reads these columns; None, all of them, where the file lacks one that is stated.

    The message about that one then names those that there are.
    """
    leaves = [file.schema.column(number).path for number in range(len(file.schema))]
    inside = {_without_lists(leaf): leaf for leaf in leaves}  # {path as the config writes it: as the file does}
    there = file.schema_arrow.names

    def written(path: tuple[str, ...]) -> str | None:
        if path[0] not in there:
            return None
        plain = ".".join(path)
        if plain in inside:
            return inside[plain]
        return plain if any(leaf.startswith(plain + ".") for leaf in leaves) else None

    names = [name for path in columns.stated if (name := written(path))]
    if not names or len(names) < len(columns.stated):
        return None
    return [*dict.fromkeys([*names, *(name for name in columns.usual if name in there)])]


def _without_lists(leaf: str) -> str:
    """Return the path of a column without what the format puts between a list and what is in it."""
    return re.sub(r"\.(list\.(element|item)|bag\.array(_element)?)(?=\.|$)", "", leaf)


def _batches(file: "pq.ParquetFile", group: int, path: Path, names: list[str] | None) -> "Iterator[pa.RecordBatch]":
    """Yield the rows of a row group in pieces that Arrow can hold: a nested text column has less than 2 GiB in each.

    names: of columns, None for all.
    """
    import pyarrow as pa

    rows, total = file.metadata.row_group(group).num_rows, file.metadata.row_group(group).total_byte_size
    size, done = max(1, min(LARGEST_BATCH, rows * BATCH_BYTES // max(total, 1))), 0
    while done < rows:
        read = 0
        try:
            for batch in file.iter_batches(size, row_groups=[group], columns=names):
                if read + len(batch) > done:
                    yield batch.slice(max(done - read, 0))
                read += len(batch)
                done = max(done, read)
            return
        except (pa.ArrowNotImplementedError, pa.ArrowCapacityError) as error:
            # the size that the file states is that of encoded values: a text that repeats is larger in memory
            if size == 1:
                raise BadInput(f"{path}, row group {group + 1}: {error}; {SMALLER}") from error
            size = max(1, size // 16)
        except (pa.ArrowException, OSError) as error:
            raise BadInput(f"{path}: not a complete parquet file ({error}); copy it again") from error


def _dicts(batch: "pa.RecordBatch", path: Path, before: int) -> list[dict]:
    """Return the rows of a batch. Raises BadInput with row and column where a text is not UTF-8. before: rows before it."""
    try:
        return batch.to_pylist()
    except UnicodeDecodeError:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            for i, value in enumerate(column, before + 1):
                try:
                    value.as_py()
                except UnicodeDecodeError as error:
                    raise BadInput(
                        f"{path}, row {i}, column '{name}': not UTF-8 ({error.reason}); convert it to UTF-8"
                    ) from error
        raise
