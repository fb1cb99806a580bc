"""Snakemake's records of outputs, kept beside the results."""

import os
from pathlib import Path

from teachergrid.store import history


def test_finished_outputs_of_a_dead_run_are_kept(tmp_path, monkeypatch):
    """One whose end nobody saw, and one whose record is of what was there before; the rest is left alone."""
    monkeypatch.chdir(tmp_path)
    records = Path("results/.history")
    for name, age in {"unseen": 0, "newer": 0, "known": 100}.items():
        output = f"results/{name}.parquet"
        record = history.record_path(records, output)
        record.parent.mkdir(parents=True, exist_ok=True)
        Path(output).touch()
        record.touch()
        os.utime(record, (1000, 1000))
        os.utime(output, (1050 - age, 1050 - age))
    for name in ("unseen", "never"):
        mark = history.record_path(history.MARKS, f"results/{name}.parquet")
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    assert history.recover_outputs("results") == ["results/newer.parquet", "results/unseen.parquet"]
    assert history.record_path(records, "results/known.parquet").exists()
    assert history.record_path(history.MARKS, "results/never.parquet").exists(), "begun, and not finished"
