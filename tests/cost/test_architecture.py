"""The shape of a model: as its config.json says, or guessed from its size."""

import json

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
