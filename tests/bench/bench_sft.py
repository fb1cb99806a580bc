"""Tokens per second of SFT, side by side: this package and a bare TRL script with the same recipe, packed and not packed.

    make bench-sft                                      about five minutes on two cores; a random Llama of 14 M parameters
    make bench-sft OPTIONS="--repeat 1"                 one round in place of three, some two minutes
    make bench-sft OPTIONS="--width 512 --layers 6"     a larger model, of 29 M parameters

Lengths are lognormal with a median of 200 tokens (sigma 0.7), cut at 1,024. An update reads two packed rows, or eight padded examples in
one batch (the size that TRL and transformers have by default). The four variants run in turn, each second round backwards, after a
short training that counts for nothing; ratios are medians over rounds. Time is that of the training loop, without loading and
saving. CPU time is less disturbed by other work on the machine than wall time.
"""

import argparse
import random
import tempfile
from pathlib import Path
from statistics import median

import tiny
import torch
from datasets import Dataset, disable_progress_bars
from sft_speed import CHAT, Clock, bare, corpus, ours
from teachergrid.models import chat, loading
from teachergrid.spec import schema
from transformers import AutoConfig, AutoModelForCausalLM
from trl import pack_dataset

LONGEST = 1024
WHO = {"teachergrid": ours, "bare TRL": bare}


def model_in(folder: Path, vocabulary: int, width: int, layers: int) -> dict:
    words = tiny.tokenizer()
    words.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": 8,
        "intermediate_size": 3 * width,
    }
    config = AutoConfig.for_model("llama", vocab_size=vocabulary, max_position_embeddings=2 * LONGEST, **sizes)
    AutoModelForCausalLM.from_config(config).float().save_pretrained(folder)
    return schema.filled({"repo": str(folder), "dtype": "float32"}, schema.definition("model"))


def filled(rows: int, length: int) -> float:
    """Return the share of packed rows of a length that holds tokens, over so many examples of the same distribution."""
    drawn = random.Random(2)
    examples = [{"input_ids": [0] * min(int(drawn.lognormvariate(5.3, 0.7)), length)} for _ in range(rows)]
    packed = pack_dataset(Dataset.from_list(examples), length, "bfd")
    return sum(len(example["input_ids"]) for example in examples) / (length * len(packed))


def recipe(packing: bool) -> dict:
    settings = {"max_length": LONGEST, "num_train_epochs": 1, "warmup_steps": 0, "dtype": "float32", "packing": packing}
    batch = {"per_device_train_batch_size": 1 if packing else 8, "gradient_accumulation_steps": 2 if packing else 1}
    return schema.filled(settings | batch, schema.definition("recipe"))


def ratio(rounds: list[dict[str, Clock]], quick: str, slow: str, time: str) -> str:
    """Return how many times as fast one variant is as another: the median over rounds, and the range."""
    found = [getattr(clocks[slow], time) / getattr(clocks[quick], time) for clocks in rounds]
    return f"{median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--width", type=int, default=384, help="hidden size")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=3, help="rounds")
    settings = parser.parse_args()
    disable_progress_bars()
    rows = corpus(settings.rows, LONGEST)
    variants = {f"{who}, {how}": (train, how == "packed") for how in ("packed", "padded") for who, train in WHO.items()}
    rounds: list[dict[str, Clock]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = model_in(folder / "model", settings.vocabulary, settings.width, settings.layers)
        tokenizer = loading.load_tokenizer(model, CHAT)
        tokens = sum(len(chat.example(tokenizer, *row, CHAT).input_ids) for row in rows)
        ours(model, rows[:2], recipe(True), folder / "first")
        for number in range(settings.repeat):
            in_turn = reversed(variants) if number % 2 else iter(variants)
            rounds.append({})
            for variant in in_turn:
                train, packing = variants[variant]
                rounds[-1][variant] = train(model, rows, recipe(packing), folder / f"{variant} {number}")
    shares = ", ".join(f"{100 * filled(5000, length):.1f} % ({length})" for length in (1024, 4096, 8192))
    print(f"5,000 examples fill packed rows to {shares}")
    print(f"{settings.rows} rows, {tokens} tokens, {torch.get_num_threads()} thread")
    print(f"{'':24}{'read/tokens':>12}{'tokens/s':>10}{'tokens/CPU-s':>14}")
    for variant in variants:
        clocks = [found[variant] for found in rounds]
        wall, cpu = (median(getattr(clock, time) for clock in clocks) for time in ("wall", "cpu"))
        print(f"{variant:24}{clocks[0].read / tokens:12.2f}{tokens / wall:10.0f}{tokens / cpu:14.0f}")
    for quick, slow in (
        ("teachergrid, packed", "bare TRL, packed"),
        ("teachergrid, padded", "bare TRL, padded"),
        ("teachergrid, packed", "teachergrid, padded"),
    ):
        print(
            f"{quick} / {slow}: CPU time {ratio(rounds, quick, slow, 'cpu')}, wall time {ratio(rounds, quick, slow, 'wall')}"
        )


if __name__ == "__main__":
    main()
