"""Scores of a base's models for every measure: gaps, gates, weights, named values."""

import numpy as np
import pytest
from teachergrid.analysis import scores
from teachergrid.store import artifacts


def table(values: dict[str, float | None], task="t", **measures) -> object:
    """values: {id: score}. measures: {name: {id: value}}."""
    rows = []
    for id, value in values.items():
        named = [{"measure": name, "value": of[id]} for name, of in measures.items() if id in of]
        rows.append({"task": task, "id": id, "sample": 0, "score": value, "measures": named or None})
    return artifacts.table(rows, artifacts.SCORES)


def found(tables: dict, performance=("s/j",), weights=None) -> dict:
    settings = {"suites": {"s": ["j"]}, "grid": {"performance": list(performance), "weights": weights or {}}}
    return scores.measures(settings, [*tables], {(model, "s", "j"): one for model, one in tables.items()})


IDS = [str(i) for i in range(20)]
EVEN = {id: float(int(id) % 2 == 0) for id in IDS}


def test_an_item_is_missing_for_one_model_alone():
    gap = EVEN | {"0": None}
    by = found({"whole": table(EVEN), "gap": table(gap)})["s/j"]
    assert len(by.items) == 20 and by.values["whole"].tolist() == [EVEN[id] for _, _, id in by.items]
    row = by.values["gap"]
    assert row.mean() == pytest.approx(9 / 19)
    # its standard error is that of 19 items
    own = np.array([value for value in gap.values() if value is not None])
    assert np.sqrt(((row - row.mean()) ** 2).sum()) / 20 == pytest.approx(np.sqrt(((own - own.mean()) ** 2).sum()) / 19)


def test_a_model_with_too_few_items_has_bounds():
    few = {id: None if int(id) < 3 else value for id, value in EVEN.items()}
    by = found({"whole": table(EVEN), "few": table(few)})["s/j"]
    assert [*by.values] == ["whole"]
    assert by.reasons == {"few": "17 of 20 items have a score in s/j, so its value lies between 40.0 and 55.0"}
    assert by.bounds["few"] == pytest.approx((40, 55))


def test_each_measure_has_its_own_gate():
    """A model without one of two tasks has a value for the other one."""
    one = table(EVEN, "a")
    both = artifacts.table([*one.to_pylist(), *table(EVEN, "b").to_pylist()], artifacts.SCORES)
    by = found({"both": both, "one": one})
    assert [*by["s/j"].values] == ["both"] and {*by["s/j/a"].values} == {"both", "one"}
    assert by["s/j/b"].reasons["one"].startswith("0 of 20 items have a score in s/j/b")


def test_named_values_are_measures_of_their_own():
    by = found({"m": table(EVEN, loose={id: 2.0 for id in IDS})}, ["s/j/t", "s/j/t:loose"], {"s/j/t:loose": 3})
    assert by["s/j/t:loose"].values["m"].mean() == 2
    assert by["AP"].values["m"].mean() == pytest.approx((0.5 + 3 * 2) / 4)
    assert by["AP"].reasons == {}


def test_files_of_before_have_no_named_values(tmp_path):
    import pyarrow.parquet as pq

    pq.write_table(table(EVEN).drop(["measures"]), tmp_path / "old.parquet")
    by = found({"m": tmp_path / "old.parquet"})
    assert {*by} == {"AP", "s/j", "s/j/t"} and by["AP"].values["m"].mean() == 0.5


def test_several_answers_an_item_tell_how_much_noise_drawing_them_makes():
    """Of 2 items with answers (1, 0) and (1, 1): the first item's mean has variance 1/2 / 2, and the mean over items a quarter of it."""
    rows = [
        {"task": "t", "id": id, "sample": i, "score": score}
        for id, both in (("a", (1.0, 0.0)), ("b", (1.0, 1.0)))
        for i, score in enumerate(both)
    ]
    by = found({"m": artifacts.table(rows, artifacts.SCORES), "one": table({"a": 1.0, "b": 0.0})})
    assert by["s/j"].values["m"].tolist() == [0.5, 1.0]
    assert by["s/j"].drawn == {"m": pytest.approx((0.25 / 4) ** 0.5)}, "one answer an item tells nothing"
    assert by["AP"].drawn == by["s/j/t"].drawn == by["s/j"].drawn
