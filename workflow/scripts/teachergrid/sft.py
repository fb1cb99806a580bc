"""Supervised fine-tuning of one student with TRL, on ids that are ours.

TRL gets `input_ids` and `completion_mask`, so that what trains is id for id what generates and evaluates (with `messages` it
would put in a training template of its own). Checkpoints lie outside every output and count only when marked complete.
One process trains in the job itself; several are started by `launch`, and each runs the same `train`.
"""

import json
import math
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # before tokenizers start their threads

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType, broadcast_object_list
from datasets import Dataset, disable_progress_bars
from torch.utils.data import Sampler
from transformers import PrinterCallback, TrainerCallback, set_seed
from trl import SFTConfig, SFTTrainer

from . import chat, models
from .errors import BadInput

COMPLETE = "complete"  # in a checkpoint, a file that is written last; it names the processes that can read the rest
ORDER = "order.json"  # in a checkpoint, the rows of the epoch that it was saved in
# between two checkpoints: what a kill loses at most
CHECKPOINT_SECONDS = float(os.environ.get("TEACHERGRID_CHECKPOINT_SECONDS", 600))
PASSED_ON = [
    "learning_rate",
    "num_train_epochs",
    "per_device_train_batch_size",
    "lr_scheduler_type",
    "warmup_steps",
    "weight_decay",
    "adam_beta1",
    "adam_beta2",
    "max_grad_norm",
    "packing",
    "gradient_checkpointing",
]


def encode(tokenizer, rows, talk: dict, max_length: int) -> tuple[list[dict], dict]:
    """Return training examples (input_ids, completion_mask of 0 and 1) and counts of what was cut or left out.

    rows: (messages, response) pairs. A longer example is cut at max_length; one whose prompt alone fills it is left out,
    since it would carry no loss.
    """
    examples, counts = [], {"truncated": 0, "prompt_too_long": 0}
    for messages, response in rows:
        example = chat.example(tokenizer, messages, response, talk)
        ids, mask = example.input_ids[:max_length], example.completion_mask[:max_length]
        if not any(mask):
            counts["prompt_too_long"] += 1
            continue
        counts["truncated"] += len(ids) < len(example.input_ids)
        examples.append({"input_ids": ids, "completion_mask": mask})
    if not examples:
        raise BadInput(
            f"no example fits max_length {max_length}: {counts['prompt_too_long']} prompts fill it alone; raise the "
            "recipe's max_length"
        )
    return examples, counts


