"""What a grid shows, what stays open, and what to run next."""

from known_grid import SIX, SIX_REWARD, World
from teachergrid.analysis.performance import units
from teachergrid.decisions import conclusions

ANSWER = {
    "b": {"best": "x", "tied": ["y"], "units": 4, "panel": "p", "equivalent": ["y"], "smallest_difference": 2},
    "c": {"best": "x", "tied": [], "units": 4, "panel": "p", "equivalent": [], "smallest_difference": 2},
}
SETTINGS = {"grid": {"compare": "teacher"}}


def effect(name, value, **columns):
    return {
        "effect": name,
        "base": "pooled",
        "panel": "p",
        "value": value,
        "low": value - 1,
        "high": value + 1,
        **columns,
    }


def test_what_is_shown_stands_apart_from_what_is_open():
    rows = [
        effect("concordance", 0.9, subject="AP", p=0.001),
        effect("one_for_all", 0.4, subject="x", other="mean"),
        effect("own", 0.2),
        effect("metric_rho", 0.3, subject="m", other="borrowed", p=0.3),
        effect("metric_rho", 0.5, subject="m", other="n", p=0.004),
    ]
    names = {"m": "car", "n": "length", "borrowed": "borrowed"}
    known = "\n".join(conclusions.known(SETTINGS, ANSWER, rows, names))
    assert "b: the best teacher is among x and y; the other 2 score lower." in known
    assert "b: y is as good as x, to within 2 points." in known and "c: x is the best of the 4." in known
    assert "The bases rank them alike (Kendall's W 0.90, p 0.001). x for all of them" in known
    assert "car ranks them better than length: rho differs by +0.50 (p 0.008, Holm)." in known
    unknown = "\n".join(conclusions.unknown(rows, ANSWER, names))
    assert "whether car ranks better than borrowed (+0.30, p 0.300)" in unknown
    assert "borrowed" not in known and "alike" not in unknown


def test_no_agreement_is_open_and_not_shown():
    rows = [effect("concordance", 0.6, subject="AP", p=0.3), effect("interaction", 0.4, subject="AP", p=0.5)]
    assert not any("bases" in text or "matters" in text for text in conclusions.known(SETTINGS, ANSWER, rows, {}))
    assert conclusions.unknown(rows, ANSWER, {}) == ["whether the bases rank them alike: Kendall's W 0.60, p 0.300."]


def test_the_next_cells_are_lines_of_a_config():
    world = World(SIX, reward=SIX_REWARD)
    grid_units = units(world.settings, {})
    gains = {"u": 0.4, "v": 0.001, "w": 0.2, "x": 0.1, "y": 0.05, "z": 0.0}
    rows = [
        effect("next", gain, subject=name, other="one more seed", reason="assumes that") for name, gain in gains.items()
    ]
    rows = [row | {"base": "b1", "panel": grid_units[0].panel} for row in rows]
    rows += [
        effect("after", 3.0, subject="now", other="error"),
        effect("after", 2.0, subject="300 more items", other="error"),
    ]
    found = conclusions.proposals(grid_units, rows)
    assert found[0]["text"].startswith("One more training seed of u on b1 (0.40), w on b1 (0.20) and x on b1 (0.10)")
    assert found[0]["text"].endswith(" It assumes that.")
    assert found[0]["include"][0] == {"base": "b1", "corpus": "pool__u", "recipe": "sft", "seed": 2}
    assert found[1]["text"].endswith("the standard error of a difference: pooled from 3.0 to 2.0 points.")
    nothing = [row | {"value": 0.001} for row in rows if row["effect"] == "next"]
    assert conclusions.proposals(grid_units, nothing) == []
