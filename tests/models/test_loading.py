"""Models and tokenizers from their folders: where they are put, what they lack, and what is refused."""

import shutil
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import tiny
import torch
from generations import CHAT, MODEL
from teachergrid.errors import BadInput
from teachergrid.hub import model_files
from teachergrid.models import chat, loading
from trainings import tiny_model


@pytest.mark.parametrize(
    ("gpus", "spread", "expected"),
    [(0, True, None), (1, True, "cuda"), (2, True, "auto"), (8, True, "auto"), (1, False, None), (8, False, None)],
)
def test_a_model_is_put_on_all_gpus_unless_it_is_not_to_be_spread(gpus, spread, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert loading.device_map(spread) == expected


@pytest.mark.parametrize("off", ["cpu", "disk"])
def test_a_model_that_is_too_large_for_the_gpus_is_refused(off):
    loading.check_fits(SimpleNamespace(), "there")
    loading.check_fits(SimpleNamespace(hf_device_map={"a": 0, "b": 1}), "there")
    with pytest.raises(BadInput, match=rf"there: too large for \d+ GPUs, parts of it lie on {off}; raise .* `gpus`"):
        loading.check_fits(SimpleNamespace(hf_device_map={"a": 0, "b": off}), "there")


ASKED = [{"role": "user", "content": "sort the {red} words: 日本 a  b\n"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.make(tmp_path_factory.mktemp("models") / "llama")


def test_the_same_ids_from_a_folder_and_from_a_student_saved_from_it(folder, tmp_path):
    chat_settings = CHAT | {"template": tiny.CHATML.replace("<|im_start|>assistant", "<|im_start|>story")}
    base = loading.load_tokenizer(MODEL | {"repo": str(folder)}, chat_settings)
    base.save_pretrained(tmp_path)
    student = loading.load_tokenizer(MODEL | {"repo": "not/used"}, chat_settings, tmp_path)
    assert student.chat_template == base.chat_template == chat_settings["template"]
    assert chat.example(student, ASKED, "red", chat_settings) == chat.example(base, ASKED, "red", chat_settings)
    assert chat.prompt(student, ASKED, CHAT) == chat.prompt(base, ASKED, chat_settings)


def test_load_model_takes_dtype_and_is_ready_to_use(folder):
    import torch

    model = loading.load_model(MODEL | {"repo": str(folder)}, dtype="bfloat16")
    assert model.dtype == torch.bfloat16
    assert not model.training
    assert loading.context(model) == 512


def test_digest_is_of_content_and_checked(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "README.md").write_text("other words, the same model")
    assert model_files.digest(copy) == model_files.digest(folder)
    entry = MODEL | {"repo": str(copy), "revision": model_files.digest(copy)}
    model_files.check_revision(entry)
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    with pytest.raises(BadInput, match=f"revision is {model_files.digest(copy)}"):
        loading.load_model(entry)


@pytest.mark.parametrize(
    ("missing", "kind", "says"),
    [
        ("tokenizer.json tokenizer_config.json", "tokenizer", "no tokenizer.*save_pretrained"),
        ("model.safetensors", "causal", "no model could be loaded.*model.safetensors"),
        ("config.json", "causal", "no model could be loaded.*config.json"),
        ("", "reward", "no reward model.*score.weight"),
    ],
)
def test_model_folders_that_lack_something_are_refused(folder, tmp_path, missing, kind, says):
    copy = shutil.copytree(folder, tmp_path / "copy")
    for name in missing.split():
        (copy / name).unlink()
    entry = MODEL | {"repo": str(copy)}
    with pytest.raises(BadInput, match=says) as error:
        loading.load_tokenizer(entry, CHAT) if kind == "tokenizer" else loading.load_model(entry, kind)
    assert str(copy) in str(error.value)


@pytest.mark.parametrize(
    ("repo", "revision", "says"),
    [
        ("no/such/folder", None, "no such folder"),
        ("/nowhere", None, "no such folder"),
        ("org/name", "sha256-00", "revision"),
    ],
)
def test_bad_model_names_are_refused(repo, revision, says):
    with pytest.raises(BadInput, match=says):
        loading.load_tokenizer(MODEL | {"repo": repo, "revision": revision}, CHAT)


def test_a_reward_model_loads_as_one_and_not_as_a_causal_one(tmp_path):
    entry = MODEL | {"repo": str(tiny.make(tmp_path / "rm", kind="reward"))}
    assert loading.load_model(entry, "reward").config.num_labels == 1
    with pytest.raises(BadInput, match="lm_head"):
        loading.load_model(entry)


GB = 2**30


@pytest.mark.parametrize(
    ("memory", "weights", "homes"),
    [
        ([], 0, [None]),
        ([80 * GB], 0, [None]),
        ([80 * GB, 80 * GB], 16 * GB, ["cuda:0", "cuda:1"]),
        ([80 * GB, 24 * GB], 17 * GB, [None]),
        ([80 * GB] * 4, 140 * GB, [None]),
    ],
)
def test_a_model_is_copied_to_each_gpu_where_it_fits_one(memory, weights, homes):
    assert loading.devices_of_copies(memory, weights) == homes


def test_the_size_of_the_weights_is_known_before_they_are_loaded(folder):
    entry = MODEL | {"repo": str(folder)}
    loaded = sum(weight.numel() for weight in loading.load_model(entry).parameters())
    assert loading.weight_bytes(entry) == 4 * loaded
    assert loading.weight_bytes(entry | {"dtype": "bfloat16"}) == 2 * loaded


def test_a_model_is_loaded_only_where_it_fits(tmp_path, monkeypatch):
    from transformers import LlamaForCausalLM

    model = tiny_model(tmp_path / "llama")
    # as accelerate says where the parts went
    for places, fits in (({"model.layers.0": 0, "lm_head": 1}, True), ({"model": 0, "lm_head": "disk"}, False)):
        monkeypatch.setattr(LlamaForCausalLM, "hf_device_map", places, raising=False)
        with nullcontext() if fits else pytest.raises(BadInput, match="too large"):
            loading.load_model(model)
