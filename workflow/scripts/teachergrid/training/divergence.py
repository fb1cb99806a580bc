"""Trainings that diverge: a loss, gradient or weight that is no number ends the training, and a loss that only grows is noted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import BadInput

if TYPE_CHECKING:
    import torch

REMEDY = "lower the recipe's `learning_rate`, or lengthen its warm-up (`warmup_steps`)"
NAMES = {"loss": "loss", "grad_norm": "gradient norm"}  # keys of the trainer's log
LAST = 10  # the mean loss of the last 1 / LAST of all steps is compared with the loss of the first step
# it has grown when it is larger by this factor and by so many nats; losses of single batches differ by less
FACTOR, NATS = 1.5, 0.5


def refuse_step(logs: Mapping[str, float], step: int) -> None:
    """Raise BadInput when a step's loss or gradient norm is NaN or infinite. logs: what the trainer logs of the step."""
    for key, name in NAMES.items():
        value = logs.get(key)
        if value is not None and not math.isfinite(value):
            raise BadInput(f"the training diverged: its {name} is {value} at step {step}; {REMEDY}")


def refuse_weights(weights: Iterable[tuple[str, torch.Tensor]]) -> None:
    """Raise BadInput when a weight is NaN or infinite: the last update is seen in no logged loss. weights: (name, values)."""
    for name, values in weights:
        if values.is_floating_point() and not values.isfinite().all():
            raise BadInput(f"the training diverged: its weights are not finite at the end, such as {name}; {REMEDY}")


def growth(losses: Sequence[float]) -> str | None:
    """Return a sentence when the loss grew instead of falling, or None. losses: of all steps, in nats."""
    if not losses:
        return None
    last = losses[-max(1, len(losses) // LAST) :]
    first, end = losses[0], sum(last) / len(last)
    if end > FACTOR * first and end > first + NATS:
        return f"The loss grew from {first:.2f} to {end:.2f}: {REMEDY}."
    return None
