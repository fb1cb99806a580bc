"""Evolutions and joined sets as entries of `instructions`: names, order, circles, and what users get wrong."""

import pytest
from teachergrid.data import sizes
from teachergrid.errors import BadInput
from teachergrid.grid import cells, config

WIZ = {"of": "seed", "by": "small", "rounds": 2}


def checked(small, evolutions=None, **instructions):
    small["instructions"] |= instructions
    small["evolutions"] = evolutions or {"wiz": WIZ}
    return config.checked(small)


def made(small, *args, **more):
    return {
        name: entry["made"] for name, entry in checked(small, *args, **more)["instructions"].items() if "made" in entry
    }


def test_each_round_is_two_sets(small):
    entries = made(small)
    assert [*entries] == ["wiz.r1.asked", "wiz.r1", "wiz.r2.asked", "wiz.r2"]
    assert entries["wiz.r2.asked"]["sets"] == ["seed", "wiz.r1"]
    assert entries["wiz.r2"]["sets"] == ["seed", "wiz.r1", "wiz.r2.asked"]
    assert entries["wiz.r2"]["responses"] == ["wiz.r2.asked__small"]
    assert entries["wiz.r2"]["ancestors"] == ["seed", "wiz.r1"]


def test_a_judge_adds_two_sets_to_a_round(small):
    entries = made(small, {"wiz": WIZ | {"equal_by": "large"}})
    assert [*entries][:4] == ["wiz.r1.asked", "wiz.r1.drafts", "wiz.r1.equal", "wiz.r1"]
    assert entries["wiz.r1"]["responses"] == ["wiz.r1.equal__large"]


def test_all_never_means_evolved_sets(small):
    small["grids"]["instructions"]["teachers"] = "all"
    assert checked(small)["grids"]["instructions"]["teachers"] == ["large", "small"]
    # a set that is not named is not made
    assert "wiz.r1" not in cells.Cells(checked(small)).rows["load_instructions"]


def test_sets_may_be_made_of_each_other_in_any_order(small):
    entries = made(
        small,
        {"b": WIZ | {"of": "both"}, "a": WIZ},
        both={"join": ["a.r1", "a.r2"]},
        pairs={"join": ["b.r1"], "paired_with": ["a.r1"], "sample": 1},
    )
    assert entries["both"]["ancestors"] == ["seed", "a.r1", "a.r2"]
    assert entries["b.r1"]["ancestors"] == ["seed", "a.r1", "a.r2", "both"]
    assert entries["pairs"]["sets"] == ["b.r1", "seed", "a.r1", "a.r2", "both"]
    assert entries["pairs"]["settings"] == {"join": [[0, [1, 2, 3, 4]]], "paired": [[2, [1]]]}


def test_rows_are_an_upper_bound_until_a_set_is_made(small):
    config = checked(small, both={"join": ["wiz.r1", "wiz.r2"]})
    rows = sizes.drawn(config["instructions"]["seed"])
    assert sizes.rows(config["instructions"]["wiz.r2"]) == (rows, False, False)
    assert sizes.rows(config["instructions"]["both"]).number == 2 * rows


def test_the_config_is_not_changed_and_a_checked_one_may_be_frozen(small):
    import json

    frozen = json.loads(json.dumps(checked(small)))
    small["evolutions"], small["instructions"] = {"wiz": WIZ}, {**small["instructions"]}
    small["grids"]["instructions"]["instructions"].append("wiz.r2")
    again = checked(small)
    assert frozen["instructions"] == json.loads(json.dumps(again["instructions"]))


@pytest.mark.parametrize(
    ("evolutions", "sets", "message"),
    [
        ({"wiz": WIZ | {"of": "sead"}}, {}, "config.evolutions.wiz.of: there is no 'sead', did you mean 'seed'"),
        ({"wiz": WIZ | {"by": "smal"}}, {}, "config.evolutions.wiz.by: there is no 'smal', did you mean 'small'"),
        ({"wiz": WIZ | {"by": "old"}}, {}, "config.evolutions.wiz.by: teacher 'old' has published responses"),
        ({"wiz": WIZ | {"equal_by": "old"}}, {}, "config.evolutions.wiz.equal_by: teacher 'old' has published"),
        (
            {"wiz": WIZ | {"operators": ["deepn"]}},
            {},
            "config.evolutions.wiz.operators: there is no 'deepn', did you mean",
        ),
        (
            {"wiz": WIZ | {"eliminate": ["equals"]}},
            {},
            "config.evolutions.wiz.eliminate: there is no 'equals', did you",
        ),
        ({"wiz": WIZ | {"method": "evol"}}, {}, "did you mean 'evol-instruct'"),
        (
            {"wiz": WIZ | {"method": "auto-evol", "operators": ["deepen"]}},
            {},
            "config.evolutions.wiz.operators: the method has",
        ),
        (
            {"a": WIZ | {"of": "b.r1"}, "b": WIZ | {"of": "a.r1"}},
            {},
            "config.evolutions.a and config.evolutions.b: made of",
        ),
        ({"a": WIZ | {"of": "a.r1"}}, {}, "config.evolutions.a: made of each other"),
        ({"wiz": WIZ}, {"j": {"join": ["j"]}}, "config.instructions.j: made of each other"),
        (
            {"wiz": WIZ},
            {"j": {"join": ["wiz.r3"]}},
            "config.instructions.j.join: there is no 'wiz.r3', did you mean 'wiz.r",
        ),
        ({"wiz": WIZ}, {"j": {}}, "config.instructions.j: state either `source` or `join`"),
        ({"wiz": WIZ}, {"j": {"source": "config/seed.jsonl", "join": ["seed"]}}, "config.instructions.j: state either"),
        (
            {"wiz": WIZ},
            {"j": {"source": "config/seed.jsonl", "paired_with": ["seed"]}},
            "config.instructions.j.paired_with",
        ),
        ({"wiz": WIZ}, {"wiz.r1": {"join": ["seed"]}}, "config.instructions.wiz.r1: evolution 'wiz' needs this name"),
        (
            {"a": WIZ, "b": WIZ | {"of": "a.r1", "input": "beside"}},
            {},
            "config.evolutions.b.input: `beside` needs a set with",
        ),
        ({"wiz": WIZ | {"prompts": "own.yaml"}}, {}, "config.evolutions.wiz.prompts: there is no file 'own.yaml'"),
    ],
)
def test_mistakes_are_named(small, evolutions, sets, message):
    small["teachers"]["old"] = {"engine": "existing", "source": "config/seed.jsonl"}
    small["grids"]["teachers"]["teachers"] = ["small", "large"]
    with pytest.raises(BadInput) as error:
        checked(small, evolutions, **sets)
    assert message in str(error.value)
