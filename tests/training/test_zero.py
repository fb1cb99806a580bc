"""DeepSpeed: its settings, and that a kill costs nothing under it either."""

import importlib.util
from pathlib import Path

import pytest
from teachergrid.spec import schema
from teachergrid.training import zero
from trainings import kill, result, start, tiny_model, weights


@pytest.mark.parametrize(
    "kind, stage, offloads", [("zero2", 2, False), ("zero3", 3, False), ("zero3_offload", 3, True)]
)
def test_settings_of_deepspeed(kind, stage, offloads):
    found = zero.settings(kind)
    assert found["zero_optimization"]["stage"] == stage
    assert ("optimizer" in found, "offload_param" in found["zero_optimization"]) == (offloads, offloads)
    assert set(zero.STAGES) == set(schema.definition("recipe")["properties"]["deepspeed"]["enum"]) - {None}


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """A folder for what DeepSpeed compiles, which takes longer than all of these trainings."""
    return tmp_path_factory.mktemp("compiled")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="DeepSpeed is not installed")
@pytest.mark.parametrize("stage", ["zero2", "zero3"])
def test_a_kill_gives_the_same_weights(tmp_path, cache, stage):
    """Each process saves its part, and reads it again."""
    model, options = (
        tiny_model(tmp_path / "model"),
        {"deepspeed": stage, "seconds": 0, "num_train_epochs": 2, "cache": cache},
    )
    undisturbed = result(start(model, tmp_path / "undisturbed", 2, **options))
    kill(start(model, tmp_path / "killed", 2, **options), tmp_path / "killed", 4)
    found = result(start(model, tmp_path / "killed", 2, **options))
    assert "examples, from checkpoint-" in found["said"]
    assert found["facts"] == undisturbed["facts"] and found["log"] == undisturbed["log"]
    assert weights(tmp_path / "killed") == weights(tmp_path / "undisturbed")
