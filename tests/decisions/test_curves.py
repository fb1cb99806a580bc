"""Students of few rows beside those of all: curves, extrapolation, and whether the pilot's winner is the winner."""

import numpy as np
import pytest
from known_grid import CHOICE
from teachergrid.analysis.performance import Unit
from teachergrid.decisions import curves
from teachergrid.store import artifacts

TEACHERS = "uvwx"
# right answers of 100: {rows of the corpus: those of each teacher}; on all rows x is the best
RIGHT = {30: (40, 42, 44, 38), 150: (45, 48, 50, 55), 600: (50, 54, 56, 72)}


def world(right=RIGHT):
    """Return (settings, units, items, students) of one base whose teachers' students have so many of 100 items right."""
    corpora, units, items, students = {}, [], {}, {}
    for rows, numbers in right.items():
        for teacher, number in zip(TEACHERS, numbers, strict=True):
            whole = rows == max(right)
            corpus = f"pool__{teacher}" if whole else f"{teacher}-{rows}"
            if not whole:
                corpora[corpus] = {
                    "instructions": "pool",
                    "teachers": [teacher],
                    **CHOICE,
                    "choose": "random",
                    "rows": rows,
                }
            unit = Unit(
                "b",
                corpus,
                "pool",
                teacher if whole else None,
                "sft",
                teacher if whole else corpus,
                "pool, sft",
                False,
                None,
                {1: corpus},
            )
            units.append(unit)
            items[unit.key] = (np.arange(100) < number).astype(float)[None]
            students[corpus] = {"examples": rows}
    settings = {"grid": {"bootstrap": 1000, "seed": 5}, "corpora": corpora}
    return settings, units, items, students


def rows(made):
    found = curves.curve_rows(*made)
    artifacts.table([{"panel": "p", **row} for row in found], artifacts.EFFECTS)
    return found


def of(found, effect):
    return [row for row in found if row["effect"] == effect]


@pytest.fixture(scope="module")
def found():
    return rows(world())


def test_a_curve_has_a_point_for_each_number_of_rows(found):
    points = {(row["subject"], row["other"]): (row["value"], row["n"]) for row in of(found, "curve")}
    assert (
        len(points) == 12
        and points["x", "rows 30"] == (pytest.approx(38), 30)
        and points["x", "all rows"] == (pytest.approx(72), 600)
    )


def test_extrapolation_goes_on_along_the_logarithm_of_rows(found):
    """From 30 to 150 rows is a factor of 5, from there to 600 one of 4."""
    reach = np.log(4) / np.log(5)
    promised = {row["subject"]: row for row in of(found, "extrapolated")}
    assert promised["x"]["value"] == pytest.approx(55 + reach * 17) and promised["u"]["value"] == pytest.approx(
        45 + reach * 5
    )
    assert promised["x"]["low"] < 55 + reach * 17 < promised["x"]["high"]


def test_the_winner_of_a_pilot_need_not_be_the_winner(found):
    rho = {row["subject"]: row["value"] for row in of(found, "train_rho")}
    # 30 rows: ranks 2 3 4 1 against 1 2 3 4; 150 rows: the same order
    assert rho == {"rows 30": pytest.approx(1 - 6 * (1 + 1 + 1 + 9) / 60), "rows 150": pytest.approx(1)}
    lost = {(row["subject"], row["smaller"]): row for row in of(found, "train_lost")}
    assert lost["rows 30", "1"]["other"] == lost["rows 30", "3"]["other"] == "w"
    assert 10 < lost["rows 30", "1"]["value"] < 17 and lost["rows 150", "1"]["value"] < 0.2


def test_successive_halving(found):
    (row,) = of(found, "halving")
    assert (row["subject"], row["other"]) == ("4 on rows 30, 2 on rows 150, 1 on all rows", "w")
    assert float(row["larger"]) == pytest.approx((4 * 30 + 2 * 150 + 600) / (4 * 600), abs=0.005)


def test_several_draws_are_one_unit():
    settings, units, items, students = world()
    first = next(unit for unit in units if unit.corpus == "x-30")
    settings["corpora"]["x-30-2"] = settings["corpora"]["x-30"]
    second = first._replace(corpus="x-30-2", unit="x-30-2")
    items[second.key] = np.ones((1, 100))
    found = rows((settings, [*units, second], items, students))
    assert next(
        r["value"] for r in of(found, "curve") if (r["subject"], r["other"]) == ("x", "rows 30")
    ) == pytest.approx(69)


def test_further_seeds_of_a_draw_are_no_further_draws():
    """What a draw of rows is worth is not known better once each draw is trained again."""

    def interval(seeds):
        settings, units, items, students = world()
        first = next(unit for unit in units if unit.corpus == "x-30")
        for number, right in enumerate((20, 40, 60)):
            name = f"x-30-{number}"
            settings["corpora"][name] = settings["corpora"]["x-30"]
            draw = first._replace(corpus=name, unit=name)
            items[draw.key] = np.array([(np.arange(100) < right).astype(float)] * seeds)
            units.append(draw)
        units.remove(first)
        found = of(rows((settings, units, items, students)), "curve")
        row = next(row for row in found if (row["subject"], row["other"]) == ("x", "rows 30"))
        return row["value"], row["low"], row["high"]

    assert interval(3) == pytest.approx(interval(1))


def test_where_there_is_no_pilot_there_are_no_rows():
    settings, units, items, students = world()
    whole = [unit for unit in units if unit.teacher]
    assert rows((settings, whole, items, students)) == []
    # rows above a threshold are no pilot, nor are those chosen by a metric, nor fewer than three teachers
    for corpus in settings["corpora"].values():
        corpus["least"] = {"obeys": 0.5}
    assert rows((settings, units, items, students)) == []
    settings, units, items, students = world()
    for corpus in settings["corpora"].values():
        corpus["choose"] = "best"
    assert rows((settings, units, items, students)) == []
    settings, units, items, students = world()
    assert (
        rows(
            (
                settings,
                [unit for unit in units if unit.corpus[-1] not in "uv" and unit.corpus[0] not in "uv"],
                items,
                students,
            )
        )
        == []
    )


def test_one_pilot_promises_nothing():
    found = rows(world({30: RIGHT[30], 600: RIGHT[600]}))
    assert of(found, "extrapolated") == [] and len(of(found, "train_rho")) == 1
    assert of(found, "halving")[0]["subject"] == "4 on rows 30, 2 on all rows"
