"""Which phase a grid with a pilot is in, which jobs that gives, and what it costs at most."""

import pytest
from pilot_grid import ONE_EACH, PHASE_ONE, PHASE_TWO, add_teacher, chose, names, with_pilot
from teachergrid.grid import phases
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from workspace import jobs, setting


@pytest.fixture
def entries(small) -> dict:
    """The small grid's config with a pilot."""
    with_pilot(small)
    return small


def test_the_phase_follows_from_the_result(entries):
    first = Cells(checked(entries))
    assert phases.waiting(first) == ["teachers"] and first.chosen == {"teachers": None}
    # the gate's cell is there and no job asks for it: the pilot counts by itself what is over a limit
    assert names(first) == PHASE_ONE | jobs("gate seed.pilot2__{small,large}")
    chose(first, ONE_EACH)
    second = Cells(checked(entries))
    assert second.chosen == {"teachers": ONE_EACH} and phases.waiting(second) == []
    assert names(second) == names(first) | PHASE_TWO


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
    assert phases.waiting(Cells(checked(entries))) == (["teachers"] if stale else [])


def test_a_report_over_what_exists_waits_for_no_pilot(entries):
    cells = Cells(checked(entries | {"partial": True}))
    assert phases.waiting(cells) == [] and not cells.rows["report"]


def test_upper_bound(entries):
    """Of three teachers the largest for one base, the next for the other: each generates a full set, too."""
    add_teacher(entries)
    sizes = {"small": 2, "large": 70, "new": 8}
    entries["models"] |= {name: {"repo": name, "revision": "sha256-1", "parameters": n} for name, n in sizes.items()}
    entries["teachers"]["new"]["model"] = "new"
    cells = Cells(checked(entries))
    found = phases.upper_bound(cells, cost=lambda rule, row: row["parameters"] * row["rows"])
    added = {f"{rule} {cell}" for rule, cell, _ in found}
    assert {name for name in added if name.startswith(("generate", "finetune"))} == jobs(
        "generate seed__{large,new}", "finetune q__seed__large__sft__s1", "finetune w__seed__new__sft__s1"
    )
    assert all({"spec", "rows"} <= row.keys() for rule, _, row in found if rule not in ("gate", "free"))
    chose(cells, {"q": ["small"], "w": ["small"]})
    later = Cells(checked(entries))
    assert phases.upper_bound(later) == []
    assert len(later.rows["finetune"]) <= len(phases.at_most(cells).rows["finetune"])
