"""Whether a job fits a GPU: weights, gradients, optimizer, key-value cache, activations and logits against its memory.

The sums follow what this package does: SFT holds float32 weights under bfloat16 autocast (18 bytes a parameter, LLaMA-Factory's
figure for mixed precision: 120 GB at 7 B), DeepSpeed a float32 master and 16-bit weights and gradients.
"""

from functools import cache
from itertools import product
from typing import NamedTuple

from . import architecture, throughput, workload
from .machines import CPU, Device, Machines

# memory that CUDA and its libraries take (GB), and the usable share of the rest, since the heap is fragmented
RESERVED, USABLE = 1.0, 0.97
# bytes a trained parameter: weight, gradient, Adam's two, and autocast's 16-bit copy; a frozen one, with its copy in use
MIXED, FULL, FROZEN = 18, 16, 4
# a frozen one in 4 bits with its scales; and what an optimizer in 8 bits saves
NF4, SAVED_BY_8_BITS = 0.55, 6
# DeepSpeed, bytes a parameter: 16-bit weight | its gradient, and float32 master and Adam's two
ZERO_WEIGHTS, ZERO_REST = 2, 14
# with ZeRO-3: parameters of a few layers at once, and its buffers (GB)
GATHERED = 2.0
ADAPTER = 0.03  # share of all weights, at rank 64 on all linear layers; the default rank of 16 needs less
# bytes a token, layer and unit of width: kept for the backward pass; its input alone; and a layer's own while it computes
ACTIVATIONS, CHECKPOINT, ONE_LAYER = 34, 2, 40
# bytes a token and word of the vocabulary: logits in 16 bits, in float32, and their gradient; in generation float32 twice
LOGITS_TRAINED, LOGITS = 10, 8
SCORED_LOGITS = 0.5  # GB: likelihood makes logits in chunks
GPUS, NODE = (1, 2, 4, 8, 16, 32), 8


class Change(NamedTuple):
    """A change of the config.

    text: the change as it is written in the config. settings: of the job, that it replaces. gpus: None leaves their number.
    size: how much it changes; the smallest change is proposed first.
    """

    text: str
    settings: dict
    gpus: int | None
    size: float

    @classmethod
    def of(cls, several: list["Change"]) -> "Change":
        """Return several changes as one."""
        settings = {key: value for change in several for key, value in change.settings.items()}
        gpus = next((change.gpus for change in several if change.gpus), None)
        return cls(" and ".join(change.text for change in several), settings, gpus, sum(it.size for it in several))


def fits(rule: str, row: dict, device: str, machines: Machines) -> str | None:
    """Return None when a cell fits the GPUs it requests, else a sentence with the smallest change that would make it fit.

    Returns None, too, for a model of unknown size.

    Args:
        row: of grid.cells.Cells.
        device: a GPU type, or `cpu`.
    Raises:
        BadInput: for a GPU type that the machines do not know.
    """
    if rule not in workload.MODEL_RULES or workload.known_parameters(row) is None:
        return None
    job = workload.of_row(rule, row)
    if device == CPU or not job.gpus or not job.parameters:
        return None
    machines.device(device)
    return _verdict(job._replace(rows=0), shape(row, job.parameters), device, tuple(machines.gpus.items()))


@cache
def _verdict(
    job: workload.Work, model: architecture.Shape, name: str, gpus: tuple[tuple[str, Device], ...]
) -> str | None:
    """Return the sentence of `fits`: computed once for all cells that are alike."""
    device = dict(gpus)[name]
    need = memory(job, model, device)
    if need <= usable(device):
        return None
    each = f"each of {job.gpus} {name}" if job.gpus > 1 else f"one {name}"
    problem = f"needs {need:.0f} GB on {each}, {'which have' if job.gpus > 1 else 'which has'} {device.memory_gb:g} GB"
    for change in changes(job):
        other = _changed(job, change)
        if memory(other, model, device) <= usable(device):
            return f"{problem}; it would fit with {change.text}"
    larger = [(other.memory_gb or 0.0, kind) for kind, other in gpus if memory(job, model, other) <= usable(other)]
    if larger:
        return f"{problem}; no setting makes it fit, but `gpu_model: {min(larger)[1]}` does"
    return f"{problem}; no setting and no known GPU makes it fit: use a smaller model or shorter texts"


def shape(row: dict, billions: float) -> architecture.Shape:
    """Return the shape of a cell's model: from its config.json, if this machine has it, else typical for its size."""
    return architecture.of_spec(row["spec"]) or architecture.guessed(billions)


def usable(device: Device) -> float:
    """Return the GB that a job may fill on each of its GPUs."""
    return (device.memory_gb or 0.0) * USABLE - RESERVED


def memory(job: workload.Work, shape: architecture.Shape, device: Device) -> float:
    """Return the GB that a job needs on each of its GPUs."""
    if job.rule == "finetune":
        return _trained(job, shape)
    if job.get("limit") is not None:
        return _generated(job, shape)
    return _scored(job, shape, device)


# --- what each kind of job holds


def weights(job: workload.Work) -> float:
    """Return the GB of weights, gradients and optimizer on one GPU in SFT."""
    size, gpus, stage = job.parameters, max(job.gpus, 1), job.get("deepspeed")
    half = job.get("dtype") == "bfloat16"
    trained = ADAPTER * size if job.get("lora") else size
    if stage is None:
        frozen = (NF4 if job.get("quantize") else FROZEN) * (size - trained) if job.get("lora") else 0
        return frozen + ((MIXED if half else FULL) - (SAVED_BY_8_BITS if job.get("optim") else 0)) * trained
    held = ZERO_WEIGHTS if half else FROZEN
    if stage == "zero2":
        return held * size + ZERO_REST * trained / gpus
    if stage == "zero3":
        return (held * size + ZERO_REST * trained) / gpus + GATHERED
    return GATHERED + ZERO_WEIGHTS * trained / gpus  # zero3_offload


