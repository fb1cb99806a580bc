"""Where a model is put, and what is refused once it is loaded."""

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from teachergrid.errors import BadInput
from teachergrid.models import loading
from trainings import tiny_model


@pytest.mark.parametrize(
    ("gpus", "spread", "expected"),
    [(0, True, None), (1, True, "cuda"), (2, True, "auto"), (8, True, "auto"), (1, False, None), (8, False, None)],
)
def test_a_model_is_put_on_all_gpus_unless_it_is_not_to_be_spread(gpus, spread, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert loading.device_map(spread) == expected


@pytest.mark.parametrize("off", ["cpu", "disk"])
def test_a_model_that_is_too_large_for_the_gpus_is_refused(off):
    loading.check_fits(SimpleNamespace(), "there")
    loading.check_fits(SimpleNamespace(hf_device_map={"a": 0, "b": 1}), "there")
    with pytest.raises(BadInput, match=rf"there: too large for \d+ GPUs, parts of it lie on {off}; raise .* `gpus`"):
        loading.check_fits(SimpleNamespace(hf_device_map={"a": 0, "b": off}), "there")


def test_a_model_is_loaded_only_where_it_fits(tmp_path, monkeypatch):
    from transformers import LlamaForCausalLM

    model = tiny_model(tmp_path / "llama")
    # as accelerate says where the parts went
    for places, fits in (({"model.layers.0": 0, "lm_head": 1}, True), ({"model": 0, "lm_head": "disk"}, False)):
        monkeypatch.setattr(LlamaForCausalLM, "hf_device_map", places, raising=False)
        with nullcontext() if fits else pytest.raises(BadInput, match="too large"):
            loading.load_model(model)


def test_caches_are_of_one_environment_and_kind_of_node(tmp_path, monkeypatch):
    for name in loading.CACHES[1:]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEACHERGRID_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", "/mine")
    loading.set_cache_folders()
    found = {Path(os.environ[name]) for name in loading.CACHES[1:]}
    assert len(found) == len(loading.CACHES) - 1 and os.environ["TORCH_EXTENSIONS_DIR"] == "/mine"
    (folder,) = {path.parent for path in found}
    assert folder.parents[1] == tmp_path and folder.name == loading.node_type() and "--" in folder.name
    monkeypatch.setattr(sys, "prefix", "/another")
    monkeypatch.delenv("TRITON_CACHE_DIR")
    loading.set_cache_folders()
    assert Path(os.environ["TRITON_CACHE_DIR"]).parents[1] != folder.parent
    for name in loading.CACHES:
        monkeypatch.delenv(name)


def test_weights_that_are_missing_are_refused():
    one, two = (SimpleNamespace(config=SimpleNamespace(num_labels=n)) for n in (1, 2))
    loading.check_loaded(one, "reward", "there", [])
    loading.check_loaded(two, "encoder", "there", ["pooler.dense.weight"])
    with pytest.raises(BadInput, match=r"there: no causal model, its weights lack pooler.dense.weight"):
        loading.check_loaded(two, "causal", "there", ["pooler.dense.weight"])
    with pytest.raises(BadInput, match="there: a reward model has one output, this one has 2"):
        loading.check_loaded(two, "reward", "there", [])
