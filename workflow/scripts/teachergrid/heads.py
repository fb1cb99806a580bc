"""Logits of hidden states: only where they are needed, and equal to the model's own."""

from .errors import BadInput


def finished(model, raw):
    """Return float32 logits of the output layer's, scaled and capped as Cohere, Granite and Gemma 2 do after it."""
    config = model.config.get_text_config()
    logits, scale = raw.float(), getattr(config, "logit_scale", 1) / getattr(config, "logits_scaling", 1)
    logits = logits if scale == 1 else logits * scale
    cap = getattr(config, "final_logit_softcapping", None)
    return logits if cap is None else (logits / cap).tanh() * cap


def check(model) -> None:
    """Raise BadInput unless the logits made here are the model's own: an architecture may do more after its output layer."""
    import torch

    ids = torch.arange(8, device=model.device)[None]
    with torch.inference_mode():
        own = model(input_ids=ids, use_cache=False).logits.float()
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        ours = finished(model, model.get_output_embeddings()(hidden)).to(own.device)
    if not torch.allclose(ours, own, rtol=1e-2, atol=1e-2, equal_nan=True):
        kind = model.config.model_type
        raise BadInput(
            f"{model.name_or_path}: {kind} models change their logits in a way that is not known here; take another model"
        )
