"""The models: small Llama and Qwen2 networks, made, loaded and saved."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizer import END_ID, END_OF_TEXT_ID, PAD_ID, VOCABULARY, save_tokenizer
from transformers import AutoModelForCausalLM, GenerationConfig, LlamaConfig, Qwen2Config

# Four times the usual initial standard deviation (0.02): small networks learn the tasks much sooner from it.
INITIAL_SCALE = 4.0


@dataclass(frozen=True)
class Shape:
    """Sizes of a network; every head has 32 dimensions, the least that fast attention kernels take."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    config: type

    def __str__(self) -> str:
        return f"{self.config.__name__.removesuffix('Config')} {self.hidden} x {self.layers}"


SHAPES = {
    "xs": Shape(32, 2, 1, 96, LlamaConfig),
    "s": Shape(96, 2, 3, 256, LlamaConfig),
    "m": Shape(128, 3, 4, 384, Qwen2Config),
    "l": Shape(160, 3, 5, 384, LlamaConfig),
}


def new_model(size: str, seed=0) -> torch.nn.Module:
    """Return a causal language model with random weights in float32."""
    shape = SHAPES[size]
    torch.manual_seed(seed)
    config = shape.config(
        vocab_size=VOCABULARY,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        intermediate_size=shape.feed_forward,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        rope_theta=10000.0,
        pad_token_id=PAD_ID,
        bos_token_id=None,
        eos_token_id=END_ID,
    )
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    model.generation_config = GenerationConfig(eos_token_id=[END_ID, END_OF_TEXT_ID], pad_token_id=PAD_ID)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(INITIAL_SCALE)
    return model


def load(folder: Path, kind=AutoModelForCausalLM, **options) -> torch.nn.Module:
    """Return a saved model in float32; `kind` is the transformers class that reads it."""
    return kind.from_pretrained(folder, dtype=torch.float32, **options)


def save(model, tokenizer, folder: Path) -> None:
    """Write model (rounded to float16) and tokenizer; the folder appears under its name only when it is complete."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    model.half().save_pretrained(part)
    save_tokenizer(tokenizer, part)
    for path in part.glob("*config.json"):
        settings = json.loads(path.read_text())
        stated = {key: value for key, value in settings.items() if key not in ("_name_or_path", "name_or_path")}
        path.write_text(json.dumps(stated, indent=2, sort_keys=True) + "\n")
    (part / "model.safetensors").chmod(0o644)  # written for the owner only
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def n_parameters(model) -> int:
    """Return the number of weights; tied ones count once."""
    return sum(parameter.numel() for parameter in model.parameters())
