"""ArmoRM without its weights: random checkpoints with the tensors of the published one, and its scores by the formula."""

import json
from pathlib import Path

import tiny
from rated_rows import reward_entry
from teachergrid.models import loading
from teachergrid.scoring import armorm
from teachergrid.spec import schema

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{{ m['content'] | trim }}"
    "<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
TINY = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
OBJECTIVES, WIDTH, TEMPERATURE, SCALE = 5, 16, 3, 1.7


def made(folder: Path, shards: bool = False, positions: int = 512, **sizes: int) -> dict:
    """Write a Llama with a head as ArmoRM's, in float32, its code named in the config. Return its entry of the config's models.

    shards: its weights in two files, those of the head in the second. sizes: of the body, in place of TINY.
    """
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig, AutoModelForCausalLM

    words = tiny.with_tags(tiny.tokenizer(template=TEMPLATE), "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    words.bos_token, words.eos_token, words.model_max_length = "<|endoftext|>", "<|eot_id|>", positions
    words.save_pretrained(folder)
    sizes = {**TINY, "max_position_embeddings": positions, "vocab_size": len(words), **sizes}
    torch.manual_seed(0)
    net = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **sizes)).float()
    net.save_pretrained(folder, max_shard_size="1TB")
    tensors = {
        name: value for name, value in load_file(folder / "model.safetensors").items() if name != "lm_head.weight"
    }
    drawn = torch.Generator().manual_seed(1)
    hidden = sizes["hidden_size"]
    layers = [(WIDTH, hidden), (WIDTH, WIDTH), (WIDTH, WIDTH), (OBJECTIVES, WIDTH)]
    head = {
        "regression_layer.weight": torch.randn(OBJECTIVES, hidden, generator=drawn),
        "reward_transform_matrix": torch.randn(OBJECTIVES, OBJECTIVES, generator=drawn),
        "gating.logit_scale": torch.tensor([SCALE]),
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
        "gating_temperature": TEMPERATURE,
    }
    config["auto_map"] = {"AutoModelForSequenceClassification": "modeling_custom.LlamaForRewardModelWithGating"}
    (folder / "config.json").write_text(json.dumps(config))
    return schema.filled({"repo": str(folder), "dtype": "float32"}, schema.definition("model"))


def by_formula(model: dict, pairs: list[tuple[str, str]]) -> list[float]:
    """Return the scores of (question, answer), one conversation at a time, in float64 from the hidden states on."""
    import torch

    tokenizer, body = loading.load_tokenizer(model, reward_entry()), loading.load_model(model, kind="encoder")
    head = {name: values.double().to(body.device) for name, values in armorm.head(body).items()}
    values = []
    for question, text in pairs:
        asked = f"<|endoftext|><|start_header_id|>user<|end_header_id|>\n\n{question}"
        said = f"<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n{text.strip()}<|eot_id|>"
        before = tokenizer(asked, add_special_tokens=False)["input_ids"]
        ids = tokenizer(asked + said, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            states = body(torch.tensor([ids], device=body.device)).last_hidden_state[0].double()
        gate = states[len(before)]
        for n in range(4):
            gate = head[f"gating.layers.{n}.weight"] @ gate + head[f"gating.layers.{n}.bias"]
            gate = gate.clamp(min=0) if n < 3 else gate
        weights = torch.exp(gate / TEMPERATURE) / torch.exp(gate / TEMPERATURE).sum() * SCALE
        rewards = head["regression_layer.weight"] @ states[-1]
        mixed = [weights[k] * (rewards @ head["reward_transform_matrix"][:, k]) for k in range(OBJECTIVES)]
        values.append(float(sum(mixed)))
    return values