def _trained(job: workload.Work, shape: architecture.Shape) -> float:
    """Return the GB of SFT: weights, activations and logits of one batch."""
    tokens = job.get("batch") * job.get("max_length")
    per_layer = CHECKPOINT if job.get("gradient_checkpointing") else ACTIVATIONS
    activations = tokens * shape.hidden * (shape.layers * per_layer + ONE_LAYER)
    # float32 takes twice the bytes
    wide = 1 if job.get("dtype") == "bfloat16" else 2
    return weights(job) + (wide * activations + tokens * shape.vocabulary * LOGITS_TRAINED) / 1e9


def _generated(job: workload.Work, shape: architecture.Shape) -> float:
    """Return the GB of generation: weights, and the key-value cache and logits of one batch."""
    gpus, held = max(job.gpus, 1), job.get("bytes", 2)
    each = 2 * shape.layers * shape.kv * max(held, 2) / 1e9  # keys and values of one token
    longest = (job.read + job.get("limit")) * each
    batch = throughput.decoder(job.get("engine")).least or job.get("batch")
    return (job.parameters * held + batch * longest) / gpus + batch * shape.vocabulary * LOGITS / 1e9


def _scored(job: workload.Work, shape: architecture.Shape, device: Device) -> float:
    """Return the GB of scoring: a padded batch passes one layer after the other; its logits are made in chunks, or are one number."""
    tokens = max(job.get("batch_tokens") or job.get("batch") * job.get("max_length"), job.get("max_length"))
    held, shared = job.get("bytes", 2), max(job.gpus, 1) / workload.copies(job, device.memory_gb)
    passing = tokens * (3 * shape.hidden + 3 * shape.inner) * held / 1e9
    return job.parameters * held / shared + passing + SCORED_LOGITS


# --- what would make it fit


def changes(job: workload.Work) -> list[Change]:
    """Return changes of the config, alone and combined, the smallest first."""
    choices = [_smaller(job), _gpus(job), *(_training(job) if job.rule == "finetune" else [])]
    # at most one of each kind; None takes none of it
    combined = []
    for picked in product(*([None, *kind] for kind in choices)):
        if several := [change for change in picked if change]:
            combined.append(Change.of(several))
    return sorted((change for change in combined if _possible(job, change)), key=lambda change: change.size)


def _training(job: workload.Work) -> list[list[Change]]:
    """Return what SFT alone can change: more sharing by DeepSpeed, checkpoints of activations, an adapter."""
    stage, stages = job.get("deepspeed"), [None, "zero2", "zero3", "zero3_offload"]
    shared = [
        Change(f"`deepspeed: {name}`", {"deepspeed": name}, None, 4 if name == stages[-1] else 1)
        for name in stages[stages.index(stage) + 1 :]
    ]
    checkpoints = [Change("`gradient_checkpointing: true`", {"gradient_checkpointing": True}, None, 1)]
    adapter = [Change("`lora: {}`", {"lora": True}, None, 5)]
    return [shared, [] if job.get("gradient_checkpointing") else checkpoints, [] if job.get("lora") else adapter]


def _possible(job: workload.Work, change: Change) -> bool:
    """Whether the GPUs divide the steps of an update and the nodes divide the GPUs, and DeepSpeed has GPUs to share over."""
    gpus, settings = job.gpus if change.gpus is None else change.gpus, dict(job.settings) | change.settings
    if job.rule != "finetune":
        return True
    alone = gpus == 1 and change.settings.get("deepspeed") in ("zero2", "zero3")
    return settings["gradient_accumulation_steps"] % gpus == 0 and gpus % job.nodes == 0 and not alone


def _gpus(job: workload.Work) -> list[Change]:
    """Return more GPUs; only SFT goes over several nodes."""
    most = GPUS[-1] if job.rule == "finetune" else NODE
    return [Change(f"`gpus: {gpus}`", {}, gpus, 1 + gpus / job.gpus / 2) for gpus in GPUS if job.gpus < gpus <= most]


def _smaller(job: workload.Work) -> list[Change]:
    """Return smaller batches, each half of the one before; in SFT with more steps to an update, so that it stays as large."""
    if job.rule in ("likelihood", "loss"):
        tokens = [job.get("batch_tokens") // 2**i for i in range(1, 12)]
        tokens = [n for n in tokens if n >= max(job.get("max_length"), 64)]
        return [Change(f"`batch_tokens: {n}`", {"batch_tokens": n}, None, 1) for n in tokens]
    if job.get("limit") is not None and throughput.decoder(job.get("engine")).least:
        return []
    batch, steps = job.get("batch"), job.get("gradient_accumulation_steps")
    sizes = [batch // 2**i for i in range(1, 12) if batch // 2**i]
    if job.rule != "finetune":
        return [Change(f"`batch: {n}`", {"batch": n}, None, 1) for n in sizes]
    return [
        Change(
            f"`per_device_train_batch_size: {n}` and `gradient_accumulation_steps: {steps * batch // n}`",
            {"batch": n, "gradient_accumulation_steps": steps * batch // n},
            None,
            1,
        )
        for n in sizes
    ]


def _changed(job: workload.Work, change: Change) -> workload.Work:
    settings = tuple(sorted((dict(job.settings) | change.settings).items()))
    return job._replace(settings=settings, gpus=job.gpus if change.gpus is None else change.gpus)
