"""ArmoRM's head: on a tiny checkpoint with the tensors of the published one, against its formula."""

import json

import pytest
import tiny
from rated_rows import ANSWERED, ASKED, TEXTS, reward_entry, scored
from teachergrid.errors import BadInput
from teachergrid.models import loading
from teachergrid.scoring import armorm
from teachergrid.spec import schema

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{{ m['content'] | trim }}"
    "<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
OBJECTIVES, WIDTH = 5, 16


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> dict:
    return made(tmp_path_factory.mktemp("armorm"))


def made(folder, shards: bool = False) -> dict:
    """Write a tiny Llama with a head as ArmoRM's, its code named in the config, and its weights in bfloat16 or in several files."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig, AutoModelForCausalLM

    words = tiny.with_tags(tiny.tokenizer(template=TEMPLATE), "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    words.bos_token, words.eos_token = "<|endoftext|>", "<|eot_id|>"
    words.save_pretrained(folder)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    torch.manual_seed(0)
    net = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", vocab_size=len(words), **sizes)).float()
    net.save_pretrained(folder)
    tensors = {
        name: value for name, value in load_file(folder / "model.safetensors").items() if name != "lm_head.weight"
    }
    drawn = torch.Generator().manual_seed(1)
    layers = [(WIDTH, 64), (WIDTH, WIDTH), (WIDTH, WIDTH), (OBJECTIVES, WIDTH)]
    head = {
        "regression_layer.weight": torch.randn(OBJECTIVES, 64, generator=drawn),
        "reward_transform_matrix": torch.randn(OBJECTIVES, OBJECTIVES, generator=drawn),
        "gating.logit_scale": torch.tensor([1.7]),
    }
    for i, shape in enumerate(layers):
        head[f"gating.layers.{i}.weight"] = torch.randn(shape, generator=drawn)
        head[f"gating.layers.{i}.bias"] = torch.randn(shape[0], generator=drawn)
    if shards:
        (folder / "model.safetensors").unlink()
        parts = {"model-00001-of-00002.safetensors": tensors, "model-00002-of-00002.safetensors": head}
        for name, part in parts.items():
            save_file(part, folder / name, {"format": "pt"})
        places = {key: name for name, part in parts.items() for key in part}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    else:
        save_file(tensors | head, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "architectures": ["LlamaForRewardModelWithGating"],
        "num_objectives": OBJECTIVES,
        "gating_temperature": 3,
    }
    config["auto_map"] = {"AutoModelForSequenceClassification": "modeling_custom.LlamaForRewardModelWithGating"}
    (folder / "config.json").write_text(json.dumps(config))
    return schema.filled({"repo": str(folder), "dtype": "float32"}, schema.definition("model"))


def by_formula(model: dict) -> list[float]:
    """The scores of TEXTS, one conversation at a time, in float64 from the hidden states on."""
    import torch

    tokenizer, body = loading.load_tokenizer(model, reward_entry()), loading.load_model(model, kind="encoder")
    head = {name: values.double() for name, values in armorm.head(body).items()}
    values = []
    for i, text in enumerate(TEXTS):
        asked = f"<|endoftext|><|start_header_id|>user<|end_header_id|>\n\nsort q{i}"
        said = f"<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n{text.strip()}<|eot_id|>"
        before = tokenizer(asked, add_special_tokens=False)["input_ids"]
        ids = tokenizer(asked + said, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            states = body(torch.tensor([ids])).last_hidden_state[0].double()
        gate = states[len(before)]
        for n in range(4):
            gate = head[f"gating.layers.{n}.weight"] @ gate + head[f"gating.layers.{n}.bias"]
            gate = gate.clamp(min=0) if n < 3 else gate
        weights = torch.exp(gate / 3) / torch.exp(gate / 3).sum() * 1.7
        rewards = head["regression_layer.weight"] @ states[-1]
        values.append(
            float(sum(weights[k] * (rewards @ head["reward_transform_matrix"][:, k]) for k in range(OBJECTIVES)))
        )
    return values


def test_scores_are_those_of_the_formula(model, tmp_path):
    want = by_formula(model)
    assert len({round(value, 3) for value in want}) == len(TEXTS)
    for batch in (1, 4):
        table = scored(model, tmp_path / str(batch), head="armorm", batch=batch)
        assert table["reward"].to_pylist() == pytest.approx(want, abs=1e-5)


def test_weights_in_several_files(model, tmp_path):
    other = made(tmp_path / "model", shards=True)
    want = scored(model, tmp_path / "a", head="armorm")["reward"].to_pylist()
    assert scored(other, tmp_path / "b", head="armorm")["reward"].to_pylist() == want


def test_another_model_or_template_is_refused(model, tmp_path):
    plain = tiny.make(tmp_path / "plain", kind="reward")
    entry = model | {"repo": str(plain)}
    with pytest.raises(
        BadInput, match=r"plain: no ArmoRM, its weights lack regression_layer.weight, .*; leave out `head`"
    ):
        scored(entry, tmp_path / "a", ANSWERED, ASKED, head="armorm")
    with pytest.raises(BadInput, match="use the model's own `template`"):
        scored(model, tmp_path / "b", head="armorm", template=tiny.CHATML)
