"""The held-out loss of reference answers, as training computes it."""

import math
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from generations import CHAT, MODEL, tiny_models
from rated_rows import instruction_set
from teachergrid.evaluation import losses
from teachergrid.models import chat, loading
from teachergrid.spec import schema
from teachergrid.store import artifacts


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    return tiny_models(tmp_path_factory.mktemp("models"))


def own_losses(repo: Path, work: Path, items: dict[str, pa.Table], **options) -> pa.Table:
    likelihood = schema.filled({"formats": ["chat"], "tokens": False, **options}, schema.definition("likelihood"))
    settings = {"model": MODEL | {"repo": str(repo)}, "scorer": CHAT, "likelihood": likelihood}
    return losses.score(items, settings, work, options.get("weights"))


def by_hand(repo: Path, question: str, answer: str) -> tuple[float, int]:
    """Return the sum of the losses of an answer with its end, and the number of their tokens."""
    entry = MODEL | {"repo": str(repo)}
    tokenizer, model = loading.load_tokenizer(entry, CHAT), loading.load_model(entry)
    prompt, (lead, ids, end) = chat.answer(tokenizer, [{"role": "user", "content": question}], answer, CHAT)
    whole = torch.tensor([prompt.ids + lead + ids + end])
    n = len(ids) + len(end)
    with torch.inference_mode():
        logits = model(whole).logits[0, -n - 1 : -1]
    return float(torch.nn.functional.cross_entropy(logits, whole[0, -n:], reduction="sum")), n


def test_a_held_out_loss_is_that_of_training(folders, tmp_path):
    texts = {"held": {"red": "apple bear", "list of colour": "the sum of words is 7."}, "more": {"sort": "story"}}
    items = {
        task: instruction_set(**{f"q{i}": text for i, text in enumerate(of.values())}) for task, of in texts.items()
    }
    questions = {task: [row["messages"][0]["content"] for row in table.to_pylist()] for task, table in items.items()}
    table = own_losses(folders["llama"], tmp_path / "a", items)
    assert table.schema.equals(artifacts.SCORES) and table["task"].to_pylist() == ["held", "held", "more"]
    rows = table.to_pylist()
    found = [
        by_hand(folders["llama"], question, text)
        for task, of in texts.items()
        for question, text in zip(questions[task], of.values(), strict=True)
    ]
    for row, (total, n) in zip(rows, found, strict=True):
        assert row["score"] == pytest.approx(math.exp(-total / n), rel=1e-4) and row["reason"] is None
    # the mean of the values is that of all tokens of the task, whatever the lengths of its answers are
    held = [row["measures"][0]["value"] for row in rows[:2]]
    assert [row["measures"][0]["measure"] for row in rows] == ["log_probability"] * 3
    assert sum(held) / 2 == pytest.approx(-(found[0][0] + found[1][0]) / (found[0][1] + found[1][1]), rel=1e-4)
    # a student is its base's entry with weights of its own
    student = losses.score(
        items,
        {
            "model": MODEL | {"repo": str(folders["qwen2"])},
            "scorer": CHAT,
            "likelihood": schema.filled({"formats": ["chat"]}, schema.definition("likelihood")),
        },
        tmp_path / "b",
        folders["llama"],
    )
    assert student["score"].to_pylist() == table["score"].to_pylist()


def test_a_reference_answer_that_is_cut_is_marked_and_told(folders, tmp_path, capsys):
    items = {"held": instruction_set(q0="apple", q1="the sum of words is 7. " * 20)}
    rows = own_losses(folders["llama"], tmp_path, items, max_length=60).to_pylist()
    assert [row["verdict"] for row in rows] == [None, losses.CUT] and rows[1]["score"] > 0
    assert "held: 1 of 2 reference answers are longer than likelihood.max_length and cut" in capsys.readouterr().out


def test_copies_of_a_student_side_by_side_give_what_one_gives(folders, tmp_path, monkeypatch):
    """Each is loaded with the student's weights, in the number format of its model."""
    items = {"held": instruction_set(**{f"q{i}": text for i, text in enumerate(("apple", "the sum", "a story"))})}
    one = own_losses(folders["llama"], tmp_path / "one", items, shard=1)
    monkeypatch.setattr(loading, "devices_of_copies", lambda *_: ["cpu", "cpu"])
    options = schema.filled({"formats": ["chat"], "shard": 1}, schema.definition("likelihood"))
    settings = {"model": MODEL | {"repo": str(folders["qwen2"])}, "scorer": CHAT, "likelihood": options}
    two = losses.score(items, settings, tmp_path / "two", folders["llama"])
    assert two["score"].to_pylist() == one["score"].to_pylist()


def test_an_item_without_an_answer_and_a_model_that_is_a_file_have_no_loss(folders, tmp_path):
    items = {"held": instruction_set(q0="apple", q1=None)}
    rows = own_losses(folders["llama"], tmp_path, items).to_pylist()
    assert rows[0]["score"] is not None and rows[0]["measures"]
    assert (rows[1]["score"], rows[1]["reason"], rows[1]["measures"]) == (None, "no reference answer", None)
    published = losses.score(items, None, tmp_path / "none")
    assert {*published["reason"].to_pylist()} == {"published answers have no model"}
