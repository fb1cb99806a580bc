"""All tables of a grid at once: lineage, nothing at all, and files."""

import json
from types import SimpleNamespace

import pytest
import yaml
from known_grid import World, ap
from teachergrid.decisions import summary
from teachergrid.store import artifacts


@pytest.fixture(scope="module")
def whole():
    return World().summary()


def test_nothing_exists():
    world = World()
    world.scores, world.metrics, world.students = {}, {}, {}
    found = world.summary()
    assert found.recommendation["bases"]["b1"]["reason"] == "no student has a performance"
    assert ap(found, "b1", "x")["reason"] == "no scores in test/verify"
    assert len(found.recommendation["missing"]) == 12 + 4 + 6
    assert found.correlations == [] and found.lineage == []


def test_lineage(whole):
    row = whole.lineage[0]
    assert (row["student"], row["weights"], row["trained_tokens"]) == ("b1__pool__x__sft__s0", "sha256:1", 50)
    assert (row["base_licence"], row["teacher_licence"], row["output_terms"]) == ("apache-2.0", "apache-2.0", "free")
    world = World()
    world.students["b1__pool__x__sft__s0"] = {"weights": {"a": "sha256:1", "b": "sha256:2"}}
    both = world.summary().lineage[0]["weights"]
    assert both.startswith("sha256:") and len(both) == len("sha256:") + 64


def test_files_are_read_and_written_as_tables_are(tmp_path):
    world, origin = World(), {"rule": "correlate", "spec": "", "inputs": {}}
    scores = {tmp_path / "scores" / f"{'/'.join(cell)}.parquet": table for cell, table in world.scores.items()}
    metrics = {tmp_path / "metrics" / f"{'/'.join(cell)}.parquet": table for cell, table in world.metrics.items()}
    for path, table in scores.items():
        artifacts.write(path, table, artifacts.SCORES, None)
    for path, table in metrics.items():
        artifacts.write(path, table, artifacts.METRICS, None)
    students = [tmp_path / "students" / name / "student.json" for name in world.students]
    for path in students:
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(world.students[path.parent.name]))
    chosen = tmp_path / "corpora/top/b1.parquet"
    files = SimpleNamespace(
        students=map(str, students),
        verified=map(str, scores),
        judged=[],
        metrics=map(str, metrics),
        health=[],
        chosen=[str(chosen)],
    )
    results = summary.read_results(files)
    assert results.chosen == {("top", "b1"): str(chosen)}
    found, expected = summary.summarise(world.settings, results), world.summary()
    assert found == expected
    names = ("performance", "metrics", "correlations", "effects", "lineage")
    outputs = {name: str(tmp_path / f"{name}.parquet") for name in names}
    outputs["recommendation"] = str(tmp_path / "recommendation.yaml")
    summary.write(SimpleNamespace(**outputs), found, origin)
    assert artifacts.read(outputs["effects"], artifacts.EFFECTS).num_rows == len(found.effects)
    assert yaml.safe_load((tmp_path / "recommendation.yaml").read_text()) == found.recommendation
    assert json.loads((tmp_path / "recommendation.yaml.origin").read_text()) == origin


@pytest.mark.parametrize(
    ("notes", "expected"), [(["It grew.", "Not packed."], "It grew. Not packed."), ([], None), (None, None)]
)
def test_what_was_odd_about_a_training_stands_in_the_lineage(notes, expected):
    world = World()
    for student in world.students.values():
        student |= {} if notes is None else {"notes": notes}
    assert {row["notes"] for row in world.summary().lineage} == {expected}
