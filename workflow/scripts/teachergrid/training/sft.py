"""Supervised fine-tuning of one student with TRL, on token ids of our own.

TRL gets `input_ids` and `completion_mask`, so a student trains on exactly the ids that generation and evaluation use (given
`messages`, TRL would use a training template of its own). Checkpoints are outside of all outputs, and only those that are
marked complete count. One process trains in the job itself; several are started by `launch`, and each calls the same `train`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from datasets import Dataset, disable_progress_bars
from transformers import GenerationConfig, PrinterCallback, TrainerCallback, set_seed
from trl import SFTConfig

from ..errors import BadInput
from ..models import chat, checks, loading
from . import adapters, divergence, packing, proof
from .checkpoints import Checkpoints, Trainer, last_checkpoint, readers
from .training import Trained, Training

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # before tokenizers start their threads
TRL_ARGUMENTS = [
    "learning_rate",
    "num_train_epochs",
    "per_device_train_batch_size",
    "lr_scheduler_type",
    "optim",
    "warmup_steps",
    "weight_decay",
    "adam_beta1",
    "adam_beta2",
    "max_grad_norm",
    "packing",
    "gradient_checkpointing",
]


def encode(
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[tuple[list[chat.Message], str]],
    settings: chat.ChatSettings,
    max_length: int,
    unfinished: Collection[int] = (),
    ids: Sequence[str] = (),
) -> tuple[list[dict], dict[str, int]]:
    """Return training examples (input_ids, completion_mask of 0 and 1), and how many were cut or left out.

    An example longer than max_length tokens is cut there. One whose prompt alone has that many is left out, since no token of it has a loss.

    Args:
        rows: (messages, response).
        settings: chat settings of the base.
        unfinished: numbers of the rows whose response max_tokens cut off; these get no end token.
        ids: of the instruction of each row, for messages.
    Raises:
        BadInput: when no example is left.
    """
    examples, counts = [], {"truncated": 0, "prompt_too_long": 0, "prompt_refused": 0}
    failed: dict[str, BadInput] = {}
    cut_off = frozenset(unfinished)
    check_turns = checks.check_turns(tokenizer, settings)
    chat.report(tokenizer, settings)
    for number, (messages, response) in enumerate(rows):
        try:
            check_turns(messages)
            example = chat.example(tokenizer, messages, response, settings, finished=number not in cut_off)
        except BadInput as error:
            failed[ids[number] if ids else f"row {number + 1}"] = error
            counts["prompt_refused"] += 1
            continue
        tokens, mask = example.input_ids[:max_length], example.completion_mask[:max_length]
        if not any(mask):
            counts["prompt_too_long"] += 1
            continue
        counts["truncated"] += len(tokens) < len(example.input_ids)
        examples.append({"input_ids": tokens, "completion_mask": mask})
    checks.refuse_prompts(failed, len(set(ids) or rows), settings, tokenizer.name_or_path)
    if not examples:
        raise BadInput(
            f"no example fits max_length {max_length}: {counts['prompt_too_long']} prompts fill it alone; raise the "
            "recipe's max_length"
        )
    return examples, counts


def arguments(recipe: dict, seed: int, folder: Path, processes: int = 1, deepspeed: Path | None = None) -> SFTConfig:
    """Return TRL's arguments for one of several processes, which divide the steps of an update among them.

    Args:
        folder: of the checkpoints.
        deepspeed: its settings file.
    """
    return SFTConfig(
        output_dir=str(folder),
        **{key: recipe[key] for key in TRL_ARGUMENTS},
        gradient_accumulation_steps=recipe["gradient_accumulation_steps"] // processes,
        deepspeed=None if deepspeed is None else str(deepspeed),
        # without it, accelerate does not see that processes on CPUs belong together, and refuses bfloat16
        use_cpu=not torch.cuda.is_available(),
        # packing fills rows of this length; without it `encode` has cut already
        max_length=recipe["max_length"] if recipe["packing"] else None,
        train_sampling_strategy="group_by_length" if recipe["group_by_length"] else "random",
        bf16=recipe["dtype"] == "bfloat16",
        completion_only_loss=True,
        seed=seed,
        data_seed=seed,
        save_strategy="no",  # Checkpoints saves by time, since a step may take milliseconds or minutes
        # two, since the newest may be half written when the machine goes down
        save_total_limit=2,
        logging_steps=1,  # a mean over several steps would differ after a resume
        logging_nan_inf_filter=False,  # True writes an earlier loss in the place of one that is NaN
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def train(
    training: Training,
    processes: int = 1,
    deepspeed: Path | None = None,
    callbacks: Sequence[TrainerCallback] = (),
) -> Trained:
    """Fine-tune a base, from the last complete checkpoint in the work folder if there is one.

    The same training on the same machine and thread count gives the same weights byte for byte, also after a kill. An update
    sums over the same rows whatever the number of processes, only in another order (and the last update of an epoch sees up
    to one batch per process twice).

    Args:
        processes: how many run this at the same time, each with the whole corpus.
        deepspeed: its settings file.
        callbacks: of the trainer, in addition to ours.
    Raises:
        BadInput: when no example fits max_length.
        RuntimeError: when fewer processes than stated, or no DeepSpeed, came up.
    """
    recipe = training.recipe
    adapters.check(recipe, torch.cuda.is_available())
    torch.set_num_threads(recipe["threads"])
    disable_progress_bars()
    set_seed(training.seed)
    folder = training.work / "checkpoints"
    # before the model: DeepSpeed divides it among the processes as it is loaded
    options = arguments(recipe, training.seed, folder, processes, deepspeed)
    tokenizer = loading.load_tokenizer(training.model, training.chat)
    tokenizer.padding_side = "right"
    examples, counts = encode(
        tokenizer, training.rows, training.chat, recipe["max_length"], training.unfinished, training.ids
    )
    proof.write(training, tokenizer, training.work / proof.NAME)
    # float32 weights; the recipe's bfloat16 is mixed precision
    network = adapters.base(training.model, recipe, spread=processes == 1 and deepspeed is None).train()
    checks.check_ids(tokenizer, network)
    try_save(network, tokenizer)
    name_experts(network.config)
    trainer = Trainer(
        model=network,
        args=options,
        train_dataset=Dataset.from_list(examples),
        processing_class=tokenizer,
        peft_config=adapters.config(recipe["lora"]),
    )
    refuse_fallback(trainer, processes, deepspeed)
    apart = packing.prepare(trainer, tokenizer.pad_token_id, examples, recipe["packing"])
    mark = readers(processes, deepspeed)
    with PartialState().main_process_first():
        checkpoint = trainer.checkpoint = last_checkpoint(folder, mark)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Checkpoints(trainer, int(checkpoint.name.split("-")[1]) if checkpoint else 0, mark))
    for callback in callbacks:
        trainer.add_callback(callback)
    print(f"{len(examples)} examples, {'from ' + checkpoint.name if checkpoint else 'from the start'}", flush=True)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    final, moved = save(trainer, tokenizer, training, examples)
    log = log_rows(trainer.state.log_history)
    notes = [
        *chat.warnings(tokenizer, training.chat),
        apart and apart.note,
        moved,
        divergence.growth([row["loss"] for row in log]),
    ]
    facts = {
        "steps": trainer.state.global_step,
        "examples": len(examples),
        "trained_tokens": int(sum(sum(e["completion_mask"]) for e in examples) * recipe["num_train_epochs"]),
        "learning_rate": recipe["learning_rate"],
        **counts,
        "notes": [note for note in notes if note],
    }
    return Trained(final, facts, log)


def refuse_fallback(trainer: Trainer, processes: int, deepspeed: Path | None) -> None:
    """Raise RuntimeError unless this many processes train together, and with DeepSpeed exactly if its settings are given."""
    together = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    if (together, trainer.args.world_size) != (processes, processes):
        counts = f"{together} in the process group, {trainer.args.world_size} in the trainer"
        raise RuntimeError(f"{processes} processes were asked for, found: {counts}")
    is_on = trainer.accelerator.distributed_type == DistributedType.DEEPSPEED
    if is_on != (deepspeed is not None):
        raise RuntimeError(f"DeepSpeed is {'on' if is_on else 'off'}, asked for was {deepspeed}")


def save(
    trainer: Trainer, tokenizer: PreTrainedTokenizerBase, training: Training, examples: Sequence[dict]
) -> tuple[Path, str | None]:
    """Save weights in the recipe's dtype, and the tokenizer. All ranks must call it.

    An adapter is merged into the weights, and is also saved by itself, in adapter/.

    Returns:
        the folder; and where 4-bit weights were trained, a sentence on what merging into the base's own weights moved.
    """
    folder, recipe, moved = training.work / "final", training.recipe, None
    network = trainer.accelerator.unwrap_model(trainer.model)
    # under ZeRO each rank holds a part; this collects all, in the recipe's dtype
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped) if trainer.is_deepspeed_enabled else None
    if trainer.is_world_process_zero():
        shutil.rmtree(folder, ignore_errors=True)
        if hasattr(network, "merge_and_unload"):
            network.save_pretrained(folder / loading.ADAPTER, state_dict=state)
            if adapters.is_quantized(recipe):
                trained, network = network, adapters.merged(training.model, folder / loading.ADAPTER)
                moved = adapters.difference(trained, network, examples)
            elif state is None:
                network = network.merge_and_unload()
            else:
                network = adapters.merged(training.model, folder / loading.ADAPTER)
            state = None
        if state is None:
            network = network.to(getattr(torch, recipe["dtype"]))
        divergence.refuse_weights(network.named_parameters() if state is None else state.items())
        network.save_pretrained(folder, state_dict=state)
        tokenizer.padding_side = "left"
        tokenizer.save_pretrained(folder)
    PartialState().wait_for_everyone()
    return folder, moved


def name_experts(config: PretrainedConfig) -> None:
    """Let a mixture of experts say how many it has under the name that TRL reads; Granite and others have another one."""
    text = config.get_text_config()
    if hasattr(text, "num_local_experts") and not hasattr(text, "num_experts"):
        # of the class, so that it is not saved with the student
        type(text).attribute_map = {**type(text).attribute_map, "num_experts": "num_local_experts"}


def try_save(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Save all but the weights once, before the first step: a training that cannot be saved would be lost.

    A model's sampling defaults are not used here. Where they are not valid, so that they cannot be saved, they are left out.

    Raises:
        BadInput: when the model's config or its tokenizer cannot be saved.
    """
    defaults = network.generation_config
    with TemporaryDirectory() as folder:
        try:
            defaults.save_pretrained(folder)
        except ValueError as error:
            ids = {key: getattr(defaults, key) for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
            network.generation_config = GenerationConfig(**ids)
            message = loading.first_line(error)
            print(f"generation_config.json is not valid, the student gets its token ids only: {message}", flush=True)
        for name, part in {"config": network.config, "tokenizer": tokenizer}.items():
            try:
                part.save_pretrained(folder)
            except OSError:
                raise
            except Exception as error:
                raise BadInput(
                    f"{network.name_or_path}: its {name} cannot be saved, so a student of it would be lost: "
                    f"{loading.first_line(error)}; correct the model's files"
                ) from error


def log_rows(history: list[dict]) -> list[dict]:
    """Return the trainer's log as rows of artifacts.TRAINING_LOG, without anything that depends on time."""
    keys = ("step", "epoch", "loss", "learning_rate", "grad_norm")
    return [{key: entry.get(key) for key in keys} for entry in history if "loss" in entry]
