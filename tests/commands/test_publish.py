"""`teachergrid publish`: what is shown, written and sent of a student."""

import json

import pytest
import student_results
from student_results import STUDENT, TERMS
from teachergrid.__main__ import call
from teachergrid.cost import weight_files
from teachergrid.hub import upload

WHOLE = {"chat_template.jinja", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}
WHOLE |= {"tokenizer_config.json", "README.md"}


@pytest.fixture
def student(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return student_results.make(tmp_path)


@pytest.fixture
def sent(monkeypatch):
    """The folders that were sent: (repository, {file: text}, token, private)."""
    calls = []

    def push(folder, repo, secret, private):
        # a process that is killed here leaves no second copy of the weights
        assert (folder / "model.safetensors").is_symlink() and (folder / "model.safetensors").stat().st_size
        calls.append((repo, {path.name for path in folder.iterdir()}, secret, private))
        return "https://hub/commit"

    monkeypatch.setattr(upload, "push", push)
    return calls


def test_nothing_is_written_or_sent_unless_it_is_asked_for(student, sent, tmp_path, capsys):
    before = sorted(tmp_path.rglob("*"))
    for more in ([], ["--push", "me/x", "--dry-run"], ["--to", "out", "--dry-run"]):
        assert call(["publish", STUDENT, *more]) == 0
    said = capsys.readouterr().out
    assert "## Made from" in said and "model.safetensors" in said and "7 files" in said
    assert sent == [] and sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--to", "out", "--push", "me/x"], "--to, --push: one at a time"),
        (["--to", "out", "--public"], "--public: is about a repository"),
    ],
)
def test_options_that_contradict_each_other_are_refused(student, sent, tmp_path, capsys, more, said):
    assert call(["publish", STUDENT, *more]) == 2
    assert said in capsys.readouterr().err and sent == [] and not (tmp_path / "out").exists()


def test_a_folder_holds_the_whole_model_and_its_card(student, tmp_path, capsys):
    assert call(["publish", STUDENT, "--to", "out"]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == WHOLE
    assert (tmp_path / "out/README.md").read_text().startswith("---\nlibrary_name: transformers\n")
    assert call(["publish", STUDENT, "--to", "out"]) == 2
    assert "out: is there already; name a new folder" in capsys.readouterr().err


def test_of_a_student_that_kept_its_adapter_the_adapter_is_published(student, tmp_path):
    weight_files.release(student / "student.json", "adapter")
    assert call(["publish", STUDENT, "--to", "out"]) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "README.md"} <= names
    assert not names & {"config.json", "model.safetensors"}
    assert json.loads((tmp_path / "out/adapter_config.json").read_text())["base_model_name_or_path"] == "org/base"
    assert "library_name: peft" in (tmp_path / "out/README.md").read_text()


def test_a_student_is_sent_with_the_token_of_a_variable(student, sent, monkeypatch, capsys):
    assert call(["publish", STUDENT, "--push", "me/x", "--token", "MINE"]) == 2
    assert "MINE: no token" in capsys.readouterr().err
    monkeypatch.setenv("MINE", "hf_secret")
    assert call(["publish", STUDENT, "--push", "me/x", "--token", "MINE"]) == 0
    assert call(["publish", STUDENT, "--push", "me/x", "--token", "MINE", "--public"]) == 0
    assert sent == [("me/x", WHOLE, "hf_secret", True), ("me/x", WHOLE, "hf_secret", False)]
    assert "hf_secret" not in "".join(capsys.readouterr())


def test_without_terms_nothing_is_sent(student, sent, tmp_path, monkeypatch, capsys):
    student_results.make(tmp_path / "other", terms={**TERMS, "teacher_licence": None})
    monkeypatch.chdir(tmp_path / "other")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert call(["publish", STUDENT, "--push", "me/x"]) == 2
    assert "no config states the licence of the teacher; state `licence` and `output_terms`" in capsys.readouterr().err
    assert sent == []


def test_weights_that_are_gone_or_others_are_not_published(student, capsys):
    (student / "weights/model.safetensors").write_bytes(b"other")
    assert call(["publish", STUDENT]) == 2
    assert "model.safetensors has" in capsys.readouterr().err
    weight_files.release(student / "student.json", "none")
    assert call(["publish", STUDENT]) == 2
    assert "its weights were freed (`keep` in the recipe); train it again: teachergrid run" in capsys.readouterr().err
