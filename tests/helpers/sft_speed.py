"""The loop of a training, timed: this package, and a bare TRL script with the same recipe."""

import random
import time
from pathlib import Path

import tiny
import torch
from datasets import Dataset
from teachergrid.models import loading
from teachergrid.training import sft
from teachergrid.training.training import Training
from transformers import AutoModelForCausalLM, PrinterCallback, TrainerCallback
from trl import SFTTrainer

CHAT = {"template": "own", "template_args": {}, "system": None, "plain": "{question}\n"}


class Clock(TrainerCallback):
    """Measures the loop of a training. wall, cpu: seconds. updates: until the end of each, in seconds from the start.

    read: positions that the model read, those of padding included.
    """

    def on_train_begin(self, *_, model: torch.nn.Module, **__):
        self.updates, self.read = [], 0
        model.register_forward_pre_hook(self.count, with_kwargs=True)
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def count(self, _, args: tuple, inputs: dict):
        self.read += inputs["input_ids"].numel()

    def on_step_end(self, *_, **__):
        self.updates.append(time.perf_counter() - self.wall)

    def on_train_end(self, *_, **__):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.wall, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu


def corpus(rows: int, longest: int) -> list:
    """Return conversations whose answers have a median of 200 tokens, cut before `longest` tokens."""
    drawn = random.Random(1)
    made = []
    for _ in range(rows):
        length = min(int(drawn.lognormvariate(5.3, 0.7)), longest - 60)
        answer = " ".join(drawn.choice(tiny.WORDS) for _ in range(length))
        made.append(([{"role": "user", "content": " ".join(drawn.choices(tiny.WORDS, k=20))}], answer))
    return made


def ours(model: dict, rows: list, recipe: dict, work: Path) -> Clock:
    """Train as a job does. model: an entry of the config's models."""
    clock = Clock()
    sft.train(Training(rows, CHAT, model, recipe, 1, work), callbacks=[clock])
    return clock


def bare(model: dict, rows: list, recipe: dict, work: Path) -> Clock:
    """As a script with TRL alone does it: conversations in, TRL renders, packs and trains."""
    clock = Clock()
    tokenizer = loading.load_tokenizer(model, CHAT)
    pairs = [{"prompt": prompt, "completion": [{"role": "assistant", "content": answer}]} for prompt, answer in rows]
    options = sft.arguments(recipe, 1, work)
    options.max_length = recipe["max_length"]
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(model["repo"], dtype=torch.float32, attn_implementation="sdpa"),
        args=options,
        train_dataset=Dataset.from_list(pairs),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(clock)
    trainer.train()
    return clock
