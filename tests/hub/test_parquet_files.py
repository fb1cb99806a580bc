"""Of a parquet file, only the columns that are needed are read, by the paths of what lies in structs."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from teachergrid.hub import row_files
from teachergrid.hub.parquet_files import Columns

ROWS = [
    {"id": str(i), "Q-2.5.x": {"content": f"c{i}", "R-2.0": i / 2, "other": 1}, "Q-2": {"content": "no"}, "big": "b"}
    for i in range(3)
]


@pytest.mark.parametrize(
    ("columns", "read"),
    [
        (
            None,
            {"id": "1", "Q-2.5.x": {"content": "c1", "R-2.0": 0.5, "other": 1}, "Q-2": {"content": "no"}, "big": "b"},
        ),
        (Columns([("Q-2.5.x", "content")], ("id", "sample")), {"id": "1", "Q-2.5.x": {"content": "c1"}}),
        (Columns([("Q-2.5.x", "R-2.0")]), {"Q-2.5.x": {"R-2.0": 0.5}}),
        # one that is not there: all, so that the message can name what there is
        (Columns([("Q-2.5.x", "text")], ("id",)), ROWS[1]),
        (Columns([("Q-2.5",)], ("id",)), ROWS[1]),
    ],
    ids=["all", "in a struct", "a key with a dot", "no such key", "the beginning of a name"],
)
def test_projection(tmp_path, columns, read):
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    rows = list(row_files.read(tmp_path / "a.parquet", columns))
    assert len(rows) == 3 and rows[1] == read


def test_one_of_many_teachers_takes_the_memory_of_one(tmp_path):
    """A file of 19 teachers, 2 MB each: three times one of them were in memory at most, of which two are the format's buffers."""
    text, n = "abcde fgh " * 100, 2000
    contents = {f"t-{k}.5": pa.array([f"{k} {i} {text}" for i in range(n)]) for k in range(19)}
    structs = {name: pa.StructArray.from_arrays([content], ["content"]) for name, content in contents.items()}
    pq.write_table(pa.table(structs), tmp_path / "a.parquet")
    size = sum(content.nbytes for content in contents.values())
    del contents, structs
    before = pa.total_allocated_bytes()
    most = 0
    for i, row in enumerate(row_files.read(tmp_path / "a.parquet", Columns([("t-7.5", "content")]))):
        assert row["t-7.5"]["content"].startswith(f"7 {i} ")
        most = max(most, pa.total_allocated_bytes() - before)
    assert i == n - 1 and most < 4 * size / 19


def test_the_path_of_a_list_of_structs(tmp_path):
    rows = [{"all": [{"text": "a", "score": 1}, {"text": "b", "score": 2}], "more": ["x"], "big": "b"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    read = list(row_files.read(tmp_path / "a.parquet", Columns([("all", "text"), ("more",)])))
    assert read == [{"all": [{"text": "a"}, {"text": "b"}], "more": ["x"]}]


def test_rows_of_json_keep_all(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1, "b": 2}\n')
    assert list(row_files.read(tmp_path / "a.jsonl", Columns([("a",)]))) == [{"a": 1, "b": 2}]
