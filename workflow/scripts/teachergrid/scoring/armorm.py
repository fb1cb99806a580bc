"""Rewards by ArmoRM (Wang et al. 2024, arXiv:2406.12845): several rewards of a response, mixed by weights that the prompt decides.

Its published code cannot be imported any more, and is not needed: the body is a plain Llama, and the head a few matrices. With h the
hidden state of the last token and g that of the token that ends the prompt,

    rewards = regression_layer h,  weights = logit_scale softmax(MLP(g) / temperature),  score = weights . (rewards T)

where T is `reward_transform_matrix`, and the MLP has ReLU between its layers.
"""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..models import batching
from .classifier import Classifier

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from .entry import RewardEntry

# the end of a prompt, and the header of the answer behind it: the gate reads the first of these tokens
GATE = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>"
REWARDS, TRANSFORM, SCALE = "regression_layer.weight", "reward_transform_matrix", "gating.logit_scale"
LAYER = "gating.layers.{}."
TEMPERATURE = 10.0  # where the model's config states none


class ArmoRM(Classifier):
    """A loaded ArmoRM (a `reward.Scorer`)."""

    MODEL_KIND = "encoder"  # its body alone

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", model: "PreTrainedModel", reward: "RewardEntry") -> None:
        """reward: the config's entry. Raises BadInput where the model has no such head, or the tokenizer no such header."""
        super().__init__(tokenizer, model, reward)
        self._gate = tokenizer(GATE, add_special_tokens=False)["input_ids"]
        self._head = {name: values.to(model.device).float() for name, values in head(model).items()}
        self._temperature = float(getattr(model.config, "gating_temperature", None) or TEMPERATURE)
        known = tokenizer.get_vocab()
        if any(token not in known for token in re.findall(r"<[^>]*>", GATE)):
            raise BadInput(
                f"{model.name_or_path}: its tokenizer does not know {GATE}; `head: armorm` is for ArmoRM on Llama 3"
            )

    def _score(self, batch: list[list[int]]) -> list[float]:
        import torch

        padding = self._padding({ids[-1] for ids in batch})
        tokens, mask = batching.padded(batch, padding, self._model.device)
        with torch.inference_mode():
            states = self._model(input_ids=tokens, attention_mask=mask).last_hidden_state
            rows = torch.arange(len(batch), device=states.device)
            last = states[rows, [len(ids) - 1 for ids in batch]].float()
            gate = states[rows, [self._gate_of(ids) for ids in batch]].float()
            rewards = last @ self._head[REWARDS].T @ self._head[TRANSFORM]
            return (self._weights(gate) * rewards).sum(1).double().tolist()

    def _weights(self, gate: "torch.Tensor") -> "torch.Tensor":
        """Return the weights of the rewards [texts, rewards]. gate: the hidden states [texts, hidden size] that the gate reads."""
        layers = sum(name.startswith("gating.layers.") and name.endswith(".weight") for name in self._head)
        for i in range(layers):
            name = LAYER.format(i)
            gate = gate @ self._head[f"{name}weight"].T + self._head[f"{name}bias"]
            if i < layers - 1:
                gate = gate.relu()
        return (gate / self._temperature).softmax(1) * self._head[SCALE]

    def _gate_of(self, ids: list[int]) -> int:
        """Return the place of the token that ends the last prompt. Raises BadInput where there is none."""
        width = len(self._gate)
        for place in range(len(ids) - width, -1, -1):
            if ids[place : place + width] == self._gate:
                return place
        raise BadInput(f"{self._model.name_or_path}: a conversation has no {GATE}; use the model's own `template`")


def head(model: "PreTrainedModel") -> "dict[str, torch.Tensor]":
    """Return {name: weights} of the head of a loaded body, from the same files. Raises BadInput where they have none."""
    from safetensors import safe_open

    found: dict[str, torch.Tensor] = {}
    for path in files(model):
        with safe_open(path, framework="pt") as content:
            names = [name for name in content.keys() if name in (REWARDS, TRANSFORM) or name.startswith("gating.")]  # noqa: SIM118
            found |= {name: content.get_tensor(name) for name in names}
    needed = (REWARDS, TRANSFORM, SCALE, f"{LAYER.format(0)}weight", f"{LAYER.format(0)}bias")
    if lacking := [name for name in needed if name not in found]:
        raise BadInput(f"{model.name_or_path}: no ArmoRM, its weights lack {', '.join(lacking[:3])}; leave out `head`")
    return found


def files(model: "PreTrainedModel") -> list[Path]:
    """Return the files of a loaded model's weights."""
    from transformers.utils import cached_file

    def file(name: str) -> str | None:
        commit = getattr(model.config, "_commit_hash", None)
        return cached_file(model.name_or_path, name, revision=commit, _raise_exceptions_for_missing_entries=False)

    index = file("model.safetensors.index.json")
    names = sorted({*json.loads(Path(index).read_text())["weight_map"].values()}) if index else ["model.safetensors"]
    return [Path(path) for name in names if (path := file(name))]
