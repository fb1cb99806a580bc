"""Six real models' answers to 805 real instructions, taken in by configuration alone. Its data are not part of the project."""

import shutil

import pyarrow.parquet as pq
import pytest
import yaml
from workspace import ROOT, Grid, copy_code

DATA = ROOT.parent / "shared/data/alpaca_eval"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason=f"the AlpacaEval files are not at {DATA.relative_to(ROOT.parent)}"),
]


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Grid:
    folder = tmp_path_factory.mktemp("real")
    copy_code(folder, stand_in=False)
    shutil.copy2(ROOT / "config/alpaca_eval.yaml", folder / "config")
    shutil.copytree(ROOT / "config/benchmarks", folder / "config/benchmarks")
    (folder / "data").mkdir()
    (folder / "data/alpaca_eval").symlink_to(DATA)
    (folder / "workflow/miniworld").symlink_to(ROOT / "workflow/miniworld")
    grid = Grid(folder)
    done = grid.call("teachergrid", "run", "--configfile", "config/alpaca_eval.yaml")
    assert done.returncode == 0, done.stderr[-3000:]
    return grid


def test_all_answers_are_joined(measured):
    results = measured.folder / "results"
    teachers = yaml.safe_load((ROOT / "config/alpaca_eval.yaml").read_text())["teachers"]
    for teacher in teachers:
        health = pq.read_table(results / f"health/alpaca-eval__{teacher}.parquet").to_pylist()
        counts = {row["check"]: (row["count"], row["n"]) for row in health}
        assert counts["missing"] == (0, 805) and counts["empty"][1] == 805
        likelihood = pq.read_table(results / f"likelihoods/bs/chat/alpaca-eval__{teacher}.parquet")
        assert likelihood.num_rows == 805
        # the tiny base sees 512 tokens of single characters: most real answers are cut, marked and counted
        assert any(likelihood["truncated"].to_pylist())


def test_metrics_and_report(measured):
    results = measured.folder / "results"
    rows = pq.read_table(results / "grids/answers/metrics.parquet").to_pylist()
    lengths = {row["unit"]: row["value"] for row in rows if row["metric"] == "length"}
    assert len(lengths) == 6 and lengths["alpaca-7b"] < lengths["claude-2"]
    config = yaml.safe_load((ROOT / "config/alpaca_eval.yaml").read_text())["metrics"]
    own = {row["entry"]: row for row in rows if row["unit"] == "claude-2"}
    assert set(config) < set(own) and all(own[name]["value"] is not None for name in config)
    removed = next(row for row in rows if row["metric"] == "ifd_ppl/chat/below=1" and row["unit"] == "claude-2")
    assert removed["n"] + removed["missing"] + removed["removed"] == 805 and removed["value"] < 1
    page = (results / "grids/answers/report.html").read_text()
    assert "AlpacaEval" in page and "vicuna-7b" in page


def test_nothing_is_trained_or_generated(measured):
    assert not (measured.folder / "results/students").exists()
    assert measured.jobs("--configfile", "config/alpaca_eval.yaml") == set()
