"""Packed rows: several examples in one row, which the model must read as if each stood alone.

Attention keeps examples apart where an architecture reads the position ids or the bounds of the examples. Some do not, and
with others it depends on the attention's kernel. So it is measured before the first step, with the real weights: a small copy
would not always have every kind of layer. It costs three forward passes over at most 2 x TOKENS tokens.

Where examples read each other, each becomes a row of its own, padded. All examples of an update stay in this update, so the
steps and the loss are those of packed rows; only memory and time grow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from ..models.batching import READS_OTHERS, difference

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainerControl, TrainerState, TrainingArguments

    from .checkpoints import Trainer

TOKENS = 32  # of each of the two examples, at most
Collator = Callable[[Sequence[dict]], dict[str, Any]]


class Batches:
    """Makes batches from packed rows. Once `apart` is set, every example is a row of its own."""

    def __init__(self, packed: Collator, padded: Collator) -> None:
        """packed and padded: TRL's collators of packed rows and of single examples."""
        self.packed, self.padded, self.apart = packed, padded, False

    def __call__(self, rows: Sequence[dict]) -> dict[str, Any]:
        return self.padded([example for row in rows for example in unpacked(row)]) if self.apart else self.packed(rows)


def unpacked(row: dict) -> list[dict]:
    """Return the examples of a packed row; `seq_lengths` has their lengths."""
    bounds = list(pairwise(accumulate(row["seq_lengths"], initial=0)))
    columns = {key: values for key, values in row.items() if key != "seq_lengths"}
    return [{key: values[first:last] for key, values in columns.items()} for first, last in bounds]


class Apart(TrainerCallback):
    """Measures before the first step whether examples of a packed row read each other, and takes them apart if so."""

    def __init__(self, batches: Batches, examples: Sequence[dict]) -> None:
        """examples: those of the training; the first two are used."""
        self.batches = batches
        # one example alone would not be followed by another
        self.examples = [{"input_ids": example["input_ids"][:TOKENS]} for example in [*examples[:2], *examples[:1]][:2]]
        self.note: str | None = None

    def on_train_begin(
        self,
        _args: TrainingArguments,
        _state: TrainerState,
        _control: TrainerControl,
        model: PreTrainedModel | None = None,
        **_: object,
    ) -> None:
        assert model is not None, "the trainer passes its model"
        if crosses(model, self.batches, self.examples):
            kind = model.config.model_type
            self.batches.apart = True
            self.note = (
                f"Not packed: {kind} models read across the examples of a packed row, so each has a row of its own."
            )
            print(self.note, flush=True)


def crosses(model: PreTrainedModel, batches: Batches, examples: Sequence[dict]) -> bool:
    """Return whether a model reads an example otherwise in a packed row than alone. examples: two, with `input_ids`."""
    row: dict[str, list[int]] = {"input_ids": [], "seq_lengths": []}
    for example in examples:
        row["input_ids"] += example["input_ids"]
        row["seq_lengths"].append(len(example["input_ids"]))
    was_training = model.training
    model.eval()
    try:
        alone = torch.cat([_logits(model, batches.padded([example])) for example in examples])
        together = _logits(model, batches.packed([row]))
    except (TypeError, NotImplementedError):
        return True  # it takes no packed rows at all
    finally:
        model.train(was_training)
    return difference(together, alone) > READS_OTHERS


def _logits(model: PreTrainedModel, batch: dict[str, Any]) -> torch.Tensor:
    """Return the logits of a batch of one row, [tokens, vocabulary], float32."""
    inputs = {key: value.to(model.device) if hasattr(value, "to") else value for key, value in batch.items()}
    del inputs["labels"]
    with torch.no_grad():
        return model(**inputs, use_cache=False).logits[0].float().cpu()


def prepare(trainer: Trainer, padding: int, examples: Sequence[dict], is_packed: bool) -> Apart | None:
    """Give a trainer its collator, and for packed rows the callback that checks them.

    padding: a token id that the model has; padding has no loss, and attention does not read it.
    """
    padded = DataCollatorForLanguageModeling(pad_token_id=padding)
    if not is_packed:
        trainer.data_collator = padded
        return None
    packed = DataCollatorForLanguageModeling(pad_token_id=padding, padding_free=True)
    trainer.data_collator = batches = Batches(packed, padded)
    apart = Apart(batches, examples)
    trainer.add_callback(apart)
    return apart
