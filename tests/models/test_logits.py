"""Architectures that scale their logits do so here too, and unknown ones are refused."""

import pytest
import tiny
import torch
from generations import MODEL
from teachergrid.errors import BadInput
from teachergrid.models import loading, logits


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def model(request, tmp_path_factory):
    folder = tiny.make(tmp_path_factory.mktemp("models") / "model", request.param)
    return loading.load_model(MODEL | {"repo": str(folder)})


@pytest.mark.parametrize(
    ("architecture", "setting"),
    [
        ("gemma2", {"final_logit_softcapping": 2.0}),
        ("cohere", {"logit_scale": 0.25}),
        ("granite", {"logits_scaling": 8.0}),
    ],
)
def test_logits_are_scaled_as_the_architecture_does(architecture, setting):
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
    }
    config = AutoConfig.for_model(architecture, vocab_size=64, intermediate_size=32, **sizes, **setting)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(50)
    ids = torch.arange(8)[None]
    with torch.inference_mode():
        bare = model.get_output_embeddings()(model.base_model(input_ids=ids).last_hidden_state)
        assert not torch.allclose(bare, model(input_ids=ids).logits, rtol=0.1)
    logits.check(model)


def test_an_unknown_change_of_the_logits_is_refused(model, monkeypatch):
    forward = type(model).forward

    def changed(self, **inputs):
        made = forward(self, **inputs)
        made.logits = made.logits * 1.5
        return made

    monkeypatch.setattr(type(model), "forward", changed)
    with pytest.raises(BadInput, match=f"{model.config.model_type} models change their logits"):
        logits.check(model)
