"""Read rows from the files people have, and name an instruction by its content."""

import hashlib
import json
from pathlib import Path
from typing import Any

from ..errors import BadInput


def message_id(messages: list[dict]) -> str:
    """Return the 16 hex digits that name an instruction: a hash of its roles and contents."""
    turns = [[message["role"], message["content"]] for message in messages]
    return hashlib.sha256(json.dumps(turns, separators=(",", ":")).encode()).hexdigest()[:16]


def read_rows(path: str | Path) -> list[dict]:
    """Return the rows of a JSON Lines (.jsonl, .ndjson), JSON (.json, a list) or parquet file.

    Raises:
        BadInput: with file, line or row number, and remedy, when the file is missing, empty, broken, or of another kind.
    """
    path = Path(path)
    readers = {".jsonl": _json_lines, ".ndjson": _json_lines, ".json": _json_list, ".parquet": _parquet}
    if path.suffix not in readers:
        raise BadInput(f"{path}: unknown kind of file '{path.suffix}'; use {', '.join(readers)}")
    if not path.is_file():
        raise BadInput(f"{path}: no such file; paths in the config are relative to where the workflow runs")
    try:
        rows = readers[path.suffix](path)
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 ({error}); convert it to UTF-8") from error
    if not rows:
        raise BadInput(f"{path}: the file holds no rows")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise BadInput(f"{path}, row {number}: {str(row)[:80]!r} is no object; every row needs named fields")
    return rows


def _json_lines(path: Path) -> list[dict]:
    rows = []
    # split at "\n" alone: U+2028 and its like are ordinary characters inside a JSON string
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                rows.append(_parsed(line.strip(), path, number))
    return rows


def _json_list(path: Path) -> list[dict]:
    rows = _parsed(path.read_text(encoding="utf-8-sig"), path)
    if not isinstance(rows, list):
        raise BadInput(
            f"{path}: not a list of objects; write [{{...}}, ...], or one object per line into a .jsonl file"
        )
    return rows


def _parsed(text: str, path: Path, first_line: int = 1) -> Any:
    """Return the JSON value of a text. Raises BadInput with the line number, where the text begins on line `first_line`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise BadInput(
            f"{path}, line {line}: broken JSON ({error.msg}, column {error.colno}); fix or remove it"
        ) from error


def _parquet(path: Path) -> list[dict]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path).read().to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInput(f"{path}: not a complete parquet file ({error}); copy it again") from error
