"""Grid blocks of the config are checked: what they name, their cells, their pilots."""

import json
from pathlib import Path

import pytest
from pilot_grid import with_pilot
from teachergrid.errors import BadInput
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from workspace import setting

BAD = {
    "unknown teacher": (
        setting("grids", "teachers", "teachers", to=["smal"]),
        "config.grids.teachers.teachers: there is no 'smal', did you mean 'small'?",
    ),
    "performance by an unknown judge": (
        setting("grids", "teachers", "performance", to=["math/wins"]),
        "config.grids.teachers.performance (math/wins): there is no 'wins'",
    ),
    "performance of an unknown task": (
        setting("grids", "teachers", "performance", to=["math/verify/ifeval"]),
        "config.grids.teachers.performance (math/verify/ifeval): there is no 'ifeval'; known: gsm",
    ),
    "performance by a measure of none": (
        setting("grids", "teachers", "performance", to=["math/verify/gsm:loose"]),
        "the checker of task 'gsm' has no measure beside its score; write math/verify/gsm",
    ),
    "a weight of another score": (
        setting("grids", "teachers", "weights", to={"math/wins": 2}),
        "config.grids.teachers.weights: there is no 'math/wins'",
    ),
    "a wanted judge that is not behind performance": (
        setting("grids", "teachers", "primary_judges", to=["wins"]),
        "config.grids.teachers.primary_judges: there is no 'wins'",
    ),
    "primary outside of the block": (
        setting("grids", "instructions", "primary", to="borrowed"),
        "config.grids.instructions.primary: there is no 'borrowed'",
    ),
    "exclude that matches nothing": (
        setting("grids", "teachers", "exclude", to=[{"teacher": "small", "seed": 9}]),
        "config.grids.teachers.exclude[0]: matches no cell",
    ),
    "include of half a cell": (
        setting("grids", "teachers", "include", to=[{"base": "q"}]),
        "config.grids.teachers.include[0]: state base and corpus",
    ),
    "no cell": (setting("grids", "teachers", "bases", to=[]), "config.grids.teachers: no cell is left"),
    "students without an exam": (
        setting("grids", "teachers", "suites", to=[]),
        "config.grids.teachers.suites: is empty; students need",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_blocks(small, name):
    change, words = BAD[name]
    change(small)
    with pytest.raises(BadInput) as error:
        Cells(checked(small))
    assert words in str(error.value)


@pytest.fixture
def entries(small) -> dict:
    """The small grid's config with a pilot."""
    with_pilot(small)
    return small


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keep": 2}, "pilot.keep: 2 of 2 teachers drops none"),
        ({"by": ["cra"]}, "there is no 'cra', did you mean 'car'?"),
        ({"by": ["borrowed"]}, "'borrowed' (borrowed) has no value of a single response"),
        ({"sample": 1}, "config.grids.teachers.pilot.sample: 1 is less than the minimum of 2"),
        ({"rungs": 3}, "unknown key 'rungs'"),
    ],
)
def test_wrong_pilots(entries, change, message):
    entries["grids"]["teachers"]["pilot"] |= change
    with pytest.raises(BadInput) as error:
        checked(entries)
    assert message in str(error.value)


def test_blocks_that_can_have_no_pilot(entries):
    Path("config/several.jsonl").write_text('{"prompt": "p"}\n' * 2)
    for change, message in (
        (setting("instructions", "seed", "sample", to=2), "config.instructions.seed has only 2 instructions"),
        (
            setting("grids", "teachers", "pilot", "sample", to=3),
            r"config.grids.teachers.pilot.sample: 3 rows cannot be drawn from config.instructions.seed, which has 2",
        ),
        (setting("grids", "teachers", "compare", to="recipe"), "it needs `compare: teacher` and recipes"),
        (setting("instructions", "seed.pilot2", to={"source": "config/seed.jsonl"}), "a pilot needs this name"),
    ):
        config = json.loads(json.dumps(entries))
        change(config)
        with pytest.raises(BadInput, match=message):
            checked(config)


def test_a_measure_of_a_checker_may_be_primary(small):
    small["tasks"]["gsm"]["checker"] = {"kind": "ifeval"}
    small["grids"]["teachers"] |= {
        "performance": ["math/verify/gsm", "math/verify/gsm:instruction_loose"],
        "weights": {"math/verify/gsm": 2},
    }
    assert checked(small)["grids"]["teachers"]["weights"] == {"math/verify/gsm": 2}
    small["grids"]["teachers"]["performance"][1] = "math/verify/gsm:instruction_lose"
    with pytest.raises(BadInput, match="did you mean 'instruction_loose'"):
        checked(small)
