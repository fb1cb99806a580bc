"""Rows of metrics: of single responses, by category, of a corpus there twice, of what is not there."""

import math

import numpy as np
import pytest
from four_rows import ALL, NOT_ASKED, REWARD, TEXT, four, measured, with_ranks
from tables import entry
from teachergrid.errors import BadInput
from teachergrid.metrics.formulas import FORMULAS
from teachergrid.metrics.measure import measure, per_response
from teachergrid.metrics.variants import Metric
from teachergrid.store import artifacts


def test_per_response():
    values, reasons = per_response(Metric(entry("car_mean", reward="rm")), four())
    assert values == pytest.approx([1 / 2, 0.5 / 3, 0.5 / 1.5, 0])
    assert reasons.tolist() == [""] * 4
    values, _ = per_response(Metric(entry("car_mean", reward="rm"), 2), four())
    assert values == pytest.approx([1 / 3, 0.5 / 5, 0.5 / 2, 0])
    values, _ = per_response(Metric(entry("ppl")), four())
    assert values == pytest.approx(np.exp([1, 2, 0.5, 0.5]))


def test_per_response_below_zero_is_undefined():
    values, reasons = per_response(Metric(entry("car_mean", reward="rm", offset=-0.75)), four())
    assert values[0] == pytest.approx(0.125) and np.isnan(values[1:]).all()
    assert reasons[3] == "reward below 0: CAR is undefined (state `offset`)"
    with pytest.raises(BadInput, match="distinct_2"):
        per_response(Metric(entry("distinct_2")), four())


NOTHING = [
    ("no rewards", {"reward": dict.fromkeys(TEXT, "prompt too long")}, "reward"),
    ("infinite rewards", {"reward": dict.fromkeys(TEXT, math.inf)}, "reward"),
    ("rewards that are NaN", {"reward": dict.fromkeys(TEXT, math.nan)}, "reward"),
    ("empty answers", {"text": dict.fromkeys(TEXT, ""), "chat": dict.fromkeys(TEXT, "empty answer")}, "likelihood"),
]


@pytest.mark.parametrize(("name", "tables", "without"), NOTHING)
def test_what_is_not_there_is_null_and_explained(name, tables, without):
    for row in measured(ALL, four(**{"chat": with_ranks(), **tables}), rounds=20).values():
        joins = Metric(ALL[row["formula"]]).needs
        if without in joins or (without == "likelihood" and FORMULAS[row["formula"]].text_function):
            assert (row["n"], row["missing"], row.get("value")) == (0, 4, None) and row["reason"], row
        elif row["formula"] != "length":
            assert row["value"] is not None and row["n"] == 4


def test_values_by_category():
    kinds = {"i1": "maths", "i2": "maths", "i3": "code", "i4": None}
    table = artifacts.table(
        [{"id": id, "messages": [], "source": "", "category": kind, "round": 0} for id, kind in kinds.items()],
        artifacts.INSTRUCTIONS,
    )
    entries = {
        "r": entry("reward_mean", reward="rm"),
        "nll": entry("nll_mean", format="chat"),
        "d": entry("distinct_2"),
    }
    rows = measure(entries, four(instructions=[table]), seed=0)
    artifacts.table(rows, artifacts.METRICS)
    found = {(row["metric"], row.get("category")): row for row in rows}
    assert found["reward_mean/rm", None]["value"] == 0.5
    assert found["reward_mean/rm", "maths"]["value"] == 0.75 and found["reward_mean/rm", "maths"]["n"] == 2
    assert found["reward_mean/rm", "code"]["reason"] == "no interval: one instruction"
    assert found["nll_mean/chat", "maths"]["value"] == 1.5
    # other variants than an entry's own, texts as a whole, and instructions without a category have none
    assert {category for metric, category in found if metric == "distinct_2"} == {None}
    assert {category for metric, category in found if metric == "nll_mean/chat/no-end"} == {None}
    assert {category for _, category in found} == {None, "maths", "code"}


def test_a_corpus_there_twice_has_the_same_means():
    def twice(table):
        return {**table, **{(id, 1): value for (id, _), value in table.items()}}

    once = measured(ALL, four(chat=with_ranks()))
    tables = twice(TEXT), twice(REWARD), twice(with_ranks()), twice(NOT_ASKED)
    doubled = measured(ALL, four(*tables))
    # LARK compares the responses to an instruction: of two equal ones, each has half
    comparing = {"lark/chat", "lark/chat/no-end"}
    for name in comparing:
        assert doubled[name]["value"] == pytest.approx(once[name]["value"] / 2, rel=1e-12)
    for name in set(once) - comparing - {name for name, formula in FORMULAS.items() if formula.text_function}:
        assert doubled[name]["value"] == pytest.approx(once[name]["value"], rel=1e-12)
        # the unit of the bootstrap is the instruction, so that a second sample of it adds no certainty
        assert (doubled[name]["low"], doubled[name]["high"]) == pytest.approx((once[name]["low"], once[name]["high"]))
        assert doubled[name]["n"] == 2 * once[name]["n"]
    # text as a whole takes what is there twice for repetition
    for n in (1, 2, 3, 4):
        assert doubled[f"distinct_{n}"]["value"] == once[f"distinct_{n}"]["value"] / 2
    # each of the three rows with a pair of words meets itself, and four times each other's pairs
    similarity = (3 + 4 * 2 / math.sqrt(10)) / 15
    assert doubled["self_similarity"]["value"] == pytest.approx(similarity, rel=1e-12)
    assert doubled["compression"]["value"] < once["compression"]["value"]
