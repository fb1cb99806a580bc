"""Snakemake's records of outputs, kept beside the results."""

from pathlib import Path

import pytest
from teachergrid.store import history


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_finished_outputs_of_a_dead_run_are_kept():
    """Those whose end nobody saw lose their mark; an output that was begun and not finished keeps it."""
    Path("results").mkdir()
    Path("results/unseen.parquet").touch()
    for name in ("unseen", "never"):
        mark = history.record_path(history.MARKS, f"results/{name}.parquet")
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    (history.MARKS / "migration_underway!").touch()  # no base64: not a mark
    assert history.recover_outputs() == ["results/unseen.parquet"]
    assert not history.record_path(history.MARKS, "results/unseen.parquet").exists()
    assert history.record_path(history.MARKS, "results/never.parquet").exists()


@pytest.mark.parametrize("name", ["short", "long" * 100])
def test_a_record_is_found_again(name):
    record = {"record_format_version": history.FORMAT, "params": ["'{}'"], "input_checksums": {"a": "sha256:1"}}
    path = f"results/x/{name}.parquet"
    history.write("results", path, record)
    assert history.read("results", path) == record
    folder = Path("results", history.RECORDS)
    assert [history.output_of(file, folder) for file in history.files(folder)] == [path]


def test_records_of_another_folder_are_not_overwritten():
    Path(".snakemake/metadata").mkdir(parents=True)
    with pytest.raises(RuntimeError, match=r"move its files to results/.history"):
        history.follow("results")


def test_looking_ends():
    with history.looking():
        assert history.is_looking()
        with history.looking():
            pass
        assert history.is_looking()
    assert not history.is_looking()
