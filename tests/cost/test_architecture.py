"""The shape of a model: as its files say, or guessed from its size."""

import json
import struct

import pytest
from teachergrid.cost import architecture

LLAMA_8B = {
    "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8,
    "intermediate_size": 14336, "vocab_size": 128256, "tie_word_embeddings": False,
}  # fmt: skip


GPT2 = {"n_layer": 12, "n_embd": 768, "n_head": 12, "vocab_size": 50257}


def test_shapes_of_known_models():
    assert architecture.parameters(architecture.of_config(LLAMA_8B)) == pytest.approx(8.03, rel=0.01)
    assert architecture.parameters(architecture.of_config(GPT2)) == pytest.approx(0.124, rel=0.01)
    assert architecture.of_config(LLAMA_8B).kv == 1024
    assert architecture.of_config({"text_config": LLAMA_8B}) == architecture.of_config(LLAMA_8B)
    assert architecture.of_config({"layers": 3}) is None


def test_a_shape_is_read_where_the_model_lies(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA_8B))
    assert architecture.of_model(str(folder), None).layers == 32
    snapshot = tmp_path / "hub/models--org--gpt2/snapshots/abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps(GPT2))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    assert architecture.of_model("org/gpt2", "abc").layers == 12
    assert architecture.of_model("org/gpt2", None).layers == 12
    assert architecture.of_model("org/gpt2", "def") is None


@pytest.mark.parametrize(
    ("billions", "layers", "hidden"), [(1.5, 28, 1536), (7.6, 28, 3584), (32, 64, 5120), (70, 80, 8192)]
)
def test_guessed_shapes_are_near(billions, layers, hidden):
    guessed = architecture.guessed(billions)
    assert guessed.layers == pytest.approx(layers, rel=0.4) and guessed.hidden == pytest.approx(hidden, rel=0.4)


def weights(path, **tensors):
    """Write the header of a safetensors file; nobody reads its tensors here."""
    header = {name: {"dtype": dtype, "shape": shape} for name, (dtype, shape) in tensors.items()}
    text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(GPT2))
    return tmp_path


def test_parameters_are_counted_in_the_headers_of_weights(folder):
    weights(folder / "model.safetensors", a=("F32", [1000, 200]), b=("F32", [500]), positions=("I64", [512]))
    assert architecture.counted(str(folder), None) == pytest.approx(201_012 / 1e9)
    assert architecture.counted(str(folder / "none"), None) is None


@pytest.mark.parametrize("kind", ["packed", "incomplete", "pickled", "no safetensors", "cut"])
def test_the_config_decides_where_weights_cannot_be_counted(folder, kind):
    if kind == "packed":
        weights(folder / "model.safetensors", qweight=("I32", [1000, 25]))
    elif kind == "incomplete":
        weights(folder / "model-1.safetensors", a=("F32", [10, 10]))
        (folder / architecture.INDEX).write_text(
            json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})
        )
    elif kind == "pickled":
        (folder / "pytorch_model.bin").write_bytes(b"x" * 100)
    else:
        (folder / "model.safetensors").write_bytes(b"\x00" * 4 if kind == "cut" else b"version https://git-lfs")
    assert architecture.counted(str(folder), None) == pytest.approx(0.124, rel=0.01)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"num_hidden_layers": 2, "hidden_size": 8, "num_attention_heads": 0, "vocab_size": 9}']
)
def test_a_config_that_cannot_be_read_says_nothing(folder, content):
    (folder / "config.json").write_text(content)
    assert architecture.of_model(str(folder), None) is None and architecture.counted(str(folder), None) is None
