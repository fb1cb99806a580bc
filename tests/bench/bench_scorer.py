"""Time the likelihood scorer against the published way, in one run on one machine: `make bench-scorer`.

The published way takes one example at a time and three passes with `labels=`: A given Q, A alone, and Q (as the IFD code of
Li et al., arXiv:2308.12032, and those who compute CAR do). Both get the same texts, templates and weights. The model has a
real architecture and vocabulary and random weights, so that nothing is downloaded; lengths are those of real answers.

Rounds interleave the variants, and the best round of each counts. On a CPU this is the processor time of one thread, which a
busy machine changes less than the wall time. On a GPU it is the wall time up to the last kernel.
"""

import argparse
import math
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

import tiny
from teachergrid.data import files
from teachergrid.models import caches, chat
from teachergrid.scoring import likelihood, logprobs
from teachergrid.store import artifacts

CHAT = {"template": "own", "template_args": {}, "system": None, "plain": "Question: {question}\n"}
OPTIONS = {
    "formats": ["chat"],
    "tokens": True,
    "rank_cap": 100,
    "max_length": 4096,
    "subset": None,
    "batch_tokens": 8192,
    "shard": 1024,
}
SHAPES = {
    # the width and heads of Qwen2.5-0.5B and half of its layers; Qwen2.5-1.5B
    "cpu": {
        "hidden_size": 896,
        "num_hidden_layers": 12,
        "intermediate_size": 4864,
        "num_attention_heads": 14,
        "vocab_size": 102_400,
    },
    "cuda": {
        "hidden_size": 1536,
        "num_hidden_layers": 28,
        "intermediate_size": 8960,
        "num_attention_heads": 12,
        "vocab_size": 151_936,
    },
}
BARS = {"cpu": (("ours bfloat16", 3), ("ours float32", 1.3)), "cuda": (("ours bfloat16", 20),)}


class Measured(NamedTuple):
    seconds: float
    values: list[tuple[float, float, float]]  # mean loss of A given Q, A and Q in each row, A with its end token


def main() -> None:
    options = arguments()
    if options.memory:
        return memory(options.memory)
    import torch

    grown = flat_memory()
    torch.set_num_threads(options.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer, rows = tiny.tokenizer(), texts(options.rows or {"cpu": 5, "cuda": 512}[device])
    tokenizer.model_max_length = OPTIONS["max_length"]
    networks = {dtype: network(dtype, device) for dtype in ("float32", "bfloat16")}
    variants = {
        "published float32": lambda: published(tokenizer, networks["float32"], rows),
        "ours float32": lambda: ours(tokenizer, networks["float32"], rows),
        "published bfloat16": lambda: published(tokenizer, networks["bfloat16"], rows),
        "ours bfloat16": lambda: ours(tokenizer, networks["bfloat16"], rows),
    }
    print(f"{describe(networks['float32'], device)}, {options.threads} thread(s); {len(rows)} rows", flush=True)
    pairs = likelihood.tokenized_pairs(tokenizer, rows, CHAT, "chat", OPTIONS["max_length"])
    lengths = [len(ids) for pair in pairs for ids in (pair.with_prompt, pair.without_prompt)]
    batches = list(logprobs.batches(lengths, OPTIONS["batch_tokens"]))
    padded = sum(lengths[batch[0]] * len(batch) for batch in batches)
    ratio = padded / sum(lengths)
    print(
        f"answers of {min(p.n_answer for p in pairs)} to {max(p.n_answer for p in pairs)} tokens; {sum(lengths)} tokens in"
    )
    print(f"{len(lengths)} sequences, {len(batches)} batches, padded/real {ratio:.3f}\n", flush=True)

    networks_ready(variants, device)
    best: dict[str, Measured] = {}
    for _ in range(options.rounds):
        for name, variant in variants.items():
            found = timed(variant, device)
            best[name] = min(best.get(name, found), found, key=lambda it: it.seconds)
    speeds(best)
    print()
    for dtype, model in networks.items():
        bound(f"ours {dtype}", best[f"ours {dtype}"].seconds, model, tokenizer, rows, pairs, padded, dtype, device)
    print()
    verdict(best, ratio, grown, device)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, help="responses to score (5, on a GPU 512)")
    parser.add_argument("--rounds", type=int, default=2, help="of which the best counts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--memory", type=int, help=argparse.SUPPRESS
    )  # rows: print this process' peak memory after them
    return parser.parse_args()


