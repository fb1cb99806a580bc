"""Shards of a job: what a kill loses, and which are made again."""

import pyarrow as pa
import pytest
from teachergrid.errors import BadInput
from teachergrid.store import artifacts, shards


def test_shards_of_other_columns_are_made_again(tmp_path, capsys):
    old, new = pa.schema([("a", pa.int64())]), pa.schema([("a", pa.int32())])
    assert shards.run(tmp_path, 1, lambda i: [{"a": 1}], old, "rows")[0].schema == old
    assert shards.run(tmp_path, 1, lambda i: [{"a": 2}], new, "rows")[0].to_pylist() == [{"a": 2}]
    assert "other columns" in capsys.readouterr().out


def test_a_kill_loses_the_shard_at_work_only(tmp_path):
    schema = pa.schema([("a", pa.int64())])

    def make(i):
        if i == 2 and not killed:
            killed.append(i)
            raise KeyboardInterrupt
        calls.append(i)
        return [{"a": i}]

    calls, killed = [], []
    with pytest.raises(KeyboardInterrupt):
        shards.run(tmp_path, 4, make, schema, "rows")
    assert [table["a"][0].as_py() for table in shards.run(tmp_path, 4, make, schema, "rows")] == [0, 1, 2, 3]
    assert calls == [0, 1, 2, 3]


def test_a_failure_beside_another_copy_ends_the_job(tmp_path):
    def make(i, copy):
        if i == 1:
            raise BadInput("no")
        return [{"id": str(i), "sample": 0, "truncated": False}]

    with pytest.raises(BadInput, match="no"):
        shards.ensure(tmp_path, 9, make, artifacts.LIKELIHOODS, "rows", lambda: [("a",), ("b",)])
