"""Whether GPUs can share the work of an SFT run, and the nearest settings with which they can."""

import pytest
from teachergrid.cost import gpu_shares
from teachergrid.errors import BadInput
from trainings import recipe


def test_nodes_with_unequal_gpus_are_refused():
    with pytest.raises(BadInput, match="recipe sft: 3 GPUs on 2 nodes"):
        gpu_shares.check_shares(recipe(gradient_accumulation_steps=6), 3, 2, "sft")


@pytest.mark.parametrize(
    "steps, processes, remedies",
    [(6, 3, None), (8, 8, None), (6, 4, (3, 8)), (1, 2, (1, 2)), (32, 6, (4, 36)), (4, 8, (4, 8))],
)
def test_steps_that_cannot_be_shared_name_the_nearest_remedies(steps, processes, remedies):
    given = recipe(gradient_accumulation_steps=steps)
    if remedies is None:
        return gpu_shares.check_shares(given, processes, 1, "sft")
    with pytest.raises(BadInput) as error:
        gpu_shares.check_shares(given, processes, 1, "sft")
    assert f"recipe sft: gradient_accumulation_steps {steps}" in str(error.value)
    assert f"`gpus` to {remedies[0]} " in str(error.value) and str(error.value).endswith(f"to {remedies[1]}")
