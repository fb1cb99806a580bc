"""Unfinished work: a shard that is whole is never made again, and one that is not whole is."""

import subprocess
import sys

import pyarrow as pa
import pytest
from teachergrid.errors import BadInput
from teachergrid.store import artifacts, shards
from workspace import ENV, ROOT

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


def test_saved_shards_are_read_without_threads(tmp_path):
    """A thread of Arrow that holds bytes of Python when the process ends aborts it ("terminate called without an active exception")."""
    program = """
import os, sys
import pyarrow as pa
from teachergrid.store import shards

def threads():
    return len(os.listdir("/proc/self/task"))

run = lambda: shards.run(sys.argv[1], 3, lambda i: [{"i": i}], pa.schema([("i", pa.int64())]), "rows")
assert [table.num_rows for table in run()] == [1, 1, 1]
before = threads()
assert [table.num_rows for table in run()] == [1, 1, 1]
print("more", threads() - before)
import pyarrow.parquet as pq
pq.read_table(pa.BufferReader(open(next(os.scandir(sys.argv[1])).path, "rb").read()))
assert threads() > before, "what this test is about"
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path], env=ENV, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "more 0", done.stderr
    assert done.returncode == 0, done.stderr


def test_a_failure_beside_another_copy_ends_the_job(tmp_path):
    def make(i, copy):
        if i == 1:
            raise BadInput("no")
        return [{"id": str(i), "sample": 0, "truncated": False}]

    with pytest.raises(BadInput, match="no"):
        shards.ensure(tmp_path, 9, make, artifacts.LIKELIHOODS, "rows", lambda: [("a",), ("b",)])
