"""A student's folder: a finished training is not repeated, and student.json says what was made."""

import json
import os
import stat

import pytest
from teachergrid.cost import weight_files
from teachergrid.errors import BadInput
from teachergrid.hub import folders
from teachergrid.store import origin
from teachergrid.store.contents import Contents
from teachergrid.training import launch, students
from teachergrid.training.training import Trained, Training
from trainings import CHAT, ROWS, recipe, tiny_model

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


# --- the weights are those of student.json, or they are not loaded


@pytest.fixture
def student(tmp_path, monkeypatch):
    """A described student with weights in two shards and an adapter; its path below the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEACHERGRID_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "results/students/q__pool__a__sft__s1/student.json"
    (path.parent / "weights/adapter").mkdir(parents=True)
    (tmp_path / "base").mkdir()
    (tmp_path / "base/model.safetensors").write_text("base")
    for name in ("model-1.safetensors", "model-2.safetensors", "adapter/adapter_model.safetensors"):
        (path.parent / "weights" / name).write_text(name)
    made_from = MADE_FROM | {"folders": {"base": folders.digest("base", Contents("base"))}}
    students.write_description(path, path.parent.name, {"steps": 1}, made_from)
    return path.relative_to(tmp_path)


def test_the_weights_that_were_made_are_loaded(student):
    assert students.existing_weights(str(student), 1) == student.parent / "weights"
    (student.parent / "weights/tokenizer.json").write_text("no weights")
    (student.parent.parents[2] / "base/model.safetensors").write_text("other")
    assert students.existing_weights(str(student), 1), "its base is no part of a whole student"
    (student.parent / "weights/adapter/adapter_model.safetensors").write_text("other")
    assert students.existing_weights(str(student), 1), "nor is its adapter loaded"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda weights: (weights / "model-2.safetensors").write_text("x"),
            r"model-2\.safetensors has sha256:\w{12}, and",
        ),
        (lambda weights: (weights / "model-2.safetensors").unlink(), r"model-2\.safetensors is missing"),
        (lambda weights: (weights / "model.safetensors").write_text("x"), r"model\.safetensors is one too many"),
        (lambda weights: (weights / "pytorch_model.bin").write_text("x"), r"pytorch_model\.bin is one too many"),
    ],
)
def test_other_weights_are_not_loaded(student, change, says):
    change(student.parent / "weights")
    remedy = r"put the right file back, or train .*: teachergrid run --force results/students/q__pool__a__sft__s1/student\.json"
    with pytest.raises(BadInput, match=rf"q__pool__a__sft__s1/weights: {says}.*student\.json; {remedy}"):
        students.existing_weights(str(student), 1)


def test_weights_with_the_same_size_and_time_are_read_again(student):
    weights = student.parent / "weights/model-1.safetensors"
    before = weights.stat()
    students.existing_weights(str(student), 1)
    weights.write_text("MODEL-1.safetensors")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(BadInput, match=r"model-1\.safetensors has"):
        students.existing_weights(str(student), 1)


def test_an_adapter_belongs_to_its_base(student, tmp_path):
    weight_files.release(student, "adapter")
    assert students.existing_weights(str(student), 1)
    (tmp_path / "base/model.safetensors").write_text("another base")
    with pytest.raises(
        BadInput, match=r"the base to which the adapter belongs: base has sha256:\w+, and sha256:\w+ is"
    ):
        students.existing_weights(str(student), 1)
    (student.parent / "weights/adapter/adapter_model.safetensors").write_text("x")
    with pytest.raises(BadInput, match=r"adapter/adapter_model\.safetensors has"):
        students.existing_weights(str(student), 1)
    # as older versions wrote it
    described = json.loads(student.read_text())
    del described["adapter"], described["origin"]["folders"]
    student.write_text(json.dumps(described))
    assert students.existing_weights(str(student), 1)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weights": 1, "origin": {}}', '{"weights": {}, "origin": []}'])
def test_a_student_that_describes_nothing_is_not_loaded(student, text):
    student.write_text(text)
    with pytest.raises(
        BadInput, match=r"student\.json: does not describe the student's weights .* teachergrid run --force"
    ):
        students.existing_weights(str(student), 1)


@pytest.mark.parametrize("denied", ["weights", "weights/model-1.safetensors"])
def test_permission_denied_is_said(student, monkeypatch, denied):
    """As for a colleague whose umask was 077; the tests may run as root, who may read all."""

    def refusing(original):
        def call(path, *args):
            if str(path) == str(student.parent / denied):
                raise PermissionError(13, "Permission denied", str(path))
            return original(path, *args)

        return call

    monkeypatch.setattr(os, "listdir", refusing(os.listdir))
    monkeypatch.setattr("builtins.open", refusing(open))
    with pytest.raises(BadInput, match=rf"{denied}: permission denied; ask its owner .*chmod -R g\+rX.*umask 002"):
        students.existing_weights(str(student), 1)


# --- what colleagues may read


@pytest.mark.slow
@pytest.mark.parametrize(("mask", "file_mode", "folder_mode"), [(0o002, 0o664, 0o775), (0o022, 0o644, 0o755)])
def test_all_of_a_student_and_its_checkpoints_have_the_mode_of_the_umask(
    tmp_path, monkeypatch, mask, file_mode, folder_mode
):
    """Of a real training: safetensors writes weights for their owner alone, whatever the umask."""
    monkeypatch.setattr("teachergrid.training.checkpoints.CHECKPOINT_SECONDS", 0)
    model, work = tiny_model(tmp_path / "base"), tmp_path / "work"
    lora = {"r": 4, "lora_alpha": 8, "lora_dropout": 0, "target_modules": "all-linear"}
    path = tmp_path / "results/students/q__pool__a__sft__s1/student.json"
    before = os.umask(mask)
    try:
        work.mkdir()
        training = Training(ROWS[:4], CHAT, model, recipe(lora=lora), 1, work)
        facts = students.train_student(path.parent, training, launch.Team(1, 1), "sft", MADE_FROM)
        students.write_description(path, path.parent.name, facts, MADE_FROM)
    finally:
        os.umask(before)
    made = [file for folder in (work, path.parent) for file in (folder, *folder.rglob("*"))]
    names = {file.name for file in made}
    assert names >= {
        "model.safetensors",
        "adapter_model.safetensors",
        "tokenizer.json",
        "trainer_state.json",
        "optimizer.pt",
    }
    wrong = {
        str(file.relative_to(tmp_path)): oct(stat.S_IMODE(file.stat().st_mode))
        for file in made
        if stat.S_IMODE(file.stat().st_mode) != (folder_mode if file.is_dir() else file_mode)
    }
    assert wrong == {}
