"""A real TRL training of a tiny model: what trains is what generates, a kill costs nothing, and the weights move."""

import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from teachergrid.models import chat
from trainings import CHAT, ROWS, recipe, tiny_model, weights
from workspace import ENV, ROOT

LORA = {"r": 4, "lora_alpha": 8, "lora_dropout": 0, "target_modules": "all-linear"}
TRAIN = """
import json, sys
from pathlib import Path
from teachergrid.training import checkpoints
from teachergrid.training import sft
from teachergrid.training.training import Training
chat, model, recipe, rows, work, stop = json.loads(sys.argv[1])
checkpoints.CHECKPOINT_SECONDS = 0 if stop else 600
if stop:
    import os, signal
    real = sft.Checkpoints.on_save
    def on_save(self, args, state, control, **kw):
        if state.global_step >= stop:
            os.kill(os.getpid(), signal.SIGKILL)  # inside the save: the files are there, the mark is not
        real(self, args, state, control, **kw)
    sft.Checkpoints.on_save = on_save
final, facts, log = sft.train(Training(rows, chat, model, recipe, 1, Path(work)))
print(json.dumps({"facts": facts, "log": log}))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> dict:
    return tiny_model(tmp_path_factory.mktemp("models") / "llama")


def train(model: dict, work: Path, stop: int | None = None, **changes) -> dict | None:
    """Train in a process of its own; returns facts and log, or None when it was killed."""
    import json

    given = json.dumps([CHAT, model, recipe(**changes), ROWS, str(work), stop])
    done = subprocess.run([sys.executable, "-c", TRAIN, given], cwd=ROOT, env=ENV, capture_output=True, text=True)
    if stop:
        assert done.returncode == -9, done.stderr[-2000:]
        return None
    assert done.returncode == 0, done.stderr[-2000:]
    return {**json.loads(done.stdout.splitlines()[-1]), "said": done.stdout}


@pytest.fixture(scope="module")
def undisturbed(model, tmp_path_factory) -> tuple[dict, str]:
    work = tmp_path_factory.mktemp("undisturbed")
    return train(model, work), weights(work)


def test_examples_are_what_generates(model):
    from teachergrid.models import loading
    from teachergrid.training import sft

    tokenizer = loading.load_tokenizer(model, CHAT)
    examples, counts = sft.encode(tokenizer, ROWS, CHAT, 64)
    assert counts == {"truncated": 0, "prompt_too_long": 0, "prompt_refused": 0} and len(examples) == len(ROWS)
    for (messages, response), example in zip(ROWS, examples, strict=True):
        prompt = chat.prompt(tokenizer, messages, CHAT).ids
        answer = chat.response(tokenizer, response) + chat.end(tokenizer, CHAT)
        assert example["input_ids"] == prompt + answer
        assert example["completion_mask"] == [0] * len(prompt) + [1] * len(answer)


def test_a_response_that_was_cut_off_gets_no_end_token(model):
    from teachergrid.models import loading
    from teachergrid.training import sft

    tokenizer = loading.load_tokenizer(model, CHAT)
    end = chat.end(tokenizer, CHAT)
    whole, cut = (sft.encode(tokenizer, ROWS[:3], CHAT, 64, numbers)[0] for numbers in ((), [1]))
    assert [example["input_ids"][-1:] == end for example in cut] == [True, False, True]
    assert (cut[0], cut[2]) == (whole[0], whole[2])
    assert {name: values[:-1] for name, values in whole[1].items()} == cut[1]


def test_trl_takes_these_ids_and_labels(model, tmp_path):
    """The labels of TRL's own batches are exactly the response and its end token."""
    from datasets import Dataset
    from teachergrid.models import loading
    from teachergrid.training import sft
    from trl import SFTTrainer

    tokenizer = loading.load_tokenizer(model, CHAT)
    tokenizer.padding_side = "right"
    examples, _ = sft.encode(tokenizer, ROWS, CHAT, 64)
    for packing in (False, True):
        trainer = SFTTrainer(
            model=loading.load_model(model, dtype="float32"),
            args=sft.arguments(recipe(packing=packing), 1, tmp_path / str(packing)),
            train_dataset=Dataset.from_list(examples),
            processing_class=tokenizer,
        )
        ids, labels = [], []
        for batch in trainer.get_train_dataloader():
            for row, mask in zip(batch["input_ids"].tolist(), batch["labels"].tolist(), strict=True):
                ids += [i for i in row if i != tokenizer.pad_token_id]
                labels += [i for i in mask if i != -100]
        assert sorted(ids) == sorted(i for e in examples for i in e["input_ids"])
        trained = [i for e in examples for i, m in zip(e["input_ids"], e["completion_mask"], strict=True) if m]
        # the first token of a packed row has nothing before it, so it is the one that may be missing
        assert sorted(labels) == sorted(trained)


