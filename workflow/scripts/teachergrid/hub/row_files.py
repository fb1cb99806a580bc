"""Rows of data files: one reader, and one counter that agrees with it.

What lies in a file decides, not its name alone: a `.json` may hold a list, an object of columns or JSON Lines, a `.jsonl` may
hold a list, and each may be compressed by gzip.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import BadInput
from . import json_lists, parquet_files
from .parquet_files import Columns

PARQUET = ".parquet"
JSON = (".jsonl", ".ndjson", ".json")
KINDS = (*JSON, PARQUET, *(f"{kind}.gz" for kind in JSON))
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
BOM = b"\xef\xbb\xbf"
LFS = b"version https://git-lfs"
RECORDS = "write a list of rows, [{...}, {...}] (pandas: `orient='records'`), or one object per line into a .jsonl file"


def read(path: str | Path, columns: Columns | None = None) -> Iterator[dict]:
    """Yield the rows of a JSON Lines, JSON or parquet file.

    Args:
        columns: that are needed; of a parquet file only these are read. None: all. Rows of JSON keep all their fields.
    Raises:
        BadInput: with file, line or row number, and remedy, when the file is missing, empty, broken, or of another kind.
    """
    path, number = Path(path), 0
    with _readable(path):
        rows = parquet_files.rows(path, columns) if _kind(path) == PARQUET else chain.from_iterable(_json(path))
        for number, row in enumerate(rows, 1):
            if not isinstance(row, dict):
                raise BadInput(
                    f"{path}, row {number}: {str(row)[:80]!r} is not an object; every row needs named fields"
                )
            yield row
    if not number:
        raise BadInput(f"{path}: the file holds no rows")


_counts: dict[tuple, int] = {}  # {(path, size and time of change of a file): its rows}


def count(path: str | Path) -> int:
    """Return how many rows `read` yields, as cheaply as the format allows: of JSON Lines only the first line is parsed.

    Raises BadInput as `read` does, for what it sees of the file.
    """
    path = Path(path)
    # a large file is counted once for each of its states
    stat = path.stat() if path.exists() else None
    key = str(path.absolute()), stat and (stat.st_size, stat.st_mtime_ns)
    if key not in _counts:
        _counts[key] = _count(path)
    return _counts[key]


def _count(path: Path) -> int:
    with _readable(path):
        if _kind(path) == PARQUET:
            return parquet_files.opened(path).metadata.num_rows
        with _opened(path) as file:
            if json_lists.begins(file):
                return sum(1 for _ in _of_list(path, file))
            parts = _Json(path, file)
            return parts.lines() if parts.document is None else len(parts.document)


def is_known(path: str | Path) -> bool:
    """Whether the name of a file ends as one that `read` reads."""
    return str(path).endswith(KINDS)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn errors of reading a file into BadInput."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 ({error}); convert it to UTF-8") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{path}: not a complete gzip file ({error}); copy it again") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error}); fix its permissions or path") from error


def _kind(path: Path) -> str:
    """Return the suffix of a file without `.gz`. Raises BadInput for what is no file of a known kind."""
    if not is_known(path):
        raise BadInput(f"{path}: unknown kind of file '{path.suffix}'; use {', '.join(KINDS)}")
    if path.is_dir():
        raise BadInput(
            f"{path}: is a folder; name one file in it, or join its part files: "
            "pandas.read_parquet(FOLDER).to_parquet(FILE)"
        )
    if not path.is_file():
        raise BadInput(f"{path}: no such file; paths in the config are relative to where the workflow runs")
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    with path.open("rb") as file:
        start = file.read(len(LFS))
    if start.startswith(LFS):
        raise BadInput(f"{path}: only a pointer of Git LFS; fetch the file itself with `git lfs pull`")
    if start.startswith(UTF_16):
        raise BadInput(f"{path}: not UTF-8 but UTF-16; convert it to UTF-8")
    if kind != PARQUET and start.startswith(b"PAR1"):
        raise BadInput(f"{path}: a parquet file under another name; rename it to {path.stem}{PARQUET}")
    return kind


# --- JSON


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if is_packed else path.open("rb")  # type: ignore[return-value]


def _json(path: Path) -> Iterator[list | Iterator[Any]]:
    with _opened(path) as file:
        if json_lists.begins(file):
            yield _of_list(path, file)
            return
        parts = _Json(path, file)
        yield parts.rows() if parts.document is None else parts.document


def _of_list(path: Path, file: BinaryIO) -> Iterator[Any]:
    """Yield the rows of a list. Raises BadInput where it is broken."""
    given = 0
    try:
        for row in json_lists.elements(file):
            if not isinstance(row, dict):
                raise json_lists.Irregular
            yield row
            given += 1
    except json_lists.Irregular:
        # read as a whole, it says where and why it is broken
        file.seek(0)
        yield from (_Json(path, file).document or [])[given:]


class _Json:
    """The rows of an open file: a document of several lines, or else JSON Lines."""

    document: list | None = None  # all rows, where the file is one document

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file
        self.is_json = str(path).removesuffix(".gz").endswith(".json")
        # split at "\n" alone: U+2028 and its like are ordinary characters inside a JSON string
        self.texts = ((number, line) for number, line in enumerate(file, 1) if line.strip(b" \t\r\n" + BOM))
        self.start = [text for _, text in zip(range(2), self.texts, strict=False)]
        if self.start:
            number, first = self.start[0]
            self.start[0] = number, first.removeprefix(BOM)
        if self.start and self._is_document():
            self.document = self._whole()

    def lines(self) -> int:
        """Return how many lines hold something. Only one of `lines` and `rows` can be called."""
        return len(self.start) + sum(1 for _ in self.texts)

    def rows(self) -> Iterator[Any]:
        """Yield the value of each line."""
        for number, line in chain(self.start, self.texts):
            yield _parsed(line.strip(), self.path, number)

    def _is_document(self) -> bool:
        (_, first), *others = self.start
        if first.lstrip()[:1] == b"[":
            return True
        # one object alone is a row of a .jsonl, and columns in a .json
        is_alone = not others and self.is_json
        try:
            json.loads(first)
        except (ValueError, RecursionError):
            # the second line of an object over several lines is no object
            return is_alone or bool(others and others[0][1].lstrip()[:1] != b"{")
        return is_alone

    def _whole(self) -> list:
        (number, text), *others = self.start
        for next_number, line in others:
            text += b"\n" * (next_number - number - 1) + line  # blank lines count in messages
        value = _parsed(text + self.file.read(), self.path, number)
        return value if isinstance(value, list) else _columns(value, self.path)


def _parsed(text: bytes, path: Path, first_line: int) -> Any:
    """Return the JSON value of a text. Raises BadInput with the line number, where the text begins on line `first_line`."""
    try:
        return json.loads(text.decode())
    except UnicodeDecodeError as error:
        line = first_line + text.count(b"\n", 0, error.start)
        raise BadInput(
            f"{path}, line {line}: not UTF-8 ({error.reason}, {error.object[error.start : error.start + 4]!r}); "
            "convert it to UTF-8"
        ) from error
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        remedy = (
            "write one row per line, without line ends in between" if error.msg == "Extra data" else "fix or remove it"
        )
        raise BadInput(f"{path}, line {line}: broken JSON ({error.msg}, column {error.colno}); {remedy}") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}, line {first_line}: broken JSON ({error}); fix or remove it") from error


def _columns(value: Any, path: Path) -> list[dict]:
    """Return the rows of an object of columns, {"prompt": [...], "answer": [...]}. Raises BadInput for another object."""
    columns = list(value.values()) if isinstance(value, dict) else []
    if not columns or not all(isinstance(column, list) for column in columns) or _is_chat(columns):
        raise BadInput(f"{path}: not a list of objects; {RECORDS}")
    lengths = {name: len(column) for name, column in value.items()}
    if len({*lengths.values()}) > 1:
        raise BadInput(f"{path}: its columns have different lengths {lengths}; {RECORDS}")
    return [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _is_chat(columns: list[list]) -> bool:
    """Whether an object is rather one row, with a chat in a column."""
    return any(isinstance(cell, dict) and {"role", "from"} & cell.keys() for column in columns for cell in column[:1])
