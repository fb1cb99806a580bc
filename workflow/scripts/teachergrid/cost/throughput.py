"""How long a job takes by arithmetic: FLOPs, bandwidth, steps, starting and loading. All rates of models are in this module.

They are set by published runs on an H100 (listed in tests/cost/test_throughput.py). For other GPUs they are scaled by the data
sheets: computing by TFLOP/s, reading weights by bandwidth.
"""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

from . import architecture
from .machines import Device, read
from .workload import Work, copies, shared_by

# share of a device's peak: in a forward pass; in SFT by float32 weights under bfloat16 autocast, and on a CPU
FORWARD, TRAINING, TRAINING_CPU = 0.45, 0.33, 0.55
# seconds of overhead: of a layer, however little it computes (kernels are started from Python), and of a step outside its
# layers. A GPU computes what was started before meanwhile, so that the longer of the two counts; a CPU does one after the other
LAYER, STEP = 0.0007, 0.003
# forward and backward, logits, optimizer
TRAINING_LAYERS, TRAINING_STEP = 4, 0.01
# a batch generates until its longest response ends. Lengths of one teacher's responses spread like a log-normal distribution of
# this deviation: then the longest of 32 is 2.9 times the mean (2.6 to 3.5 in published sets of responses)
LENGTHS = 0.6
# FLOPs a parameter and token: forward, and with backward (LoRA has no gradients of weights)
PASS, TRAINED, TRAINED_LORA, RECOMPUTED = 2, 6, 4, 4 / 3
# factors of time: DeepSpeed's stages on one node, several nodes, and padding where rows of unlike length share a batch
ZERO, NODES, PADDED = {"zero2": 1.1, "zero3": 1.35, "zero3_offload": 3.0}, 1.15, 1.5
# seconds until a model is loaded: imports and CUDA; and GB a second of weights from the file system. On a CPU, between those of a
# job that is a fork of a process that has imported already (1 to 2 s; see job/forks.py) and of one that imports by itself (5 to 6 s)
START, START_CPU, START_TRAINING, START_TRAINING_CPU = 30, 3.3, 60, 4.5
LOADING = 1.0
# vLLM on an H100: seconds of one GPU a token, those for a billion parameters (in 16 and in 8 bits), and for each further GPU that
# shares a model, times the root of its billions; a job's last responses leave a share of that. On a CPU core: seconds of Python a token
TOKEN, TOKEN_SIZE, TOKEN_SIZE_8BIT, TOKEN_SHARED, FULL, TOKEN_CPU = 57e-6, 15e-6, 11e-6, 38e-6, 0.8, 140e-6
# seconds until vLLM has loaded a model: it also compiles, and measures how much memory is free
START_VLLM, START_VLLM_CPU = 100, 20
# tokens a second of an endpoint for one job: 16 requests at a time with 50 each, a guess; limits per minute may be lower
TOKENS_OF_ENDPOINT = 16 * 50
# rules without a model: seconds to start, or of what they do whatever their rows (a bootstrap, pages), and rows a second
START_TABLE, STARTS = 0.6, {"gate": 0.27, "metric": 0.8, "correlate": 10, "report": 2.5}
ROWS = {
    "load_instructions": 20_000,
    "check": 5_000,
    "verify": 5_000,
    "select": 20_000,
    "metric": 22_000,
    "correlate": 5_000,
}
ROWS_OTHERWISE = 20_000
# constraints a second whose functions are called in the sandbox: 8 of each, at 45 ms of CPU time, and a few that run into their limit
CALLED = 2


class Seconds(NamedTuple):
    """Seconds of a job. start: independent of the number of rows. work: for its rows."""

    start: float
    work: float


