"""A pilot in the config: what it tries, and what a grid does with what it chose."""

import json
from pathlib import Path

import pytest
from pilot_grid import chose, names, with_pilot
from teachergrid.data import loading
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked


@pytest.fixture
def entries(small) -> dict:
    """The small grid's config with a pilot."""
    with_pilot(small)
    return small


def test_derived_corpora_stay_and_excluded_teachers_are_no_candidates(entries):
    entries["corpora"] = {"best": {"instructions": "seed", "teachers": ["small", "large"], "by": "car"}}
    entries["grids"]["teachers"] |= {"corpora": ["best"], "exclude": [{"base": "w", "teacher": "large"}]}
    cells = Cells(checked(entries))
    assert json.loads(cells.rows["pilot"]["teachers"]["spec"])["candidates"] == {
        "q": ["large", "small"],
        "w": ["small"],
    }
    assert "likelihood w/seed.pilot2__large" not in names(cells)
    chose(cells, {"q": ["small"], "w": ["small"]})
    found = Cells(checked(entries)).rows
    assert set(found["finetune"]) == {f"{b}__{c}__sft__s1" for b in "qw" for c in ("seed__small", "best")}


def test_savings_and_the_grid_that_knows_all(entries):
    entries["grids"]["whole"] = {k: v for k, v in entries["grids"]["teachers"].items() if k != "pilot"}
    entries["grids"]["other"] = entries["grids"]["whole"] | {"performance": ["chat/wins"]}
    entries["grids"]["part"] = entries["grids"]["whole"] | {"bases": ["q"]}
    chose(Cells(checked(entries)), {"q": ["small"], "w": ["small"]})
    report = Cells(checked(entries)).rows["report"]["teachers"]
    saved = {"students_kept": 2, "students_all": 4, "responses_kept": 1, "responses_all": 2}
    assert json.loads(report["spec"])["saved"] == saved
    assert report["complete"] == ["whole"] and report["pilots"] == ["teachers"]


@pytest.mark.parametrize("sample", [None, 20])
def test_the_sample_is_part_of_the_full_set(entries, sample, capsys):
    Path("pool.jsonl").write_text("".join(f'{{"instruction": "number {i}"}}\n' for i in range(50)))
    entries["instructions"]["seed"] = {"source": "pool.jsonl", **({"sample": sample} if sample else {})}
    sets = checked(entries)["instructions"]
    whole, drawn = (loading.load("pool.jsonl", sets[name], name)["id"].to_pylist() for name in ("seed", "seed.pilot2"))
    assert len(whole) == (sample or 50) and len(drawn) == 2 and set(drawn) <= set(whole)
