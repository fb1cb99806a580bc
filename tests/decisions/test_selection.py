"""Students of selected rows against those of random and of all rows, and the rows that selections have in common."""

import numpy as np
import pytest
from known_grid import CHOICE, World
from teachergrid.analysis.performance import Unit
from teachergrid.decisions import selection
from teachergrid.store import artifacts

ENTRY = {"instructions": "pool", "teachers": ["x"], **CHOICE, "share": 0.25}
CORPORA = {
    "top": {**ENTRY, "by": "ifd"},
    "controlled": {**ENTRY, "by": "ifd", "each": ["length"]},
    "half": {**ENTRY, "by": "ifd", "share": 0.5},
    "lot-1": {**ENTRY, "choose": "random"},
    "lot-2": {**ENTRY, "choose": "random"},
    "lot-3": {**ENTRY, "choose": "random"},
}
SETTINGS = {"grid": {"bootstrap": 2000, "seed": 5}, "corpora": CORPORA}


def unit(corpus, base="b1", gated=None):
    return Unit(base, corpus, "pool", None, "sft", corpus, "pool, sft", False, gated, {1: "s", 2: "t"})


def scores(right, seeds=2):
    """Return [seeds, items]: so many of 100 items right, in each seed other ones."""
    items = np.arange(100)
    return np.array([np.roll(items < right, 7 * seed) for seed in range(seeds)], float)


WHOLE = unit("pool__x")
UNITS = [WHOLE, *map(unit, CORPORA)]
ITEMS = dict(zip([one.key for one in UNITS], map(scores, (60, 70, 55, 50, 40, 42, 38)), strict=True))


def found(units=UNITS, items=ITEMS, settings=SETTINGS):
    rows = selection.selections(settings, units, items)
    artifacts.table(rows, artifacts.EFFECTS)
    return {(row["effect"], row["larger"]): row for row in rows}


def test_differences_by_hand():
    rows = found()
    assert {key: row["value"] for key, row in rows.items()} == pytest.approx(
        {
            # 40, 42 and 38 of 100 by chance
            ("against_random", "top"): 30,
            ("against_random", "controlled"): 15,
            ("against_all", "top"): 10,
            ("against_all", "controlled"): -5,
            # no random half was trained
            ("against_all", "half"): -10,
            ("against_all", "lot-1"): -20,
            ("against_all", "lot-2"): -18,
            ("against_all", "lot-3"): -22,
        }
    )
    top = rows["against_random", "top"]
    assert top["smaller"] == "lot-1, lot-2, lot-3" and top["n"] == 100
    assert top["low"] < 30 < top["high"] and top["low"] > 0 and top["p"] <= top["p_holm"] < 0.05


def test_draws_that_differ_widen_the_interval():
    """The draw of random rows is noise: three draws far apart say less than three alike."""

    def width(draws):
        items = ITEMS | {unit(f"lot-{i}").key: scores(right) for i, right in enumerate(draws, 1)}
        row = found(items=items)["against_random", "top"]
        assert row["value"] == pytest.approx(30)
        return row["high"] - row["low"]

    assert width((20, 40, 60)) > 1.3 * width((40, 40, 40))


def test_what_was_not_trained_or_is_gated_is_left_out():
    units = [WHOLE, unit("top"), unit("lot-1", gated="gated: empty"), unit("lot-2")]
    rows = found(units, {unit("top").key: scores(70), unit("lot-1").key: scores(10)})
    assert rows == {}


def test_another_set_or_teacher_is_no_comparison():
    corpora = CORPORA | {"lot-1": {**CORPORA["lot-1"], "teachers": ["y"]}, "lot-2": {**CORPORA["lot-2"], "share": 0.1}}
    rows = found(settings=SETTINGS | {"corpora": corpora})
    assert rows["against_random", "top"]["smaller"] == "lot-3"


def test_random_rows_above_a_threshold_are_compared_with_what_has_the_same():
    corpora = CORPORA | {"lot-1": {**CORPORA["lot-1"], "least": {"obeys": 0.5}}}
    corpora["obeys"] = {**CORPORA["top"], "least": {"obeys": 0.5}}
    units, items = [*UNITS, unit("obeys")], ITEMS | {unit("obeys").key: scores(90)}
    rows = found(units, items, SETTINGS | {"corpora": corpora})
    assert rows["against_random", "top"]["smaller"] == "lot-2, lot-3"
    assert rows["against_random", "obeys"]["smaller"] == "lot-1"


def chosen(*ids):
    return artifacts.table([{"id": id, "teacher": "x", "sample": 0} for id in ids], artifacts.CORPUS_ROWS)


def test_rows_in_common():
    units = [unit("top"), unit("lot-1"), unit("top", "b2"), unit("lot-1", "b2")]
    files = {
        ("top", "b1"): chosen("p", "q"),
        ("top", "b2"): chosen("q", "r"),
        ("lot-1", "any"): chosen("p", "q", "r", "s"),
    }
    rows = selection.overlaps(SETTINGS, units, files)
    artifacts.table(rows, artifacts.EFFECTS)
    assert [(row["effect"], row["base"], row["smaller"], row["larger"], row["value"], row["n"]) for row in rows] == [
        ("overlap", "b1", "top", "lot-1", 1.0, 2),
        ("overlap", "b2", "top", "lot-1", 1.0, 2),
        ("scorers", "pooled", "b1", "b2", 0.5, 2),
    ]
    assert rows[-1]["family"] == "top"


def test_a_grid_with_selections_has_them_in_its_effects():
    world = World()
    world.settings["corpora"] = CORPORA
    for corpus in ("top", "lot-1"):
        for seed in (0, 1):
            name = f"b1__{corpus}__sft__s{seed}"
            student = world.settings["students"][0]
            world.settings["students"].append(
                {
                    **student,
                    "student": name,
                    "corpus": corpus,
                    "instructions": None,
                    "teacher": None,
                    "seed": seed,
                    "self_pair": False,
                }
            )
            world.scores[name, "test", "verify"] = world.scores["b1__pool__y__sft__s0", "test", "verify"]
    effects = {(row["effect"], row.get("larger")): row for row in world.summary().effects}
    # y's students have 12 of 20 right, x's 16 and 14
    assert effects["against_random", "top"]["value"] == 0
    assert effects["against_all", "top"]["value"] == pytest.approx(60 - 75)


def test_pairs_that_the_grid_states():
    """The first minus the second, for each base and panel where both have students."""
    settings = {"grid": {**SETTINGS["grid"], "pairs": [["top", "half"], ["top", "nowhere"]]}, "corpora": {}}
    (row,) = selection.paired(settings, UNITS, ITEMS)
    artifacts.table([row], artifacts.EFFECTS)
    assert (row["effect"], row["larger"], row["smaller"], row["base"]) == ("pair", "top", "half", "b1")
    assert row["value"] == pytest.approx(20) and row["low"] < 20 < row["high"] and row["p"] == row["p_holm"] < 0.05
    assert selection.paired(SETTINGS, UNITS, ITEMS) == []
