"""LoRA and QLoRA: the adapter of a recipe, the base that it is trained on, and the whole model that it becomes.

QLoRA trains an adapter on a base whose weights are held in 4 bits. The adapter is then merged into the base as it is published, in
float32, for no engine has to read 4-bit weights then. That is another model than the one that was trained: `difference` measures by
how much.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..models import loading

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel

TOKENS = 64  # of each example, over which `difference` is measured
EXAMPLES = 8
OURS = ("quantize",)  # settings that are none of PEFT's


def config(settings: dict | None) -> LoraConfig | None:
    """Return the LoRA of a recipe; None for full fine-tuning. settings: the recipe's `lora`."""
    if settings is None:
        return None
    from peft import LoraConfig

    return LoraConfig(task_type="CAUSAL_LM", **{key: value for key, value in settings.items() if key not in OURS})


def is_quantized(recipe: dict) -> bool:
    """Whether a recipe trains on 4-bit weights."""
    return recipe["lora"] is not None and recipe["lora"]["quantize"] is not None


def check(recipe: dict, has_gpu: bool) -> None:
    """Raise BadInput where a recipe needs bitsandbytes and it is not installed, or a GPU and there is none."""
    small = "8bit" in recipe["optim"]
    what = f"optim: {recipe['optim']}" if small else "lora: {quantize: nf4}"
    instead = "optim: adamw_torch_fused" if small else "quantize: null"
    if (small or is_quantized(recipe)) and importlib.util.find_spec("bitsandbytes") is None:
        raise BadInput(
            f"the recipe's `{what}` needs bitsandbytes, which {sys.prefix} has not; install it there (pip install bitsandbytes), or "
            f"set `{instead}`"
        )
    if small and not has_gpu:
        raise BadInput(f"the recipe's `{what}` needs a GPU, and this job has none; set `{instead}`")


def base(model: dict, recipe: dict, spread: bool) -> PreTrainedModel:
    """Return the base that a recipe trains: float32 weights, or with `quantize` frozen ones in 4 bits.

    Args:
        model: the base's entry in the config.
        spread: whether this process has all GPUs; else it has the one of its rank, to which the trainer moves float32 weights.
    """
    if not is_quantized(recipe):
        return loading.load_model(model, dtype="float32", spread=spread)
    import torch
    from peft import prepare_model_for_kbit_training

    rank = os.environ.get("LOCAL_RANK", "0")
    device = f"cuda:{rank}" if torch.cuda.is_available() and not spread else None
    network = loading.load_model(
        {**model, "quantize": recipe["lora"]["quantize"], "computes": recipe["dtype"]},
        dtype="float32",
        spread=spread,
        device=device,
    )
    return prepare_model_for_kbit_training(network, use_gradient_checkpointing=False)


def merged(model: dict, adapter: Path) -> PreTrainedModel:
    """Return the base with an adapter merged in, in float32, from its own files. adapter: its folder.

    This process loads it by itself: under ZeRO no rank has the whole base, and a quantised one is not what students are.
    """
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()
    return loading.with_adapter(loading.load_model(model, dtype="float32", spread=False), adapter)


def difference(trained: PreTrainedModel, student: PreTrainedModel, examples: Sequence[dict]) -> str:
    """Return a sentence on how far the student is from the model that was trained, with the 4-bit base under its adapter.

    examples: those of the training, with `input_ids`; the first few count.
    """
    import torch

    gaps = []
    for network in (trained, student):
        network.eval()
    for example in examples[:EXAMPLES]:
        ids = torch.tensor([example["input_ids"][:TOKENS]])
        values = []
        for network in (trained, student):
            with torch.inference_mode():
                logits = network(input_ids=ids.to(network.device), use_cache=False).logits[0, :-1].float().cpu()
            values.append(logits.log_softmax(1).gather(1, ids[0, 1:, None])[:, 0])
        gaps.append((values[0] - values[1]).abs())
    gap = torch.cat(gaps)
    return (
        f"Trained on 4-bit weights and merged into the base's own: log-probabilities of {len(gap)} tokens moved by "
        f"{gap.mean():.3f} nats on average, {gap.max():.3f} at most."
    )