def seconds(work: Work, device: Device) -> Seconds:
    """Return the seconds of a job on one kind of device. A device without memory is a CPU core."""
    if work.get("engine") in DECODERS and decoder(work.get("engine")).remote:
        return Seconds(decoder(work.get("engine")).start_cpu, decoder(work.get("engine")).work(work, device))
    if not work.parameters:
        rate = CALLED if work.get("calls_functions") else ROWS.get(work.rule, ROWS_OTHERWISE)
        return Seconds(STARTS.get(work.rule, START_TABLE), work.rows / rate)
    on_cpu = device.memory_gb is None
    if work.rule == "finetune":
        gigabytes = 3 * 4 * work.parameters  # read, and kept and written in float32
        return Seconds((START_TRAINING_CPU if on_cpu else START_TRAINING) + gigabytes / LOADING, _train(work, device))
    loading = work.get("bytes", 2) * work.parameters / LOADING
    if work.get("limit") is None:
        return Seconds((START_CPU if on_cpu else START) + loading, _score(work, device))
    engine = decoder(work.get("engine"))
    read = _read(work, device, engine) if work.rule == "ask" else 0.0
    return Seconds((engine.start_cpu if on_cpu else engine.start) + loading, engine.work(work, device) + read)


class Decoder(NamedTuple):
    """What generating costs under an engine.

    start, start_cpu: seconds until its model is loaded. work: seconds for a job's rows. least: requests that have to fit into memory
    at once; None: a batch. faster: what takes less time. host_mb: memory of each of its processes beside weights and tables, in MB. remote: the model
    runs elsewhere.
    """

    start: float
    start_cpu: float
    work: Callable[[Work, Device], float]
    least: int | None = None
    faster: str = ""
    host_mb: int = 0
    remote: bool = False


def decoder(engine: str | None) -> Decoder:
    """Return what generating costs under an engine; under one that is not listed, as much as by transformers."""
    return DECODERS.get(engine or "", DECODERS["transformers"])


def _stream(work: Work, device: Device) -> float:
    """Return the seconds of generation by vLLM, which always has as many responses at work as fit."""
    tokens = work.rows * work.written
    if device.memory_gb is None:
        return tokens * TOKEN_CPU + _forward(work, device, tokens)
    share = shared_by(max(work.gpus, 1), work.parameters * work.get("bytes", 2), device.memory_gb)
    return tokens * token(work.parameters, work.get("bytes", 2), share, device) / max(work.gpus, 1)


def _read(work: Work, device: Device, engine: "Decoder") -> float:
    """Return the seconds that prompts take. A judge reads two answers and may write one token; what others read is in the rates."""
    seconds = _forward(work, device, work.rows * work.read)
    return seconds / max(work.gpus, 1) if engine.least and device.memory_gb is not None else seconds


def token(billions: float, bytes_per_weight: float, share: int, device: Device) -> float:
    """Return the GPU-seconds of a token by vLLM. share: GPUs that share a copy of the model.

    Other GPUs than an H100 are slower by the mean of what their data sheets say of computing and of bandwidth: 2 to 2.6 times for
    an A100, as published.
    """
    size = TOKEN_SIZE if bytes_per_weight > 1 else TOKEN_SIZE_8BIT
    known = read().device("h100")
    slower = math.sqrt(known.bf16_tflops * known.bandwidth_gbs / (device.bf16_tflops * device.bandwidth_gbs))
    return (TOKEN + size * billions + TOKEN_SHARED * math.sqrt(billions) * (share - 1)) * slower / FULL


def _generate(work: Work, device: Device) -> float:
    """Return the seconds of generation by transformers: batch after batch, token after token. GPUs that share a model take turns."""
    batch = min(work.rows, work.get("batch"))
    batches = math.ceil(work.rows / work.get("batch"))
    steps = min(longest_of(batch) * work.written, work.get("limit"))
    read = work.get("bytes", 2) * work.parameters / device.bandwidth_gbs
    return batches * steps * (STEP + _beside(_layers(work) * LAYER, max(read, _forward(work, device, batch)), device))