def test_cut_and_left_out_rows_are_counted(model):
    from teachergrid.errors import BadInput
    from teachergrid.models import loading
    from teachergrid.training import sft

    tokenizer = loading.load_tokenizer(model, CHAT)
    prompt = len(chat.prompt(tokenizer, ROWS[0][0], CHAT).ids)
    examples, counts = sft.encode(tokenizer, ROWS[:1], CHAT, prompt + 2)
    assert (
        counts == {"truncated": 1, "prompt_too_long": 0, "prompt_refused": 0}
        and len(examples[0]["input_ids"]) == prompt + 2
    )
    with pytest.raises(BadInput, match="no example fits max_length"):
        sft.encode(tokenizer, ROWS[:1], CHAT, prompt)


@pytest.mark.slow
def test_training_moves_the_weights_and_lowers_the_loss(model, undisturbed):
    found, digest = undisturbed
    assert found["facts"]["steps"] == 20 and found["facts"]["examples"] == 40
    assert found["log"][-1]["loss"] < found["log"][0]["loss"]
    assert digest != hashlib.sha256((Path(model["repo"]) / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 10])
def test_a_kill_inside_a_save_gives_the_same_weights(model, undisturbed, tmp_path, step):
    train(model, tmp_path, stop=step)
    kept = sorted(path.name for path in tmp_path.glob("checkpoints/checkpoint-*"))
    assert f"checkpoint-{step}" in kept, "the kill came after the files and before the mark"
    found = train(model, tmp_path)
    assert f"checkpoint-{step} was not finished: removed" in found["said"]
    assert ("from checkpoint-1" if step == 2 else "from checkpoint-9") in found["said"]
    assert weights(tmp_path) == undisturbed[1]
    assert found["facts"] == undisturbed[0]["facts"] and found["log"] == undisturbed[0]["log"]


@pytest.mark.slow
def test_a_kill_in_the_second_epoch_keeps_its_order_of_rows(model, tmp_path):
    """Rows by length are drawn anew in each epoch, from random numbers that a resumed training no longer has."""
    train(model, tmp_path / "undisturbed", group_by_length=True, lora=LORA | {"lora_dropout": 0.1})
    train(model, tmp_path / "killed", stop=15, group_by_length=True, lora=LORA | {"lora_dropout": 0.1})
    found = train(model, tmp_path / "killed", group_by_length=True, lora=LORA | {"lora_dropout": 0.1})
    assert "from checkpoint-14" in found["said"]
    assert weights(tmp_path / "killed") == weights(tmp_path / "undisturbed")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_lora_is_merged_and_the_adapter_gives_the_same_model(model, tmp_path, dtype):
    import torch
    from teachergrid.models import loading

    train(model, tmp_path, lora=LORA, dtype=dtype)
    final = tmp_path / "final"
    assert {"model.safetensors", "adapter"} < {path.name for path in final.iterdir()}
    merged, base = loading.load_model(model, folder=final).state_dict(), loading.load_model(model).state_dict()
    (final / "model.safetensors").unlink()
    freed = loading.load_model(model, folder=final).state_dict()
    assert merged.keys() == freed.keys() == base.keys()
    assert all(torch.equal(merged[name], freed[name]) for name in merged)
    assert any(not torch.equal(merged[name], base[name]) for name in merged)


@pytest.mark.slow
def test_weights_are_saved_in_the_recipes_number_format(model, undisturbed, tmp_path):
    from safetensors.torch import load_file

    train(model, tmp_path, dtype="bfloat16")
    assert {str(tensor.dtype) for tensor in load_file(tmp_path / "final/model.safetensors").values()} == {
        "torch.bfloat16"
    }
    assert undisturbed[1] != weights(tmp_path)


@pytest.mark.slow
def test_packing_trains_the_same_tokens(model, undisturbed, tmp_path):
    found = train(model, tmp_path, packing=True)
    assert found["facts"]["trained_tokens"] == undisturbed[0]["facts"]["trained_tokens"]
    assert found["facts"]["steps"] < undisturbed[0]["facts"]["steps"]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="make test-qlora installs bitsandbytes")
def test_qlora_gives_the_same_adapter_again_also_after_a_kill(model, tmp_path):
    settings = {"lora": LORA | {"quantize": "nf4", "lora_dropout": 0.1}}
    found = train(model, tmp_path / "one", **settings)
    train(model, tmp_path / "killed", stop=10, **settings)
    train(model, tmp_path / "killed", **settings)
    adapters = [tmp_path / name / "final/adapter/adapter_model.safetensors" for name in ("one", "killed")]
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in adapters}) == 1
    assert weights(tmp_path / "one") == weights(tmp_path / "killed")
    (note,) = (note for note in found["facts"]["notes"] if note.startswith("Trained on 4-bit weights"))
    assert "nats on average" in note


@pytest.mark.slow
def test_another_optimizer_gives_another_student(model, undisturbed, tmp_path):
    found = train(model, tmp_path, optim="adafactor")
    assert found["log"][-1]["loss"] < found["log"][0]["loss"]
    assert weights(tmp_path) != undisturbed[1]
    assert (tmp_path / "proof.html").is_file()
