"""Supervised fine-tuning of one student with TRL, on ids that are ours.

TRL gets `input_ids` and `completion_mask`, so that what trains is id for id what generates and evaluates (with `messages` it
would put in a training template of its own). Checkpoints lie outside every output and count only when marked complete.
"""

import os
import shutil
import time
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # before tokenizers start their threads

import torch
from datasets import Dataset, disable_progress_bars
from transformers import PrinterCallback, TrainerCallback, set_seed
from trl import SFTConfig, SFTTrainer

from . import chat, models
from .errors import BadInput

COMPLETE = "complete"  # in a checkpoint, a file that is written last
CHECKPOINT_SECONDS = 600  # between two checkpoints: what a kill loses at most
PASSED_ON = [
    "learning_rate",
    "num_train_epochs",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
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


def arguments(recipe: dict, seed: int, folder: Path) -> SFTConfig:
    """Return TRL's arguments of a recipe."""
    return SFTConfig(
        output_dir=str(folder),
        **{key: recipe[key] for key in PASSED_ON},
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


class Marks(TrainerCallback):
    """Saves checkpoints by time, marks them complete, and says how far the training is."""

    def __init__(self, start: int):
        self.start, self.said = start, 0.0
        self.began = self.saved = time.monotonic()

    def on_step_end(self, args, state, control, **_):
        control.should_save = time.monotonic() - self.saved >= CHECKPOINT_SECONDS

    def on_save(self, args, state, control, **_):
        Path(args.output_dir, f"checkpoint-{state.global_step}", COMPLETE).touch()
        self.saved = time.monotonic()

    def on_log(self, args, state, control, logs=None, **_):
        now, done = time.monotonic(), state.global_step - self.start
        if "loss" in (logs or {}) and done and now - self.said > 2:
            left = (state.max_steps - state.global_step) * (now - self.began) / done
            print(
                f"step {state.global_step} of {state.max_steps}, loss {logs['loss']:.4f}, {left:.0f} s left", flush=True
            )
            self.said = now


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint; the rest go, since the trainer takes the highest number, complete or not."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    complete = [path for path in found if (path / COMPLETE).exists()]
    for path in found:
        if path not in complete:
            print(f"{path.name} was not finished: removed", flush=True)
            shutil.rmtree(path)
    return complete[-1] if complete else None


def train(rows, talk: dict, model: dict, recipe: dict, seed: int, work: Path) -> tuple[Path, dict, list[dict]]:
    """Fine-tune a base. Returns (folder of the finished weights inside work, facts, training log).

    rows: (messages, response) pairs in corpus order. The same rows, recipe and seed on the same machine and thread count
    give the same weights byte for byte, also after a kill.
    """
    torch.set_num_threads(recipe["threads"])
    disable_progress_bars()
    set_seed(seed)
    tokenizer = models.load_tokenizer(model, talk)
    tokenizer.padding_side = "right"
    examples, counts = encode(tokenizer, rows, talk, recipe["max_length"])
    # float32 weights; the recipe's bfloat16 is mixed precision
    network = models.load_model(model, dtype="float32").train()
    checkpoints = work / "checkpoints"
    trainer = SFTTrainer(
        model=network,
        args=arguments(recipe, seed, checkpoints),
        train_dataset=Dataset.from_list(examples),
        processing_class=tokenizer,
        peft_config=lora(recipe["lora"]),
    )
    resume = last_checkpoint(checkpoints)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Marks(int(resume.name.split("-")[1]) if resume else 0))
    print(f"{len(examples)} examples, {'from ' + resume.name if resume else 'from the start'}", flush=True)
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    final = save(trainer, tokenizer, work / "final")
    facts = {
        "steps": trainer.state.global_step,
        "examples": len(examples),
        "trained_tokens": int(sum(sum(e["completion_mask"]) for e in examples) * recipe["num_train_epochs"]),
        "learning_rate": recipe["learning_rate"],
        **counts,
    }
    return final, facts, log_rows(trainer.state.log_history)


def lora(settings: dict | None):
    if settings is None:
        return None
    from peft import LoraConfig

    return LoraConfig(task_type="CAUSAL_LM", **settings)


def save(trainer, tokenizer, folder: Path) -> Path:
    """Save weights (an adapter merged in) and tokenizer."""
    network = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(network, "merge_and_unload"):
        network = network.merge_and_unload()
    shutil.rmtree(folder, ignore_errors=True)
    network.save_pretrained(folder)
    tokenizer.padding_side = "left"
    tokenizer.save_pretrained(folder)
    return folder


def log_rows(history: list[dict]) -> list[dict]:
    """Return the training log without anything that hangs on time."""
    keys = ("step", "epoch", "loss", "learning_rate", "grad_norm")
    return [{key: entry.get(key) for key in keys} for entry in history if "loss" in entry]
