"""Where a model is put, and what is refused once it is loaded."""

from types import SimpleNamespace

import pytest
import torch
from teachergrid.errors import BadInput
from teachergrid.models import loading


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


def test_weights_that_are_missing_are_refused():
    one, two = (SimpleNamespace(config=SimpleNamespace(num_labels=n)) for n in (1, 2))
    loading.check_loaded(one, "reward", "there", [])
    loading.check_loaded(two, "encoder", "there", ["pooler.dense.weight"])
    with pytest.raises(BadInput, match=r"there: no causal model, its weights lack pooler.dense.weight"):
        loading.check_loaded(two, "causal", "there", ["pooler.dense.weight"])
    with pytest.raises(BadInput, match="there: a reward model has one output, this one has 2"):
        loading.check_loaded(two, "reward", "there", [])
