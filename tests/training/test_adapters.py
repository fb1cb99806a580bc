"""LoRA and QLoRA: what PEFT gets, what is refused, and how far a merged student is from what was trained."""

import importlib.util

import pytest
from teachergrid.errors import BadInput
from teachergrid.models import loading
from teachergrid.training import adapters
from trainings import recipe, tiny_model


def test_peft_gets_its_own_settings_alone():
    settings = recipe(lora={"r": 4, "use_rslora": True, "quantize": "nf4", "lora_dropout": 0.1})["lora"]
    made = adapters.config(settings)
    assert (made.r, made.use_rslora, made.lora_dropout, made.target_modules) == (4, True, 0.1, "all-linear")
    assert adapters.config(None) is None
    assert adapters.is_quantized(recipe(lora={"quantize": "nf4"}))
    assert not adapters.is_quantized(recipe(lora={})) and not adapters.is_quantized(recipe())


MISSING = [
    ({"lora": {"quantize": "nf4"}}, r"`lora: \{quantize: nf4\}` needs bitsandbytes, .* or set `quantize: null`"),
    (
        {"optim": "paged_adamw_8bit"},
        "`optim: paged_adamw_8bit` needs bitsandbytes, .* or set `optim: adamw_torch_fused`",
    ),
]


@pytest.mark.parametrize(("settings", "message"), MISSING)
def test_a_package_or_gpu_that_is_missing_is_named(settings, message, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=message):
        adapters.check(recipe(**settings), has_gpu=True)
    adapters.check(recipe(lora={}, optim="adafactor"), has_gpu=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    adapters.check(recipe(**settings), has_gpu=True)
    if "optim" in settings:
        with pytest.raises(BadInput, match="needs a GPU, and this job has none"):
            adapters.check(recipe(**settings), has_gpu=False)


def test_what_merging_moved_is_measured(tmp_path):
    import torch

    first = loading.load_model(tiny_model(tmp_path / "model"))
    second = loading.load_model(tiny_model(tmp_path / "model"))
    examples = [{"input_ids": list(range(5, 5 + n))} for n in (20, 90)]
    assert "of 82 tokens moved by 0.000 nats on average, 0.000 at most" in adapters.difference(first, second, examples)
    with torch.no_grad():
        second.lm_head.weight.mul_(1.1)
    said = adapters.difference(first, second, examples)
    logits = [
        torch.cat([net(torch.tensor([e["input_ids"][:64]])).logits[0, :-1].log_softmax(1) for e in examples])
        for net in (first, second)
    ]
    ids = torch.tensor([i for e in examples for i in e["input_ids"][1:64]])[:, None]
    gaps = (logits[0] - logits[1]).gather(1, ids).abs()
    assert f"moved by {gaps.mean():.3f} nats on average, {gaps.max():.3f} at most" in said


def test_an_adapter_is_merged_into_the_base_as_it_is_published(tmp_path):
    """What QLoRA does in the end; here with an adapter on float32 weights, where merging moves nothing."""
    import torch
    from peft import get_peft_model

    model = tiny_model(tmp_path / "model")
    network = get_peft_model(loading.load_model(model), adapters.config(recipe(lora={"r": 4})["lora"]))
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    network.save_pretrained(tmp_path / "adapter")
    student = adapters.merged(model, tmp_path / "adapter")
    assert "moved by 0.000 nats on average" in adapters.difference(
        network, student, [{"input_ids": list(range(5, 60))}]
    )
    base = loading.load_model(model)
    assert "moved by 0.000" not in adapters.difference(base, student, [{"input_ids": list(range(5, 60))}])
