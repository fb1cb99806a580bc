"""A student's folder: a finished training is not repeated, and student.json says what was made."""

import json

import pytest
from teachergrid.errors import BadInput
from teachergrid.store import origin
from teachergrid.training import launch, students
from teachergrid.training.training import Trained, Training

MADE_FROM = {"rule": "finetune", "spec": "{}", "inputs": {}}


@pytest.fixture
def trainings(tmp_path, monkeypatch) -> list:
    """Trainings that make weights at once; the list grows with each."""
    done = []

    def train(training, team, recipe):
        done.append(recipe)
        final = tmp_path / "work/final"
        final.mkdir(parents=True)
        (final / "model.safetensors").write_text("weights")
        return Trained(final, {"steps": len(done)}, [])

    monkeypatch.setattr(launch, "train", train)
    monkeypatch.chdir(tmp_path)
    return done


def train(folder, made_from=MADE_FROM) -> dict:
    training = Training([], {}, {}, {}, 1, folder)
    return students.train_student(folder, training, launch.Team(1, 1), "sft", made_from)


def test_a_training_that_was_finished_is_not_repeated(tmp_path, trainings):
    folder = tmp_path / "q__pool__a__sft__s1"
    assert train(folder) == train(folder) == {"steps": 1} and trainings == ["sft"]
    assert train(folder, {**MADE_FROM, "spec": '{"other": 1}'}) == {"steps": 2}, (
        "weights of other settings do not count"
    )


def test_the_description_ends_the_training(tmp_path, trainings):
    path = tmp_path / "q__pool__a__sft__s1/student.json"
    facts = train(path.parent)
    students.write_description(path, path.parent.name, facts, MADE_FROM)
    said = json.loads(path.read_text())
    assert (said["base"], said["corpus"], said["seed"], said["steps"]) == ("q", "pool__a", 1, 1)
    assert said["weights"] == {"model.safetensors": origin.sha256(path.parent / "weights/model.safetensors")}
    assert students.existing_weights(str(path), 1) == path.parent / "weights"
    assert train(path.parent) == {"steps": 2}, "one that is asked for again is run again"


def test_weights_that_were_freed_are_missed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=r"teachergrid run --force results/students/q__pool__a__sft__s1/student\.json"):
        students.existing_weights("results/students/q__pool__a__sft__s1/student.json", 1)
