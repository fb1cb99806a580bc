"""Packed examples are read as if each stood alone: by the model, or because they are taken apart."""

import pytest
import tiny
import torch
from datasets import Dataset
from teachergrid.models import loading
from teachergrid.spec import schema
from teachergrid.training import packing, sft
from teachergrid.training.training import Training
from trainings import CHAT, LENGTHS, recipe
from trl import SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

# those of the second line are built from tokens and a mask, without position ids or bounds of examples
KEPT_APART = ["llama", "qwen2"]
READ_ACROSS = ["opt", "bloom", "mamba"]
SIZES = {
    "opt": {"ffn_dim": 128, "word_embed_proj_dim": 64, "dropout": 0.0},
    "bloom": {"n_layer": 2, "n_head": 2},
    "mamba": {"state_size": 8},
    "granitemoe": {"num_local_experts": 4, "num_experts_per_tok": 2},
}


def entry(folder, architecture: str, monkeypatch) -> dict:
    """Make a tiny model in a folder, and return it as an entry of the config's models."""
    from transformers import AutoConfig

    made = AutoConfig.for_model
    monkeypatch.setattr(AutoConfig, "for_model", lambda kind, **sizes: made(kind, **sizes | SIZES.get(kind, {})))
    path = str(tiny.make(folder, architecture))
    attention = "eager" if architecture in ("bloom", "mamba") else "sdpa"
    return schema.filled({"repo": path, "dtype": "float32", "attention": attention}, schema.definition("model"))


def collators(padding: int) -> packing.Batches:
    packed = DataCollatorForLanguageModeling(pad_token_id=padding, padding_free=True)
    return packing.Batches(packed, DataCollatorForLanguageModeling(pad_token_id=padding))


@pytest.mark.parametrize("architecture", KEPT_APART + READ_ACROSS)
def test_the_probe_finds_what_reads_across_examples(architecture, tmp_path, monkeypatch):
    model = loading.load_model(entry(tmp_path / "model", architecture, monkeypatch)).train()
    examples = [{"input_ids": list(range(4, 20))}, {"input_ids": list(range(40, 66))}]
    assert packing.crosses(model, collators(0), examples) == (architecture in READ_ACROSS)
    assert model.training, "as it was before"


def test_a_packed_row_is_taken_apart_with_all_its_columns():
    row = {"input_ids": [1, 2, 3, 4, 5], "labels": [-100, 2, -100, -100, 5], "seq_lengths": [2, 3]}
    assert packing.unpacked(row) == [
        {"input_ids": [1, 2], "labels": [-100, 2]},
        {"input_ids": [3, 4, 5], "labels": [-100, -100, 5]},
    ]
    batches = collators(0)
    assert batches([row])["input_ids"].tolist() == [[1, 2, 3, 4, 5]]
    batches.apart = True
    made = batches([row])
    assert made["input_ids"].tolist() == [[1, 2, 0], [3, 4, 5]]
    assert made["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert made["labels"].tolist() == [[-100, 2, -100], [-100, -100, 5]]


def test_one_example_is_packed_with_itself():
    example = {"input_ids": list(range(50))}
    assert [len(row["input_ids"]) for row in packing.Apart(collators(0), [example]).examples] == [packing.TOKENS] * 2


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["llama", "opt"])
def test_a_packed_update_is_that_of_the_same_examples_side_by_side(architecture, tmp_path, monkeypatch):
    """Loss and gradient of the first step are those of all examples in one padded batch, by TRL's own trainer."""
    model = entry(tmp_path / "model", architecture, monkeypatch)
    given = recipe(packing=True, max_length=512, per_device_train_batch_size=1, num_train_epochs=1)
    rows = LENGTHS[:8]
    trained = sft.train(Training(rows, CHAT, model, given, 1, tmp_path / "work"))
    words = loading.load_tokenizer(model, CHAT)
    words.padding_side = "right"
    examples, _ = sft.encode(words, rows, CHAT, 512)
    side_by_side = recipe(packing=False, max_length=512, per_device_train_batch_size=8, num_train_epochs=1)
    reference = SFTTrainer(
        model=loading.load_model(model).train(),
        args=sft.arguments(side_by_side, 1, tmp_path / "reference"),
        train_dataset=Dataset.from_list(examples),
        processing_class=words,
    )
    reference.train()
    expected = reference.state.log_history[0]
    assert trained.log[0]["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    assert trained.log[0]["grad_norm"] == pytest.approx(expected["grad_norm"], rel=1e-3)
    notes = ["opt models read across" in note for note in trained.facts["notes"]]
    assert notes == ([True] if architecture == "opt" else [])
    assert len(trained.log) == len(reference.state.log_history) - 1 == 1


def test_a_mixture_whose_experts_have_another_name_trains(tmp_path, monkeypatch):
    model = entry(tmp_path / "model", "granitemoe", monkeypatch)
    given = recipe(packing=True, max_length=512, num_train_epochs=1)
    trained = sft.train(Training(LENGTHS[:8], CHAT, model, given, 1, tmp_path / "work"))
    assert trained.log[0]["loss"] > 0
    assert '"num_experts"' not in (trained.final / "config.json").read_text()


def test_a_model_that_takes_no_packed_rows_is_given_single_ones():
    class TakesMasks(torch.nn.Module):
        device = "cpu"

        def forward(self, input_ids, attention_mask, use_cache):
            from types import SimpleNamespace

            return SimpleNamespace(logits=torch.zeros(*input_ids.shape, 3))

    assert packing.crosses(TakesMasks(), collators(0), [{"input_ids": [1, 2]}, {"input_ids": [3]}])
