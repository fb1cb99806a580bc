"""Unfinished work: kept for the same spec and inputs, and cleared once the output is there."""

import json
from pathlib import Path

import pytest
from teachergrid.store import origin, unfinished


@pytest.fixture
def results(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    return "results"


def test_what_a_killed_job_left_is_seen(results):
    made_from = {"rule": "generate", "spec": "{}", "inputs": {}}
    assert not unfinished.has_unfinished("results/responses/a.parquet", made_from)
    folder = unfinished.folder("results/responses/a.parquet", made_from)
    assert not unfinished.has_unfinished("results/responses/a.parquet", made_from)
    (folder / "shard").touch()
    assert unfinished.has_unfinished("results/responses/a.parquet", made_from)


def test_work_is_cleared_when_its_output_is_finished(results):
    made_from = origin.of("generate", "{}", [])
    done, waiting = (unfinished.folder(f"results/students/{name}/student.json", made_from) for name in ("a", "b"))
    other = unfinished.folder("results/students/a/student.json", origin.of("generate", '{"x": 1}', []))
    for path in (done, waiting, other):
        (path / "shard").touch()
    origin.replace_text("results/students/a/student.json", json.dumps({"origin": made_from}))
    unfinished.clear(results)
    assert not done.exists() and waiting.exists() and other.exists()
    origin.replace_text("results/students/b/student.json", json.dumps({"origin": made_from}))
    unfinished.clear(results)
    assert not waiting.parent.exists() and other.exists(), "what is empty goes, what waits stays"
