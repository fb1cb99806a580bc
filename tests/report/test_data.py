"""What a report knows of its grid: units, places and cells, with one form for all that is missing."""

import pytest
from teachergrid.report import data as report_data


def student(teacher: str, base: str = "b", **settings) -> dict:
    name = f"{base}__pool__{teacher}__sft__s0"
    return {"student": name, "base": base, "teacher": teacher, "corpus": f"pool__{teacher}", **settings}


def performance(teacher: str, base: str = "b", **columns) -> dict:
    return {"kind": "student", "measure": "AP", "base": base, "unit": teacher, "panel": "pool, sft", **columns}


SETTINGS = {
    "grid": {"compare": "teacher", "teachers": ["y", "x", "never trained"]},
    "students": [student("x"), student("y"), student("x", "c")],
    "references": [{"name": "b-untuned", "base": "b", "role": "untuned", "format": "plain"}],
    "teachers": {"x": {"family": "f"}, "y": {"family": None}},
}


def test_nothing_at_all_has_every_key_and_one_place_for_each_base():
    found = report_data.gather({})
    assert set(found.inputs) == set(report_data.Inputs.__annotations__)
    assert (found.compare, found.bases, found.units, found.panels) == ("teacher", [], [], [None])
    assert not found.only_measured
    assert set(found.cell("b", None, "x").values()) == {None}


def test_units_come_in_the_order_of_the_config_and_others_after_them():
    found = report_data.gather({"settings": SETTINGS, "performance": [performance("z"), performance("x", value=40.0)]})
    assert found.units == ["y", "x", "z"] and found.bases == ["b", "c"]
    assert report_data.places(found) == [("b", "pool, sft"), ("c", "pool, sft")]
    assert found.cell("b", "pool, sft", "x")["value"] == 40.0
    assert found.families == [report_data.NO_FAMILY, "f"] and found.stated_families == ["f"] and found.series("x") == 1
    assert [s["base"] for s in found.students("x")] == ["b", "c"] and found.corpora("x") == ["pool__x"]


def test_a_reference_without_a_base_is_one_of_each():
    references = [
        {"kind": "reference", "measure": "AP", "base": base, "model": model}
        for base, model in (("b", "b-untuned"), (None, "far-away"))
    ]
    found = report_data.gather({"settings": SETTINGS, "performance": references})
    assert [row["model"] for row in found.references["b"]] == ["b-untuned", "far-away"]
    assert [row["model"] for row in found.references["c"]] == ["far-away"]
    assert report_data.role_of("b-untuned", found)["format"] == "plain"
    assert report_data.role_of("far-away", found) == {"role": None, "format": None}


def test_a_panel_is_named_where_there_are_several():
    one = report_data.gather({"settings": SETTINGS, "performance": [performance("x")]})
    two = report_data.gather({"settings": SETTINGS, "performance": [performance("x"), performance("x", panel="long")]})
    assert report_data.place(one, "b", "pool, sft") == "b" and report_data.place(two, "b", "long") == "b, long"


def test_a_derived_corpus_goes_by_its_own_name():
    assert report_data.unit_of({"teacher": None, "corpus": "routed"}, "teacher") == "routed"
    assert report_data.unit_of(student("x", recipe="sft"), "recipe") == "sft"


def test_values_by_category_lie_apart():
    rows = [{"metric": "m", "category": category} for category in (None, "maths")]
    found = report_data.gather({"metrics": rows}).inputs
    assert [row["category"] for row in found["metrics"]] == [None]
    assert [row["category"] for row in found["by_category"]] == ["maths"]


@pytest.mark.parametrize(
    ("base", "teacher", "failures", "why"),
    [
        ("b", "x", [], "no result"),
        ("c", "y", [], report_data.NOT_IN_GRID),
        ("b", "x", [{"cell": "b__pool__x__sft__s0/test", "rule": "answer", "reason": "killed"}], "answer: killed"),
        ("b", "x", [{"cell": "pool__x", "rule": None, "reason": None}], "failed: no reason in its log"),
        ("b", "x", [{"cell": "b/pool__x", "rule": "metric", "reason": "r"}], "metric: r"),
        ("b", "x", [{"cell": "pool__x-large", "rule": "gate", "reason": "r"}, {"cell": None}], "no result"),
    ],
    ids=["no failure", "not in the grid", "its own job", "its corpus", "a metric of its corpus", "another teacher"],
)
def test_why_a_cell_is_missing(base, teacher, failures, why):
    found = report_data.gather({"settings": SETTINGS, "failures": failures})
    assert report_data.why_missing(found, base, teacher) == why


def test_a_grid_without_students_only_measures():
    measured = {**SETTINGS, "students": [student("x") | {"student": None}]}
    assert report_data.gather({"settings": measured}).only_measured
    assert not report_data.gather({"settings": SETTINGS}).only_measured


def test_rank_correlations_are_in_the_direction_that_the_metric_promises():
    """An IFD of high values and an NLL of low ones that keep their promise look alike."""
    row = {"metric": "nll", "direction": "lowest", "rho": -0.9, "low": -1.0, "high": -0.2, "tau_b": -0.7, "p": 0.01}
    row |= {"low_nested": -0.95, "high_nested": 0.1, "low_family": -0.9, "high_family": None, "regret_1": 0.5}
    (turned,) = report_data.parse({"correlations": [row]})["correlations"]
    assert [turned[key] for key in ("rho", "low", "high", "tau_b")] == [0.9, 0.2, 1.0, 0.7]
    assert [turned[key] for key in ("low_nested", "high_nested", "low_family", "high_family")] == [
        -0.1,
        0.95,
        None,
        0.9,
    ]
    assert turned["p"] == 0.01 and turned["regret_1"] == 0.5
    same = {**row, "direction": "highest"}
    (kept,) = report_data.parse({"correlations": [same]})["correlations"]
    assert {key: kept[key] for key in same} == same
