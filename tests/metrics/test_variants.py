"""Names of metrics, and the variants of one entry."""

import pytest
from four_rows import PLAIN, four, measured
from tables import entry
from teachergrid.metrics.formulas import FORMULAS
from teachergrid.metrics.variants import Metric, variants

NAMES = [
    (entry("car_mean", reward="verify"), "car_mean/verify/chat/beta=1"),
    (entry("car_sum", reward="rm", beta=[0.5, 1], format="plain"), "car_sum/rm/plain/beta=0.5"),
    (
        entry("car_mean", reward="rm", offset=2, end_token=False, scorer="bs"),
        "car_mean/rm+offset=2/chat/beta=1/by=bs/no-end",
    ),
    (entry("reward_mean", reward="rm", offset=-1.5, scorer="bs"), "reward_mean/rm+offset=-1.5"),
    (entry("ppl", scorer="gpt2", reward="rm"), "ppl/chat/by=gpt2"),
    (entry("length", format="plain"), "length"),
    (entry("length", scorer="bs"), "length/by=bs"),
    (entry("distinct_2", scorer="bs"), "distinct_2"),
    (entry("borrowed"), "borrowed"),
    (entry("ppl", below=9.5, end_token=False), "ppl/chat/no-end/below=9.5"),
    (entry("reward_median", reward="rm", scorer="bs"), "reward_median/rm"),
]


@pytest.mark.parametrize(("chosen", "name"), NAMES)
def test_names(chosen, name):
    assert Metric(chosen).name == name
    assert Metric(chosen, 7).name == name.replace("beta=1", "beta=7").replace("beta=0.5", "beta=7")


def test_variants_of_one_entry():
    found = variants({"car": entry("car_mean", reward="rm", beta=[1, 3])})
    assert next(iter(found)) == "car_mean/rm/chat/beta=1"
    assert len(found) == 2 * 2 * 2 and [variant.own for variant in found.values()] == [True] + [False] * 7
    rows = measured({"car": entry("car_mean", reward="rm", beta=[1, 3])}, four(plain=PLAIN))
    assert list(rows) == list(found)
    assert rows["car_mean/rm/plain/beta=3/no-end"] | {"low": 0, "high": 0} == {
        "metric": "car_mean/rm/plain/beta=3/no-end",
        "variant_of": "car_mean/rm/beta",
        "entry": "car",
        "own": False,
        "formula": "car_mean",
        "description": FORMULAS["car_mean"].text,
        "value_unit": "reward",
        "direction": "highest",
        "reward": "rm",
        "scorer": "self",
        "format": "plain",
        "end_token": False,
        "beta": 3,
        "parameter": "beta",
        "parameter_value": 3,
        "value": pytest.approx(0.5 / (1 + 3 * 2.5)),
        "low": 0,
        "high": 0,
        "n": 4,
        "missing": 0,
        "cut": 0,
        "reason": None,
    }


def test_a_format_that_was_not_asked_for_has_no_rows_unless_it_is_the_entrys_own():
    assert set(measured({"nll": entry("nll_mean")})) == {"nll_mean/chat", "nll_mean/chat/no-end"}
    rows = measured({"nll": entry("nll_mean", format="plain")})
    assert rows["nll_mean/plain"]["reason"].endswith("format not asked for")


def test_a_shared_variant_belongs_to_the_entry_that_states_it():
    entries = {"chat": entry("nll_mean"), "plain": entry("nll_mean", format="plain"), "again": entry("nll_mean")}
    rows = measured(entries, four(plain=PLAIN))
    assert {name: row["entry"] for name, row in rows.items()} == {
        "nll_mean/chat": "chat",
        "nll_mean/plain": "plain",
        "nll_mean/chat/no-end": "chat",
        "nll_mean/plain/no-end": "chat",
    }
