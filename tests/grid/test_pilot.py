"""A pilot in the config: which phase a grid is in, which jobs that gives, and what it costs at most."""

import json
from pathlib import Path

import pytest
from pilot_grid import ONE_EACH, PHASE_ONE, PHASE_TWO, add_teacher, with_pilot
from teachergrid.grid import pilot
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.instructions import loading
from workspace import jobs, setting


@pytest.fixture
def entries(small) -> dict:
    """The small grid's config with a pilot."""
    with_pilot(small)
    return small


def chose(cells: Cells, kept: dict) -> None:
    """Write a pilot's result as its job would."""
    bases = {base: {"kept": teachers} for base, teachers in kept.items()}
    file = pilot.path("results", "teachers")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"bases": bases, "origin": {"spec": cells.rows["pilot"]["teachers"]["spec"]}}))


def of(cells: Cells) -> set[str]:
    return {f"{rule} {cell}" for rule, rows in cells.rows.items() for cell in rows}


def test_the_phase_follows_from_the_result(entries):
    first = Cells(checked(entries))
    assert pilot.waiting(first) == ["teachers"] and first.chosen == {"teachers": None}
    # the gate's cell is there and no job asks for it: the pilot counts by itself what is over a limit
    assert of(first) == PHASE_ONE | jobs("gate seed.pilot2__{small,large}")
    chose(first, ONE_EACH)
    second = Cells(checked(entries))
    assert second.chosen == {"teachers": ONE_EACH} and pilot.waiting(second) == []
    assert of(second) == of(first) | PHASE_TWO


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        (add_teacher, True),
        (setting("teachers", "large", "sampling", "temperature", to=0.5), True),
        (setting("rewards", "rm", "batch", to=8), True),
        (setting("bases", "w", "system", to="Be brief."), True),
        (setting("grids", "teachers", "pilot", "sample", to=3), True),
        (setting("grids", "teachers", "seeds", to=[1, 2]), False),
        (setting("models", "large", "gpus", to=8), False),
    ],
)
def test_a_result_is_stale_when_anything_it_rests_on_is_another(entries, change, stale):
    chose(Cells(checked(entries)), ONE_EACH)
    change(entries)
    assert pilot.waiting(Cells(checked(entries))) == (["teachers"] if stale else [])


def test_a_job_expands_what_its_run_settled_on(entries):
    run = Cells(checked(entries))
    pilot.save_choices("results", run.chosen)
    chose(run, ONE_EACH)
    assert of(Cells(checked(entries), pilot.saved_choices("results"))) == of(run)
    assert pilot.saved_choices("elsewhere") == {}


def test_a_report_over_what_exists_waits_for_no_pilot(entries):
    cells = Cells(checked(entries | {"partial": True}))
    assert pilot.waiting(cells) == [] and not cells.rows["report"]


def test_derived_corpora_stay_and_excluded_teachers_are_no_candidates(entries):
    entries["corpora"] = {"best": {"instructions": "seed", "teachers": ["small", "large"], "by": "car"}}
    entries["grids"]["teachers"] |= {"corpora": ["best"], "exclude": [{"base": "w", "teacher": "large"}]}
    cells = Cells(checked(entries))
    assert json.loads(cells.rows["pilot"]["teachers"]["spec"])["candidates"] == {
        "q": ["large", "small"],
        "w": ["small"],
    }
    assert "likelihood w/seed.pilot2__large" not in of(cells)
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


def test_upper_bound(entries):
    """Of three teachers the largest for one base, the next for the other: each generates a full set, too."""
    add_teacher(entries)
    sizes = {"small": 2, "large": 70, "new": 8}
    entries["models"] |= {name: {"repo": name, "revision": "sha256-1", "parameters": n} for name, n in sizes.items()}
    entries["teachers"]["new"]["model"] = "new"
    cells = Cells(checked(entries))
    found = pilot.upper_bound(cells, cost=lambda rule, row: row["parameters"] * row["rows"])
    added = {f"{rule} {cell}" for rule, cell, _ in found}
    assert {name for name in added if name.startswith(("generate", "finetune"))} == jobs(
        "generate seed__{large,new}", "finetune q__seed__large__sft__s1", "finetune w__seed__new__sft__s1"
    )
    assert all({"spec", "rows"} <= row.keys() for rule, _, row in found if rule not in ("gate", "free"))
    chose(cells, {"q": ["small"], "w": ["small"]})
    later = Cells(checked(entries))
    assert pilot.upper_bound(later) == []
    assert len(later.rows["finetune"]) <= len(pilot.at_most(cells).rows["finetune"])


@pytest.mark.parametrize("sample", [None, 20])
def test_the_sample_is_part_of_the_full_set(entries, sample, capsys):
    Path("pool.jsonl").write_text("".join(f'{{"instruction": "number {i}"}}\n' for i in range(50)))
    entries["instructions"]["seed"] = {"source": "pool.jsonl", **({"sample": sample} if sample else {})}
    sets = checked(entries)["instructions"]
    whole, drawn = (loading.load("pool.jsonl", sets[name], name)["id"].to_pylist() for name in ("seed", "seed.pilot2"))
    assert len(whole) == (sample or 50) and len(drawn) == 2 and set(drawn) <= set(whole)
