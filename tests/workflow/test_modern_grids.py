"""The shipped grids of today's models: complete, of the size that the pages state, and planned without models, GPU or network."""

from functools import cache

import pytest
import yaml
from teachergrid.cost import actuals, estimate, workload
from teachergrid.grid import cells, config
from teachergrid.hub import pins
from work_rows import HERE
from workspace import ROOT

# H100-hours of the jobs that load a model: the figures of docs/paper-grid.md, within a fifth
GRIDS = {
    "modern_small": {"teachers": 6, "bases": 2, "rows": 10_000, "students": 24, "hours": 15.5},
    "modern": {"teachers": 12, "bases": 5, "rows": 50_000, "students": 60, "hours": 281},
    "reasoning": {"teachers": 11, "bases": 3, "rows": 5_000, "students": 11, "hours": 5},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    # whatever has been pinned in this checkout
    monkeypatch.setattr(pins, "LOCK", tmp_path / "none.lock")


@cache
def table(name: str) -> cells.Cells:
    return cells.Cells(config.checked(yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())))


@pytest.mark.parametrize("name", GRIDS)
def test_a_grid_is_what_its_page_says(name):
    expected, made = GRIDS[name], table(name)
    blocks = made.config["grids"].values()
    assert {len(block["teachers"]) for block in blocks} == {expected["teachers"]}
    assert len({base for block in blocks for base in block["bases"]}) == expected["bases"]
    assert max(row["rows"] for row in made.rows["generate"].values()) == expected["rows"]
    assert len(made.rows["finetune"]) == expected["students"]
    for block in blocks:
        assert block["primary"] in block["metrics"] and "lark" in block["metrics"]


@pytest.mark.parametrize("name", GRIDS)
def test_every_loaded_model_has_a_size_a_licence_and_room(name):
    made = table(name).config
    for entry in made["models"].values():
        if entry["repo"]:
            assert entry["parameters"] and entry["licence"], entry["repo"]
            held = 1 if "FP8" in entry["repo"] else 2
            assert entry["parameters"] * held < 72 * entry["gpus"], entry["repo"]


@pytest.mark.parametrize("name", GRIDS)
def test_hours_are_those_of_the_page(name):
    hours = 0.0
    for rule in workload.MODEL_RULES:
        for cell, row in table(name).rows[rule].items():
            found = estimate.estimate(rule, row, "h100", actuals.Actuals({}, {}), HERE, cell)
            hours += found.expected * found.gpus / 3600
    assert hours == pytest.approx(GRIDS[name]["hours"], rel=0.2)
