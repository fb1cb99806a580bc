"""Every config that is shipped, checked and planned."""

import contextlib
import shutil
from pathlib import Path

import pytest
import yaml
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from workspace import ROOT, Grid, copy_code

SHIPPED = sorted(path for path in (ROOT / "config").glob("*.yaml") if path.name != "machines.yaml")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_configs(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    if path.name == "alpaca_eval.yaml" and not Path("data/alpaca_eval").exists():
        pytest.skip("its data are not part of the project: put them, or a link, in data/alpaca_eval")
    cells = Cells(checked(yaml.safe_load(path.read_text())))
    assert cells.rows["report"]


@pytest.mark.slow
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_dag_of_shipped_configs(path, tmp_path):
    """Snakemake itself plans every shipped config, from nothing to its reports."""
    data = ROOT.parent / "shared/data/alpaca_eval"
    if path.name == "alpaca_eval.yaml" and not data.exists():
        pytest.skip("its data are not part of the project")
    copy_code(tmp_path / "clone", stand_in=False)
    clone = Grid(tmp_path / "clone")
    shutil.copy2(path, clone.folder / "config/mine.yaml")
    (clone.folder / "workflow/miniworld").symlink_to(ROOT / "workflow/miniworld")
    for part in ("config/templates", "config/benchmarks", "tests"):
        (clone.folder / part).symlink_to(ROOT / part)
    (clone.folder / "data").mkdir()
    (clone.folder / "data/alpaca_eval").symlink_to(data)
    planned = clone.jobs("--configfile", "config/mine.yaml")
    expected = cells_in(clone.folder, path).rows
    # a gate is asked before a training alone: nothing is trained on what a block only measures
    asked = {responses for row in expected["finetune"].values() for responses in row["responses"]}
    assert asked <= expected["gate"].keys()
    rows = {**expected, "gate": asked}
    assert planned == {f"{rule} {cell}" for rule, cells in rows.items() for cell in cells}


def cells_in(folder, path) -> Cells:
    """Return the cells of a config as they are seen from a folder: its paths are relative to it."""
    with contextlib.chdir(folder):
        return Cells(checked(yaml.safe_load(path.read_text())))
