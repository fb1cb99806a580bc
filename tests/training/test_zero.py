"""Settings of DeepSpeed."""

import pytest
from teachergrid.spec import schema
from teachergrid.training import zero


@pytest.mark.parametrize(
    "kind, stage, offloads", [("zero2", 2, False), ("zero3", 3, False), ("zero3_offload", 3, True)]
)
def test_settings_of_deepspeed(kind, stage, offloads):
    found = zero.settings(kind)
    assert found["zero_optimization"]["stage"] == stage
    assert ("optimizer" in found, "offload_param" in found["zero_optimization"]) == (offloads, offloads)
    assert set(zero.STAGES) == set(schema.definition("recipe")["properties"]["deepspeed"]["enum"]) - {None}
