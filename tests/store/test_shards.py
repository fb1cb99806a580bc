"""Unfinished work: a shard that is whole is never made again, and one that is not whole is."""

import pyarrow as pa
import pytest
from teachergrid.store import shards

SCHEMA = pa.schema([("i", pa.int64())])


def test_bounds():
    assert shards.bounds(5, 2) == [(0, 2), (2, 4), (4, 5)] and shards.bounds(0, 2) == []


def test_only_what_is_missing_or_damaged_is_made(tmp_path, capsys):
    made = []

    def make(i: int) -> list[dict]:
        made.append(i)
        return [{"i": i}] * (i + 1)

    def found() -> list[dict]:
        return [table.to_pylist() for table in shards.run(tmp_path, 3, make, SCHEMA, "rows")]

    first = found()
    assert made == [0, 1, 2] and first == [[{"i": 0}], [{"i": 1}] * 2, [{"i": 2}] * 3]
    assert found() == first and len(made) == 3
    [cut] = tmp_path.glob("000001-*.parquet")
    cut.write_bytes(cut.read_bytes()[:-1])
    capsys.readouterr()
    assert found() == first and made[3:] == [1]
    said = capsys.readouterr().out
    assert "rows: shard 2 is damaged and is made again" in said and "2 of 3 shards are there" in said


def test_each_shard_is_read_when_its_turn_comes(tmp_path):
    kept = shards.ensure(tmp_path, 2, lambda i: [{"i": i}], SCHEMA, "rows")
    assert [table["i"].to_pylist() for table in kept] == [[0], [1]] == [table["i"].to_pylist() for table in kept]
    [gone] = tmp_path.glob("000001-*.parquet")
    gone.unlink()
    with pytest.raises(FileNotFoundError, match="rows: shard 2 is gone"):
        list(kept)
