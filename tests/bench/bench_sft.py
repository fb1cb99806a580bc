"""Tokens per second of SFT, side by side: this package and a bare TRL script with the same recipe, packed and not packed.

    make bench-sft        some minutes on two cores; a random Llama of 25 M parameters

Lengths are lognormal with a median of 200 tokens (sigma 0.7), cut at 1,024. Each variant runs in turn, twice, and the better run counts:
other work on the machine only slows a run down. Time is that of the training loop, without loading and saving.
"""

import argparse
import random
import tempfile
from pathlib import Path

import tiny
import torch
from datasets import Dataset, disable_progress_bars
from sft_speed import CHAT, Clock, bare, corpus, ours
from teachergrid.models import chat, loading
from teachergrid.spec import schema
from transformers import AutoConfig, AutoModelForCausalLM
from trl import pack_dataset

LONGEST = 1024


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=48)
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--width", type=int, default=512, help="hidden size")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--repeat", type=int, default=2)
    settings = parser.parse_args()
    disable_progress_bars()
    rows = corpus(settings.rows, LONGEST)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = model_in(folder / "model", settings.vocabulary, settings.width, settings.layers)
        tokenizer = loading.load_tokenizer(model, CHAT)
        tokens = sum(len(chat.example(tokenizer, *row, CHAT).input_ids) for row in rows)
        best: dict[tuple[str, bool], Clock] = {}
        for run in range(settings.repeat):
            for packing in (True, False):
                recipe = schema.filled(
                    {"max_length": LONGEST, "num_train_epochs": 1, "warmup_steps": 0, "dtype": "float32"}
                    | {"packing": packing, "per_device_train_batch_size": 1 if packing else 4}
                    | {"gradient_accumulation_steps": 2},
                    schema.definition("recipe"),
                )
                for who, train in (("teachergrid", ours), ("bare TRL", bare)):
                    clock = train(model, rows, recipe, folder / f"{who}{packing}{run}")
                    if (who, packing) not in best or clock.wall < best[who, packing].wall:
                        best[who, packing] = clock
    print(
        f"packed rows are full of tokens to {', '.join(f'{100 * filled(5000, n):.1f} % ({n})' for n in (1024, 4096, 8192))}"
    )
    print(f"{settings.rows} rows, {tokens} tokens, {torch.get_num_threads()} thread")
    print(f"{'':24}{'tokens/s':>10}{'tokens/CPU-s':>14}")
    for (who, packing), clock in best.items():
        print(
            f"{who + (', packed' if packing else ', padded'):24}{tokens / clock.wall:10.0f}{tokens / clock.cpu:14.0f}"
        )
    for name, one, other in (
        ("teachergrid / bare TRL, packed", ("teachergrid", True), ("bare TRL", True)),
        ("teachergrid / bare TRL, padded", ("teachergrid", False), ("bare TRL", False)),
        ("packed / padded", ("teachergrid", True), ("teachergrid", False)),
    ):
        print(f"{name}: {best[other].wall / best[one].wall:.2f} (CPU time {best[other].cpu / best[one].cpu:.2f})")


if __name__ == "__main__":
    main()