# --- texts and models


def texts(n: int, scale: float = 1) -> list[tuple[list[dict], str]]:
    """Return (messages, answer) with prompts of about 100 to 300 tokens and answers of about 50 to 600 (log-normal, median
    220), both at even quantiles, so that few rows have the mean of many."""
    rng = random.Random(0)
    shares = [(i + 0.5) / n for i in range(n)]
    asked = [100 + 200 * share for share in rng.sample(shares, n)]
    said = [min(590, max(50, math.exp(NormalDist(5.4, 0.6).inv_cdf(share)))) for share in shares]

    def words(number: float) -> str:
        return " ".join(rng.choices(tiny.WORDS, k=max(1, int(number * scale))))

    return [([{"role": "user", "content": words(q)}], words(a)) for q, a in zip(asked, said, strict=True)]


def network(dtype: str, device: str):
    """Return the same random Qwen2 in each dtype."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        "qwen2", **SHAPES[device], num_key_value_heads=2, max_position_embeddings=4096, tie_word_embeddings=True
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=torch.float32)
    return model.to(device, getattr(torch, dtype)).eval()


def describe(model, device: str) -> str:
    import torch

    config, million = model.config, sum(weight.numel() for weight in model.parameters()) / 1e6
    where = torch.cuda.get_device_name() if device == "cuda" else f"CPU {caches.node_type().partition('--')[2]}"
    return f"qwen2 of {million:.0f} M parameters, vocabulary {config.vocab_size}; {where}; torch {torch.__version__}"


# --- the two ways


def published(tokenizer, model, rows) -> list[tuple[float, float, float]]:
    import torch

    end, header = chat.end(tokenizer, CHAT), chat.header(tokenizer, CHAT)

    def loss(ids: list[int], labels: list[int]) -> float:
        with torch.no_grad():
            given = {"input_ids": torch.tensor([ids]), "labels": torch.tensor([labels])}
            return model(**{name: tensor.to(model.device) for name, tensor in given.items()}).loss.item()

    found = []
    for messages, text in rows:
        prompt, said = chat.prompt(tokenizer, messages, CHAT), chat.response(tokenizer, text) + end
        question = [token if asked else -100 for token, asked in zip(prompt.ids, prompt.question, strict=True)]
        found.append(
            (
                loss(prompt.ids + said, [-100] * len(prompt.ids) + said),
                loss(header + said, [-100] * len(header) + said),
                loss(prompt.ids, question),
            )
        )
    return found


def ours(tokenizer, model, rows) -> list[tuple[float, float, float]]:
    found = likelihood.score_rows(tokenizer, model, rows, CHAT, "chat", OPTIONS)
    return [
        (
            -(row["answer_given_question"] + row["end_given_question"]) / (row["n_answer"] + row["n_end"]),
            -(row["answer"] + row["end"]) / (row["n_answer"] + row["n_end"]),
            -row["question"] / row["n_question"],
        )
        for row in found
    ]


# --- clocks


def clock(device: str) -> float:
    import torch

    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def timed(work, device: str) -> Measured:
    start = clock(device)
    values = work()
    return Measured(clock(device) - start, values)


def networks_ready(variants: dict, device: str) -> None:
    """Let a GPU load its kernels; a CPU has none to load, and a round is long."""
    if device == "cuda":
        for variant in variants.values():
            variant()


def speeds(best: dict[str, Measured]) -> None:
    slow, plain = best["published float32"], best["published bfloat16"]
    print(f"{'':20}{'rows/s':>9}{'against published':>20}{'same dtype':>12}{'largest difference':>21}")
    for name, found in best.items():
        same = plain if "bfloat16" in name else slow
        print(
            f"{name:20}{len(found.values) / found.seconds:9.2f}{slow.seconds / found.seconds:19.2f}x"
            f"{same.seconds / found.seconds:11.2f}x{apart(found, slow):16.0e} nats"
        )


def apart(one: Measured, other: Measured) -> float:
    """Return the largest difference of two losses."""
    return max(abs(a - b) for a, b in zip(sum(one.values, ()), sum(other.values, ()), strict=True))


# --- what bounds it


def bound(name, seconds, model, tokenizer, rows, pairs, padded, dtype, device) -> None:
    """Print where the time goes, and the time that the matrix products alone would take at the measured peak."""
    import torch

    config = model.config
    weights = sum(weight.numel() for weight in model.base_model.parameters()) - config.vocab_size * config.hidden_size
    counted = sum(len(pair.question) + 2 * (pair.n_answer + pair.n_end) for pair in pairs)
    head = 2 * counted * config.vocab_size * config.hidden_size
    body = 2 * padded * weights
    attention = sum(
        2 * len(ids) ** 2 * config.num_hidden_layers * config.hidden_size
        for pair in pairs
        for ids in (pair.with_prompt, pair.without_prompt)
    )
    peak, bandwidth = matmul_peak(getattr(torch, dtype), device), copy_bandwidth(device)
    needed = (body + head + attention) / peak
    prepared = least(
        lambda: likelihood.tokenized_pairs(tokenizer, rows, CHAT, "chat", OPTIONS["max_length"]), device, 2
    )
    once = sum(weight.numel() * weight.element_size() for weight in model.parameters()) / bandwidth
    print(
        f"{name}: {(body + head + attention) / seconds / 1e9:.0f} GFLOP/s of a measured peak of {peak / 1e9:.0f}"
        f" ({needed / seconds:.0%}): arithmetic alone takes {needed:.2f} of {seconds:.2f} s"
        f" (layers {body / peak:.2f}, output layer {head / peak:.2f}, attention {attention / peak:.2f})"
    )
    print(f"  templates and tokens, in Python: {prepared / seconds:.1%}, {len(rows) / prepared:.0f} rows/s")
    print(f"  reading all weights once: {once:.3f} s at {bandwidth / 1e9:.0f} GB/s")
    for kind, share in profile(lambda: ours(tokenizer, model, rows[:3]), device).items():
        print(f"  {kind}: {share:.0%}")


KINDS = {
    "matrix products": ("mm", "addmm", "bmm", "linear"),
    "attention": ("scaled_dot_product",),
    "softmax and ranks over the vocabulary": ("log_softmax", "gt", "gather", "sum"),
}


def profile(work, device: str) -> dict[str, float]:
    """Return the share of time of each kind of operation; on a GPU, of its busy time."""
    from torch import profiler

    with profiler.profile(
        activities=[profiler.ProfilerActivity.CPU, profiler.ProfilerActivity.CUDA][: 1 + (device == "cuda")]
    ) as seen:
        work()
    time_of = "self_device_time_total" if device == "cuda" else "self_cpu_time_total"
    spent = dict.fromkeys([*KINDS, "elementwise, copies, rest"], 0.0)
    for event in seen.key_averages():
        if event.key.startswith("aten::"):
            operation = event.key.removeprefix("aten::").lstrip("_")
            kind = next((k for k, ops in KINDS.items() if operation.startswith(ops)), "elementwise, copies, rest")
            spent[kind] += getattr(event, time_of)
    whole = sum(spent.values())
    return {kind: time / whole for kind, time in spent.items()}


def matmul_peak(dtype, device: str) -> float:
    """Return the largest FLOP/s of a matrix product over some shapes."""
    import torch

    size = 8192 if device == "cuda" else 1024
    speeds = []
    for m, k, n in ((size, size, size), (size // 4, size, 4 * size), (size, size, 4 * size)):
        a, b = (torch.randn(shape, device=device, dtype=dtype) for shape in ((m, k), (n, k)))
        seconds = least(lambda a=a, b=b: torch.nn.functional.linear(a, b), device, 5)
        speeds.append(2 * m * k * n / seconds)
    return max(speeds)


def copy_bandwidth(device: str) -> float:
    """Return bytes read and written per second by a copy of 256 MB."""
    import torch

    source = torch.ones(2**26, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / least(lambda: target.copy_(source), device, 5)


def least(work, device: str, times: int) -> float:
    work()
    return min(timed(work, device).seconds for _ in range(times))


# --- memory


def flat_memory(rows: int = 4000) -> float:
    """Print the peak memory of a whole job over a corpus and one four times as large; return its growth per row in KB."""
    peaks, sizes = [], []
    for n in (rows, 4 * rows):
        command = [sys.executable, __file__, "--memory", str(n)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        peaks.append(float(said[-2]))
        sizes.append(float(said[-1]))
    grown = (peaks[1] - peaks[0]) / (3 * rows)
    print(
        f"peak memory of a job: {peaks[0] / 1e3:.0f} MB for {rows} rows, {peaks[1] / 1e3:.0f} MB for {4 * rows}; "
        f"{grown:.1f} KB more a row, whose texts take {sizes[1] / 4 / rows:.1f} KB"
    )
    return grown


def memory(n: int) -> None:
    """Score n rows with a tiny model from tables to files, and print peak memory and the texts' size in KB."""
    rows = texts(n, scale=0.3)
    chats = [messages + [{"role": "user", "content": str(i)}] for i, (messages, _) in enumerate(rows)]
    ids = [files.message_id(messages) for messages in chats]
    asked = [{"id": key, "messages": m, "source": "bench", "round": 0} for key, m in zip(ids, chats, strict=True)]
    said = [
        {"id": key, "sample": 0, "response": text, "finish_reason": "stop"}
        for key, (_, text) in zip(ids, rows, strict=True)
    ]
    instructions, responses = artifacts.table(asked, artifacts.INSTRUCTIONS), artifacts.table(said, artifacts.RESPONSES)
    size = (instructions.nbytes + responses.nbytes) / 1e3
    del rows, chats, ids, asked, said
    with tempfile.TemporaryDirectory() as folder:
        entry = {"revision": None, "dtype": "float32", "attention": "sdpa", "trust_remote_code": False}
        entry["repo"] = str(tiny.make(Path(folder, "model"), positions=4096))
        settings = {"scorer": CHAT, "model": entry, "likelihood": OPTIONS | {"shard": 128}}
        for format, tables in likelihood.score(responses, instructions, settings, Path(folder, "work")).items():
            artifacts.write(Path(folder, f"{format}.parquet"), tables, artifacts.LIKELIHOODS, None)
    # not getrusage, whose peak counts what the parent held when it started this process
    print(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1], size)


# --- bars


def verdict(best: dict[str, Measured], ratio: float, grown: float, device: str) -> None:
    slow = best["published float32"]
    bars = [
        (f"{name} {slow.seconds / best[name].seconds:.2f}x of {bar}x", slow.seconds / best[name].seconds >= bar)
        for name, bar in BARS[device]
    ]
    off = apart(best["ours float32"], slow)
    bars += [
        (f"float32 losses differ by {off:.0e}, at most 1e-4", off <= 1e-4),
        (f"padded/real {ratio:.3f} under 1.1", ratio < 1.1),
        (f"memory grows by {grown:.1f} KB a row, at most 8", grown <= 8),
    ]
    for text, met in bars:
        print(f"{'met   ' if met else 'MISSED'} {text}")
    sys.exit(not all(met for _, met in bars))


if __name__ == "__main__":
    main()