def longest_of(batch: float) -> float:
    """Return how many times the mean the longest of a batch of responses is expected to be (Blom's approximation)."""
    if batch <= 1:
        return 1.0
    highest = NormalDist().inv_cdf((batch - 0.375) / (batch + 0.25))
    return max(1.0, math.exp(LENGTHS * highest - LENGTHS**2 / 2))


def _beside(started: float, computed: float, device: Device) -> float:
    """Return the seconds of work that Python starts and a device computes."""
    return started + computed if device.memory_gb is None else max(started, computed)


def _score(work: Work, device: Device) -> float:
    """Return the seconds of reward models and likelihoods: forward passes over whole sequences.

    Copies of a model score side by side; GPUs that share one model take turns.
    """
    if work.rule in ("likelihood", "loss"):
        # with the question and without it, in each text format
        tokens = work.rows * work.get("formats", 2) * (work.read + 2 * work.written)
        batches = tokens / work.get("batch_tokens")
    else:
        tokens = work.rows * (work.read + work.written)
        batches = work.rows / work.get("batch")
    started = math.ceil(batches) * (_layers(work) * LAYER + STEP)
    return _beside(started, _forward(work, device, tokens), device) / copies(work, device.memory_gb)


def _forward(work: Work, device: Device, tokens: float) -> float:
    """Return the seconds of forward passes over so many tokens."""
    return tokens * PASS * work.parameters * 1e9 / (FORWARD * _peak(device, work.get("bytes", 2) == 4))


def _train(work: Work, device: Device) -> float:
    """Return the seconds of all updates of SFT."""
    gpus, batch = max(work.gpus, 1) if device.memory_gb else 1, work.get("batch")
    length = min(work.read + work.written, work.get("max_length"))
    rows = work.rows * work.get("num_train_epochs")
    flops = TRAINED_LORA if work.get("lora") else TRAINED
    recomputed = RECOMPUTED if work.get("gradient_checkpointing") else 1
    padded = 1 if work.get("packing") or work.get("group_by_length") or batch == 1 else PADDED
    share = TRAINING_CPU if device.memory_gb is None else TRAINING
    peak = share * _peak(device, work.get("dtype") == "float32")
    computed = rows * length * padded * flops * recomputed * work.parameters * 1e9 / peak
    steps = rows * length / work.get("max_length") if work.get("packing") else rows
    updates = math.ceil(steps / batch)
    started = updates * TRAINING_LAYERS * recomputed * _layers(work) * LAYER
    shared = ZERO.get(work.get("deepspeed"), 1) * (NODES if work.nodes > 1 else 1)
    return (updates * TRAINING_STEP + _beside(started, computed, device)) * shared / gpus


def _layers(work: Work) -> float:
    return max(1.0, architecture.depth(work.parameters))


def _peak(device: Device, full: bool) -> float:
    """Return FLOP/s. full: in float32."""
    return (device.fp32_tflops if full else device.bf16_tflops) * 1e12


def _ask(work: Work, _device: Device) -> float:
    """Return the seconds in which an endpoint answers, as long as its limits per minute do not bind."""
    return work.rows * work.written / TOKENS_OF_ENDPOINT


# by the name of the engine
DECODERS = {
    "transformers": Decoder(
        START,
        START_CPU,
        _generate,
        faster="it decodes batch after batch, each until its longest response ends: on a GPU `engine: vllm` takes a tenth of that. "
        "Otherwise a larger `batch` of its models, where memory allows it, takes less time nearly in proportion",
    ),
    "vllm": Decoder(
        START_VLLM,
        START_VLLM_CPU,
        _stream,
        least=1,
        faster="quantised weights (fp8) or a shorter `max_tokens` take less time",
        # on a CPU with a cache of 1 GiB: 3.0 GB were used; on a GPU with what was compiled
        host_mb=4_000,
    ),
    "openai": Decoder(START_TABLE, START_TABLE, _ask, remote=True),
}
