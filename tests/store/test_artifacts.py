"""Tables between the rules: what is written is checked, and so is what is read."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from teachergrid.store import artifacts

SCHEMA = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("score", pa.float64())])
ROWS = [{"id": "a", "score": 1.0}, {"id": "b"}]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"id": "a", "scor": 1.0}], "unknown columns: scor"),
        ([{"score": 1.0}], "'id' (has 1 nulls and allows none|with null values to non-nullable)"),
    ],
)
def test_rows_that_are_not_those_of_the_schema(tmp_path, rows, said):
    with pytest.raises((artifacts.BadTable, ValueError), match=said):
        artifacts.write(tmp_path / "a.parquet", rows, SCHEMA, None)
    assert not (tmp_path / "a.parquet").exists()


def test_a_table_comes_back(tmp_path):
    path = tmp_path / "new/a.parquet"
    artifacts.write(path, ROWS, SCHEMA, None)
    assert artifacts.read(path, SCHEMA).to_pylist() == [{"id": "a", "score": 1.0}, {"id": "b", "score": None}]
    assert artifacts.read(path, SCHEMA, ["score"]).column_names == ["score"]
    [batch] = artifacts.batches(path, SCHEMA, ["id"])
    assert batch.to_pydict() == {"id": ["a", "b"]}


def test_row_groups_as_they_are_asked_for(tmp_path):
    path = tmp_path / "a.parquet"
    artifacts.write(path, ROWS * 3, SCHEMA, None, row_groups=[1, 5])
    groups = pq.read_metadata(path)
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [1, 5]
    with pytest.raises(artifacts.BadTable, match="3 rows in row groups, 6 rows in the table"):
        artifacts.write(path, ROWS * 3, SCHEMA, None, row_groups=[1, 2])
    # an iterator's tables are groups, too
    artifacts.write(path, iter([artifacts.table(ROWS, SCHEMA)] * 2), SCHEMA, None)
    assert pq.read_metadata(path).num_row_groups == 2


def test_a_file_that_does_not_serve_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    artifacts.write(path, ROWS, SCHEMA, None)
    with pytest.raises(artifacts.BadTable, match=rf"{path}: no column other; delete the file and run again"):
        artifacts.read(path, pa.schema([("other", pa.string())]))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(artifacts.BadTable, match=rf"{path}: not a complete parquet file .*; delete it and run again"):
        artifacts.read(path, SCHEMA)
    with pytest.raises(FileNotFoundError):
        artifacts.read(tmp_path / "none.parquet", SCHEMA)


def test_a_later_column_is_null_in_files_of_before(tmp_path):
    """Only for columns that say so: of others the file is refused, since a model's results may lack something."""
    scores = artifacts.table([{"task": "t", "id": "a", "sample": 0, "score": 1.0}], artifacts.SCORES)
    pq.write_table(scores.drop(["measures"]), tmp_path / "old.parquet")
    assert artifacts.read(tmp_path / "old.parquet", artifacts.SCORES) == scores
    assert artifacts.read(tmp_path / "old.parquet", artifacts.SCORES, ["measures", "id"]).column_names == [
        "measures",
        "id",
    ]
    pq.write_table(scores.drop(["cost"]), tmp_path / "broken.parquet")
    with pytest.raises(artifacts.BadTable, match="no column cost"):
        artifacts.read(tmp_path / "broken.parquet", artifacts.SCORES)
    assert artifacts.holds(tmp_path / "old.parquet", artifacts.SCORES) is False
    rows = artifacts.table([{"id": "a", "sample": 0, "probability": 0.5}], artifacts.DISTRIBUTIONS)
    pq.write_table(rows.drop(["top", "end_top", "sure", "end_sure"]), tmp_path / "older.parquet")
    assert artifacts.read(tmp_path / "older.parquet", artifacts.DISTRIBUTIONS) == rows