def arguments(recipe: dict, seed: int, folder: Path, processes: int = 1, deepspeed: Path | None = None) -> SFTConfig:
    """Return TRL's arguments of a recipe for one of several processes, which share the steps of an update out.

    deepspeed: its settings file.
    """
    return SFTConfig(
        output_dir=str(folder),
        **{key: recipe[key] for key in PASSED_ON},
        gradient_accumulation_steps=recipe["gradient_accumulation_steps"] // processes,
        deepspeed=None if deepspeed is None else str(deepspeed),
        # without it accelerate takes several processes on a CPU for single ones, and bfloat16 is refused
        use_cpu=not torch.cuda.is_available(),
        # packing fills rows of this length; without it `encode` has cut already
        max_length=recipe["max_length"] if recipe["packing"] else None,
        train_sampling_strategy="group_by_length" if recipe["group_by_length"] else "random",
        bf16=recipe["dtype"] == "bfloat16",
        completion_only_loss=True,
        seed=seed,
        data_seed=seed,
        save_strategy="no",  # Marks saves by time: steps take milliseconds here and minutes there
        # the newest may be half written when the power goes, so the one before it stays
        save_total_limit=2,
        logging_steps=1,  # a mean over several steps would be another one after a resume
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


class Order(Sampler):
    """The order of a sampler as rank 0 draws it, for every rank, and after a resume that of the interrupted epoch.

    Without it each rank would draw its own, and a resumed training another one: rows would be lost and others doubled.
    """

    def __init__(self, sampler, resume: Path | None):
        self.sampler, self.epoch = sampler, 0
        kept = json.loads((resume / ORDER).read_text()) if resume else {"epoch": None, "rows": None}
        self.drawn, self.rows = kept["epoch"], kept["rows"]

    def __len__(self):
        return len(self.sampler)

    def set_epoch(self, epoch: int):
        self.epoch = epoch

    def __iter__(self):
        if self.drawn != self.epoch:
            self.drawn, self.rows = self.epoch, broadcast_object_list([list(self.sampler)])[0]
        return iter(self.rows)

    def save(self, checkpoint: Path):
        (checkpoint / ORDER).write_text(json.dumps({"epoch": self.drawn, "rows": self.rows}))


class Trainer(SFTTrainer):
    """TRL's trainer with an order of rows that hangs neither on the number of processes nor on a kill."""

    order: Order | None = None
    resume: Path | None = None

    def _get_train_sampler(self, train_dataset=None):
        sampler = super()._get_train_sampler(train_dataset)
        # a random order is drawn from the seed and the epoch by accelerate itself
        if self.args.train_sampling_strategy == "group_by_length":
            # rows are sorted in groups of some updates, each over all processes
            sampler.batch_size *= self.args.world_size
            sampler = self.order = Order(sampler, self.resume)
        return sampler


class Marks(TrainerCallback):
    """Saves checkpoints by time, marks them complete, and says how far the training is."""

    def __init__(self, trainer: Trainer, start: int, mark: str):
        self.trainer, self.start, self.mark, self.said = trainer, start, mark, 0.0
        self.began = self.saved = time.monotonic()

    def on_step_end(self, args, state, control, **_):
        due = time.monotonic() - self.saved >= CHECKPOINT_SECONDS
        # all save, or none does: clocks differ between ranks
        control.should_save = broadcast_object_list([due])[0] if args.world_size > 1 else due

    def on_save(self, args, state, control, **_):
        folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
        PartialState().wait_for_everyone()  # each rank has files of its own in it
        if state.is_world_process_zero:
            if self.trainer.order:
                self.trainer.order.save(folder)
            (folder / COMPLETE).write_text(self.mark)
        self.saved = time.monotonic()

    def on_log(self, args, state, control, logs=None, **_):
        if not math.isfinite((logs or {}).get("loss", 0)):
            raise FloatingPointError(f"loss is {logs['loss']} at step {state.global_step}")
        now, done = time.monotonic(), state.global_step - self.start
        if "loss" in (logs or {}) and done and now - self.said > 2:
            left = (state.max_steps - state.global_step) * (now - self.began) / done
            print(
                f"step {state.global_step} of {state.max_steps}, loss {logs['loss']:.4f}, {left:.0f} s left", flush=True
            )
            self.said = now


def readers(processes: int, deepspeed: Path | None) -> str:
    """Return which trainings can go on from a checkpoint; all that need no DeepSpeed can, whatever their processes."""
    return "" if deepspeed is None else f"{deepspeed.stem} on {processes} processes"


def last_checkpoint(folder: Path, mark: str) -> Path | None:
    """Return the newest complete checkpoint with this mark; the rest go, since the trainer takes the highest number."""
    kept = None
    for path in sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1])):
        done = path / COMPLETE
        if done.exists() and done.read_text() == mark:
            kept = path
            continue
        made = f"is of {done.read_text() or 'plain processes'}" if done.exists() else "was not finished"
        print(f"{path.name} {made}: removed", flush=True)
        shutil.rmtree(path)
    return kept


