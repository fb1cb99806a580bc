"""Answers of bases and students to the prompts of tasks."""

import pytest
from generations import CHAT, DRAWN, GREEDY, MODEL, TEACHER, TEXTS, instructions, tiny_models
from teachergrid.errors import BadInput
from teachergrid.evaluation import answer
from teachergrid.models import loading
from teachergrid.responses import generate


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tiny_models(tmp_path_factory.mktemp("models"))


def test_answer_takes_base_and_student_alike(folders, tmp_path):
    items = {"sums": instructions(TEXTS[:2]), "words": instructions(TEXTS[1:])}
    tasks = {"sums": {"sampling": GREEDY}, "words": {"sampling": DRAWN | {"samples": 2}}}
    settings = {
        "chat": CHAT,
        "format": "chat",
        "tasks": tasks,
        "suite": {"engine": "transformers", "batch": 4, "shard": 3},
    }
    settings["model"] = MODEL | {"repo": str(folders["llama"])}
    table, _ = answer.answer(items, settings, tmp_path / "base")
    assert table["task"].to_pylist() == ["sums"] * 2 + ["words"] * 8
    assert table["category"].to_pylist() == ["c"] * 10
    # the teacher engine gives the same to the same model
    teacher = TEACHER | {"sampling": GREEDY}
    responses, *_ = generate.respond(
        items["sums"], {"teacher": teacher, "model": settings["model"]}, tmp_path / "teacher"
    )
    assert table["answer"].to_pylist()[:2] == responses["response"].to_pylist()
    assert set(responses["seed"].to_pylist()) == {None}
    # a student is its base's entry with weights of its own
    assert answer.answer(items, settings, tmp_path / "same", folders["llama"])[0] == table
    other, _ = answer.answer(items, settings, tmp_path / "student", folders["qwen2"])
    assert other["answer"] != table["answer"]
    plain, _ = answer.answer(items, settings | {"format": "plain"}, tmp_path / "plain")
    assert plain["prompt_tokens"][0].as_py() == len(
        loading.load_tokenizer(settings["model"], CHAT)("red\n")["input_ids"]
    )


def test_answer_names_the_folder_of_lost_weights(folders, tmp_path):
    settings = {
        "chat": CHAT,
        "format": "chat",
        "tasks": {"a": {"sampling": GREEDY}},
        "suite": {"engine": "transformers", "batch": 4, "shard": 3},
    }
    settings["model"] = MODEL | {"repo": str(folders["llama"])}
    with pytest.raises(BadInput, match="gone"):
        answer.answer({"a": instructions(TEXTS)}, settings, tmp_path, tmp_path / "gone")
