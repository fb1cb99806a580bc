"""Logits from hidden states, for selected positions only.

Some architectures scale or cap their logits after the output layer; `scaled` does the same. `check` compares its result
with the logits of a full forward pass.
"""

from typing import TYPE_CHECKING

from ..errors import BadInput
from . import batching

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def scaled(model: "PreTrainedModel", raw: "torch.Tensor") -> "torch.Tensor":
    """Return a model's logits from the output of its output layer.

    Reference: the `forward` of Cohere (`logit_scale`), Granite (`logits_scaling`) and Gemma 2 (`final_logit_softcapping`,
    arXiv:2408.00118, section 2) in transformers.

    Args:
        raw: [..., vocabulary], in any dtype.
    Returns: [..., vocabulary], float32.
    """
    config = model.config.get_text_config()
    # MPT has a scale of None
    scale = (getattr(config, "logit_scale", None) or 1) / (getattr(config, "logits_scaling", None) or 1)
    logits = raw.float()
    logits = logits if scale == 1 else logits * scale
    cap = getattr(config, "final_logit_softcapping", None)
    return logits if cap is None else (logits / cap).tanh() * cap


def check(model: "PreTrainedModel") -> None:
    """Raise BadInput unless `scaled` gives the model's own logits: an architecture may do more after its output layer.

    Also tells `batching` whether the model reads its padding.
    """
    import torch

    ids = torch.arange(8, device=model.device)[None]
    with torch.inference_mode():
        expected = model(input_ids=ids, use_cache=False).logits.float()
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        logits = scaled(model, model.get_output_embeddings()(hidden)).to(expected.device)
    if expected.isnan().all():
        raise BadInput(
            f"{model.name_or_path}: all its logits are NaN; try another `dtype` (float32), and check that its files are complete"
        )
    if not torch.allclose(logits, expected, rtol=1e-2, atol=1e-2, equal_nan=True):
        kind = model.config.model_type
        raise BadInput(
            f"{model.name_or_path}: {kind} models change their logits in a way that this package does not support; take another model"
        )
    batching.check(model, batching.hidden(model, masked=False))
