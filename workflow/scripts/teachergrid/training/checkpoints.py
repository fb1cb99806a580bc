"""Checkpoints of a training: saved by time, marked complete, resumed with the same order of rows."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch.utils.data import Sampler
from transformers import TrainerCallback
from trl import SFTTrainer

from ..store import origin
from . import divergence

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, TrainerControl, TrainerState, TrainingArguments

# a file of a checkpoint, written last; it names the processes that can resume from it (`readers`)
COMPLETE = "complete"
ORDER = "order.json"  # a file of a checkpoint: the order of rows in the epoch in which it was saved
# seconds between two checkpoints: a killed job loses no more
CHECKPOINT_SECONDS = float(os.environ.get("TEACHERGRID_CHECKPOINT_SECONDS", 600))


class Order(Sampler):
    """The order of rows that rank 0 draws from a sampler, for every rank; after a resume, that of the interrupted epoch.

    Without it each rank would draw an order of its own, and a resumed training would draw another one than before: it would
    skip some rows and see others twice.
    """

    def __init__(self, sampler: Sampler, checkpoint: Path | None) -> None:
        self.sampler, self.epoch = sampler, 0
        saved = json.loads((checkpoint / ORDER).read_text()) if checkpoint else {"epoch": None, "rows": None}
        self.drawn_epoch, self.rows = saved["epoch"], saved["rows"]

    def __len__(self) -> int:
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        if self.drawn_epoch != self.epoch:
            self.drawn_epoch, self.rows = self.epoch, broadcast_object_list([list(self.sampler)])[0]
        return iter(self.rows or ())

    def save(self, checkpoint: Path) -> None:
        origin.replace_text(checkpoint / ORDER, json.dumps({"epoch": self.drawn_epoch, "rows": self.rows}))


class Trainer(SFTTrainer):
    """TRL's trainer, with an order of rows that is the same for any number of processes and after a resume."""

    order: Order | None = None
    checkpoint: Path | None = None  # to resume from

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: PreTrainedModel | None = None) -> None:
        # TRL trains the adapter of a 4-bit base in bfloat16, and PEFT would go on with it in float32
        network = self.model if model is None else model
        formats = {name: weight.dtype for name, weight in network.named_parameters() if weight.requires_grad}
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        for name, weight in network.named_parameters():
            if name in formats:
                weight.data = weight.data.to(formats[name])

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler:
        sampler = super()._get_train_sampler(train_dataset)
        # a random order is drawn from the seed and the epoch by accelerate itself
        if self.args.train_sampling_strategy == "group_by_length":
            # rows are sorted within groups of some updates, and an update spans all processes
            sampler.batch_size *= self.args.world_size
            sampler = self.order = Order(sampler, self.checkpoint)
        return sampler


class Checkpoints(TrainerCallback):
    """Saves checkpoints by time and when this process gets SIGUSR1, marks them complete, and prints how far the training is."""

    def __init__(self, trainer: Trainer, start: int, mark: str) -> None:
        """start: the step from which the training goes on; mark: as `readers` returns it."""
        self.trainer, self.start, self.mark = trainer, start, mark
        self.began = self.saved = time.monotonic()
        self.printed = 0.0
        self.asked = False
        # SLURM sends it some minutes before the time limit
        signal.signal(signal.SIGUSR1, self.ask)

    def ask(self, *_: object) -> None:
        self.asked = True

    def on_step_end(self, args: TrainingArguments, _state: TrainerState, control: TrainerControl, **_: object) -> None:
        due = self.asked or time.monotonic() - self.saved >= CHECKPOINT_SECONDS
        # all save, or none does: clocks differ between ranks
        control.should_save = broadcast_object_list([due])[0] if args.world_size > 1 else due

    def on_save(self, args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: object) -> None:
        folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
        PartialState().wait_for_everyone()  # each rank has files of its own in it
        if state.is_world_process_zero:
            if self.trainer.order:
                self.trainer.order.save(folder)
            origin.share(folder)
            origin.replace_text(folder / COMPLETE, self.mark)
        self.saved, self.asked = time.monotonic(), False

    def on_log(
        self,
        _args: TrainingArguments,
        state: TrainerState,
        _control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        logs = logs or {}
        divergence.refuse_step(logs, state.global_step)
        now, done = time.monotonic(), state.global_step - self.start
        if "loss" in logs and done and now - self.printed > 2:
            seconds_left = (state.max_steps - state.global_step) * (now - self.began) / done
            print(
                f"step {state.global_step} of {state.max_steps}, loss {logs['loss']:.4f}, {seconds_left:.0f} s left",
                flush=True,
            )
            self.printed = now


def readers(processes: int, deepspeed: Path | None) -> str:
    """Return the name of the trainings that can resume from a checkpoint: one name for all that use no DeepSpeed, "".

    deepspeed: its settings file. With DeepSpeed each process saves its part, so stage and number of processes must be equal.
    """
    return "" if deepspeed is None else f"{deepspeed.stem} on {processes} processes"


def last_checkpoint(folder: Path, mark: str) -> Path | None:
    """Return the newest complete checkpoint with this mark. Delete those that are incomplete or have another mark.

    mark: as `readers` returns it.
    """
    newest = None
    for path in sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1])):
        done = path / COMPLETE
        if done.exists() and done.read_text() == mark:
            newest = path
            continue
        reason = f"is of {done.read_text() or 'plain processes'}" if done.exists() else "was not finished"
        print(f"{path.name} {reason}: removed", flush=True)
        shutil.rmtree(path)
    return newest