def train(
    rows,
    talk: dict,
    model: dict,
    recipe: dict,
    seed: int,
    work: Path,
    processes: int = 1,
    deepspeed: Path | None = None,
    callbacks: Sequence[TrainerCallback] = (),
) -> tuple[Path, dict, list[dict]]:
    """Fine-tune a base. Returns (folder of the finished weights inside work, facts, training log).

    rows: (messages, response) pairs in corpus order. The same rows, recipe and seed on the same machine and thread count
    give the same weights byte for byte, also after a kill. processes: how many run this at the same time, each with the
    whole corpus; an update adds up the same rows whatever their number, only in another order of sums (and the last update
    of an epoch sees up to one batch per process twice). deepspeed: its settings file.
    Raises BadInput when no example fits, RuntimeError when fewer processes, or no DeepSpeed, came up.
    """
    torch.set_num_threads(recipe["threads"])
    disable_progress_bars()
    set_seed(seed)
    checkpoints = work / "checkpoints"
    # before the model, which DeepSpeed shares out as it is loaded
    options = arguments(recipe, seed, checkpoints, processes, deepspeed)
    tokenizer = models.load_tokenizer(model, talk)
    tokenizer.padding_side = "right"
    examples, counts = encode(tokenizer, rows, talk, recipe["max_length"])
    # float32 weights; the recipe's bfloat16 is mixed precision
    network = models.load_model(model, dtype="float32", spread=processes == 1 and deepspeed is None).train()
    trainer = Trainer(
        model=network,
        args=options,
        train_dataset=Dataset.from_list(examples),
        processing_class=tokenizer,
        peft_config=lora(recipe["lora"]),
    )
    refuse_fallback(trainer, processes, deepspeed)
    mark = readers(processes, deepspeed)
    with PartialState().main_process_first():
        resume = trainer.resume = last_checkpoint(checkpoints, mark)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Marks(trainer, int(resume.name.split("-")[1]) if resume else 0, mark))
    for callback in callbacks:
        trainer.add_callback(callback)
    print(f"{len(examples)} examples, {'from ' + resume.name if resume else 'from the start'}", flush=True)
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    final = save(trainer, tokenizer, work / "final", model, recipe["dtype"])
    facts = {
        "steps": trainer.state.global_step,
        "examples": len(examples),
        "trained_tokens": int(sum(sum(e["completion_mask"]) for e in examples) * recipe["num_train_epochs"]),
        "learning_rate": recipe["learning_rate"],
        **counts,
    }
    return final, facts, log_rows(trainer.state.log_history)


def refuse_fallback(trainer, processes: int, deepspeed: Path | None) -> None:
    """Raise RuntimeError unless as many processes work together as were asked for, and with DeepSpeed if asked."""
    together = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    if (together, trainer.args.world_size) != (processes, processes):
        found = f"{together} in the process group, {trainer.args.world_size} in the trainer"
        raise RuntimeError(f"{processes} processes were asked for, found: {found}")
    found = trainer.accelerator.distributed_type == DistributedType.DEEPSPEED
    if found != (deepspeed is not None):
        raise RuntimeError(f"DeepSpeed is {'on' if found else 'off'}, asked for was {deepspeed}")


def lora(settings: dict | None):
    if settings is None:
        return None
    from peft import LoraConfig

    return LoraConfig(task_type="CAUSAL_LM", **settings)


def save(trainer, tokenizer, folder: Path, model: dict, dtype: str) -> Path:
    """Save weights in the recipe's dtype (an adapter merged in, and by itself in adapter/) and tokenizer. All ranks call it."""
    network = trainer.accelerator.unwrap_model(trainer.model)
    # under ZeRO each rank holds a part, in the recipe's dtype
    whole = trainer.accelerator.get_state_dict(trainer.model_wrapped) if trainer.is_deepspeed_enabled else None
    if trainer.is_world_process_zero():
        shutil.rmtree(folder, ignore_errors=True)
        if hasattr(network, "merge_and_unload"):
            network.save_pretrained(folder / models.ADAPTER, state_dict=whole)
            network = network.merge_and_unload() if whole is None else merged_anew(model, folder)
            whole = None
        if whole is None:
            network = network.to(getattr(torch, dtype))
        network.save_pretrained(folder, state_dict=whole)
        tokenizer.padding_side = "left"
        tokenizer.save_pretrained(folder)
    PartialState().wait_for_everyone()
    return folder


def merged_anew(model: dict, folder: Path):
    """Return the base with the adapter merged in, loaded by this rank alone, since no rank has the whole base."""
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()
    return models.with_adapter(models.load_model(model, dtype="float32", spread=False), folder / models.ADAPTER)


def log_rows(history: list[dict]) -> list[dict]:
    """Return the training log without anything that hangs on time."""
    keys = ("step", "epoch", "loss", "learning_rate", "grad_norm")
    return [{key: entry.get(key) for key in keys} for entry in history if "loss" in entry]
