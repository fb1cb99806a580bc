"""What decides how long a job takes: rows and tokens, the model's size, and the settings that move its speed.

The same for a job of the plan and for one that ran: settings come from the spec, sizes from the config or the model's files.
"""

from functools import cache
from pathlib import PurePath
from typing import NamedTuple

from .. import canonical, devices
from ..ids import Corpus, Student
from . import shapes

# the rules that load a model, on a GPU where there is one
MODEL_RULES = ("generate", "answer", "reward", "judge", "likelihood", "finetune")
TRANSFORMERS, VLLM = "transformers", "vllm"
# words of a repository's name that say its weights take less than 16 bits
BITS = {"fp8": 8, "int8": 8, "w8a8": 8, "gptq": 4, "awq": 4, "int4": 4, "w4a16": 4}
# responses rarely reach the longest length that is allowed: real ones rarely exceed this, and their mean is 500 to 1,000
USUAL_TOKENS = 1_500
# the mean of a response until one was measured, as a share of its longest or usual length, and the mean of a prompt
MEAN, PROMPT = 0.5, 100
UNKNOWN_PARAMETERS = 8.0


class Work(NamedTuple):
    """One job. rows: responses (SFT: examples of one epoch). read, written: tokens of a row before and in its response.

    parameters: of the model, in billions; 0 loads none. settings: sorted (name, value) pairs.
    """

    rule: str
    rows: int
    read: float
    written: float
    parameters: float
    gpus: int
    nodes: int
    settings: tuple

    def get(self, name: str, default=None):
        return next((value for key, value in self.settings if key == name), default)


def copies(job: Work, memory_gb: float | None) -> int:
    """Return how many copies of its model score side by side on GPUs of so many GB (models.copies); None is a CPU."""
    alone = memory_gb and job.parameters * job.get("bytes", 2) <= devices.ROOM * memory_gb
    return max(job.gpus, 1) if alone else 1


@cache
def settings(rule: str, text: str) -> tuple:
    """Return the settings that decide the speed and memory of a cell, from its spec."""
    parts = canonical.load(text)
    found = _SETTINGS.get(rule, lambda parts: {})(parts)
    if model := parts.get("model"):
        found |= {"bytes": bytes_per_weight(model)}
    return tuple(sorted(found.items()))


def bytes_per_weight(model: dict) -> float:
    """Return the bytes that a weight takes while it computes outside of SFT."""
    words = PurePath(model["repo"].lower()).name.replace("_", "-").split("-")
    bits = next((BITS[word] for word in words if word in BITS), None)
    return {"float32": 4, "bfloat16": 2, "float16": 2}[model["dtype"]] if bits is None else bits / 8


def _generate(parts: dict) -> dict:
    teacher = parts["teacher"]
    return {"engine": teacher["engine"], "batch": teacher["batch"], "limit": teacher["sampling"]["max_tokens"]}


def _answer(parts: dict) -> dict:
    limit = max(task["sampling"]["max_tokens"] for task in parts["tasks"].values())
    return {"engine": TRANSFORMERS, "batch": parts["suite"]["batch"], "limit": limit}


def _reward(parts: dict) -> dict:
    return {key: parts["reward"][key] for key in ("batch", "max_length")}


def _likelihood(parts: dict) -> dict:
    options = parts["likelihood"]
    return {key: options[key] for key in ("batch_tokens", "max_length")} | {"formats": len(options["formats"])}


def _finetune(parts: dict) -> dict:
    recipe = parts["recipe"]
    names = (
        "packing gradient_checkpointing group_by_length dtype max_length gradient_accumulation_steps num_train_epochs"
    )
    found = {name: recipe[name] for name in names.split()}
    return found | {"batch": recipe["per_device_train_batch_size"], "lora": recipe["lora"] is not None}


_SETTINGS = {
    "generate": _generate,
    "answer": _answer,
    "reward": _reward,
    "judge": _reward,
    "likelihood": _likelihood,
    "finetune": _finetune,
}


def with_cost(found: tuple, **cost) -> tuple:
    """Return settings with those that no spec holds (deepspeed, another engine); None leaves one as it is."""
    return tuple(sorted({**dict(found), **{key: value for key, value in cost.items() if value is not None}}.items()))


def parameters(row: dict) -> float:
    """Return a model's billions of parameters: as the config says, else from its config.json, else UNKNOWN_PARAMETERS."""
    if row.get("parameters") is not None:
        return row["parameters"]
    shape = shapes.of_spec(row["spec"])
    return UNKNOWN_PARAMETERS if shape is None else shapes.parameters(shape)


def read_by(rule: str, cell: str) -> tuple[str, str] | None:
    """Return (rule, cell) of the job that wrote what a cell works on, `generate` or `answer`, or the cell itself if it is one.

    None where several wrote it, or nobody.
    """
    parts = cell.split("/")
    if rule in ("generate", "answer"):
        return rule, cell
    if rule == "judge":
        return "answer", "/".join(parts[:2])
    if rule in ("reward", "likelihood"):
        return "generate", parts[-1]
    if rule == "finetune":
        corpus = Student.parse(cell).corpus
        return ("generate", corpus) if Corpus.parse(corpus).responses else None
    return None


def of_row(rule: str, row: dict, written: float | None = None) -> Work:
    """Return the work of a planned cell. row: of grid.Cells; written: mean tokens of a response, where they are known."""
    found = settings(rule, row["spec"]) if rule in MODEL_RULES else ()
    found = with_cost(found, deepspeed=row.get("deepspeed"), engine=row.get("engine"))
    size = parameters(row) if rule in MODEL_RULES else 0
    gpus = row.get("gpus") or 0
    mean = usual(dict(found)) if written is None else written
    return Work(rule, row.get("rows", 0), PROMPT, mean, size, gpus, row.get("nodes", 1), found)


def usual(found: dict) -> float:
    """Return the mean tokens of a response until one was measured."""
    longest = found.get("limit") or found.get("max_length") or USUAL_TOKENS
    return MEAN * min(longest, USUAL_TOKENS)
