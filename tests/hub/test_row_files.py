"""Rows of every kind of file, and the ids of messages."""

import json

import pytest
from teachergrid.errors import BadInput
from teachergrid.hub import row_files

ROWS = [{"instruction": "one\u2028line", "output": "a"}, {"instruction": "two", "output": None}]


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet"])
def test_read_rows_of_every_kind(tmp_path, kind):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / f"rows.{kind}"
    if kind == "jsonl":
        path.write_bytes(b"\xef\xbb\xbf" + "\r\n\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode())
    elif kind == "json":
        path.write_text(json.dumps(ROWS))
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    assert list(row_files.read(path)) == ROWS


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", b'{"a": 1}\n\n{"a": \n', "a.jsonl, line 3: broken JSON"),
        ("a.jsonl", b'{"a": 1}\n[2]\n', "row 2.*no object"),
        ("a.jsonl", b"\n", "no rows"),
        ("a.jsonl", b'{"a": "\xff"}', "UTF-8"),
        ("a.json", b'[{"a": 1},\n {"a" 1}]', "a.json, line 2: broken JSON"),
        ("a.json", b'{"a": 1}', "not a list"),
        ("a.parquet", b"PAR1", "not a complete parquet"),
        ("a.csv", b"a\n1\n", "unknown kind of file '.csv'"),
        ("a.jsonl", None, "no such file"),
    ],
)
def test_bad_files_are_refused(tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=says):
        list(row_files.read(tmp_path / name))
