"""What decides how long a job takes: rows and tokens, the size of the model, and the settings that affect its speed.

It is the same for planned and finished jobs: settings come from the spec, sizes from the config or the model's files.
"""

from collections.abc import Callable
from functools import cache
from pathlib import PurePath
from typing import Any, NamedTuple

from ..spec import canonical
from ..spec.ids import Corpus, Student
from . import architecture

# the rules that load a model, on a GPU where there is one
MODEL_RULES = ("optimise", "generate", "answer", "reward", "judge", "ask", "loss", "likelihood", "finetune")
# those that `plan --probe` can run for a few rows
PROBED = tuple(rule for rule in MODEL_RULES if rule not in ("optimise", "ask", "loss"))
# the stage of an evolution that calls verifier functions in the sandbox, each in a process of its own
CALLS_FUNCTIONS = "autoif.functions.read"
# sorted (name, value) pairs
Settings = tuple[tuple[str, Any], ...]
# {part of a repository's name: bits per weight}, for quantised models
BITS = {"fp8": 8, "int8": 8, "w8a8": 8, "gptq": 4, "awq": 4, "int4": 4, "w4a16": 4}
# responses rarely reach the longest length that is allowed: real ones rarely exceed this
USUAL_TOKENS = 1_500
# the mean of a response until one was measured, as a share of its longest or usual length, and the mean of a prompt whose file is
# not at hand (a sentence or two, and the template): 100,000 rows of published SFT data for chat have 60 to 80 million tokens
MEAN, PROMPT = 0.4, 60
UNKNOWN_PARAMETERS = 8.0
# share of a GPU's memory that weights may take where each GPU scores with its own copy; the rest is for activations and logits
MEMORY_FOR_WEIGHTS = 0.7


class Work(NamedTuple):
    """What one job does.

    rows: responses (SFT: examples of one epoch). A part of a probe may have a fraction of a row.
    read, written: mean tokens of a row before its response, and in it.
    parameters: of the model, in billions; 0 where the job loads no model.
    settings: what decides its speed and memory, as sorted (name, value) pairs.
    """

    rule: str
    rows: float
    read: float
    written: float
    parameters: float
    gpus: int
    nodes: int
    settings: Settings

    def get(self, name: str, default: Any = None) -> Any:
        """Return one of the settings."""
        return next((value for key, value in self.settings if key == name), default)


def shared_by(gpus: int, weights: float, memory: float) -> int:
    """Return how many of a job's GPUs share a copy of a model that generates: as few as it fits on, for copies side by side are faster.

    weights, memory: of the model and of each GPU, in the same unit.
    """
    fitting = (n for n in (1, 2, 4, 8, 16) if gpus % n == 0 and weights <= n * MEMORY_FOR_WEIGHTS * memory)
    return next(fitting, gpus)


def copies(job: Work, memory_gb: float | None) -> int:
    """Return how many copies of its model score side by side, as models.loading decides it.

    memory_gb: of each GPU; None for a CPU.
    """
    fits_one = memory_gb is not None and job.parameters * job.get("bytes", 2) <= MEMORY_FOR_WEIGHTS * memory_gb
    return max(job.gpus, 1) if fits_one else 1


@cache
def settings(rule: str, text: str) -> Settings:
    """Return the settings that decide the speed and memory of a cell, from its spec."""
    parts = canonical.load(text)
    of_rule = {**_SETTINGS, **_WITHOUT_MODEL}.get(rule)
    values = of_rule(parts) if of_rule else {}
    if model := parts.get("model"):
        values |= {"bytes": bytes_per_weight(model)}
    return tuple(sorted(values.items()))


def bytes_per_weight(model: dict) -> float:
    """Return the bytes of a weight in memory outside of SFT. model: its config entry, with `repo` and `dtype`."""
    words = PurePath((model["repo"] or "").lower()).name.replace("_", "-").split("-")
    bits = next((BITS[word] for word in words if word in BITS), None)
    if bits is not None:
        return bits / 8
    return {"float32": 4, "bfloat16": 2, "float16": 2}[model["dtype"]]


def longest(sampling: dict) -> int:
    """Return the tokens that a response may have, in its second try where there is one."""
    return sampling["max_tokens_again"] or sampling["max_tokens"]


def _generate(parts: dict) -> dict:
    teacher = parts["teacher"]
    return {"engine": teacher["engine"], "batch": teacher["batch"], "limit": longest(teacher["sampling"])}


def _answer(parts: dict) -> dict:
    limit = max(longest(task["sampling"]) for task in parts["tasks"].values())
    return {"engine": parts["suite"]["engine"], "batch": parts["suite"]["batch"], "limit": limit}


def _ask(parts: dict) -> dict:
    judge = parts["judge"]
    loaded = {} if parts["model"]["repo"] is None else {"batch": judge["batch"]}
    return {"engine": judge["engine"], "limit": judge["sampling"]["max_tokens"], **loaded}


def _reward(parts: dict) -> dict:
    return {key: parts["reward"][key] for key in ("batch", "max_length")}


def _likelihood(parts: dict) -> dict:
    options = parts["likelihood"]
    return {key: options[key] for key in ("batch_tokens", "max_length")} | {"formats": len(options["formats"])}


def _loss(parts: dict) -> dict:
    return _likelihood(parts) if "likelihood" in parts else {}


def _finetune(parts: dict) -> dict:
    recipe = parts["recipe"]
    names = (
        "packing gradient_checkpointing group_by_length dtype max_length gradient_accumulation_steps num_train_epochs"
    )
    values = {name: recipe[name] for name in names.split()}
    values |= {"batch": recipe["per_device_train_batch_size"], "lora": recipe["lora"] is not None}
    # only where they are not the default, so that jobs which were measured before are still alike
    if recipe["lora"] and recipe["lora"]["quantize"]:
        values["quantize"] = recipe["lora"]["quantize"]
    return values | ({"optim": recipe["optim"]} if "8bit" in recipe["optim"] else {})


def _load_instructions(parts: dict) -> dict:
    return {"calls_functions": True} if (parts.get("made") or {}).get("stage") == CALLS_FUNCTIONS else {}


_SETTINGS: dict[str, Callable[[dict], dict]] = {
    "optimise": _generate,
    "generate": _generate,
    "answer": _answer,
    "ask": _ask,
    "reward": _reward,
    "judge": _reward,
    "likelihood": _likelihood,
    "loss": _loss,
    "finetune": _finetune,
}
_WITHOUT_MODEL: dict[str, Callable[[dict], dict]] = {"load_instructions": _load_instructions}


def with_cost(values: Settings, deepspeed: str | None = None) -> Settings:
    """Return settings with the stage of DeepSpeed, which is a cost and so not in the spec. None leaves them as they are."""
    return values if deepspeed is None else tuple(sorted({**dict(values), "deepspeed": deepspeed}.items()))


def parameters(row: dict) -> float:
    """Return a model's billions of parameters: as the config says, else from its files, else UNKNOWN_PARAMETERS.

    row: of grid.cells.Cells.
    """
    found = known_parameters(row)
    return UNKNOWN_PARAMETERS if found is None else found


def known_parameters(row: dict) -> float | None:
    """Return a model's billions of parameters as `parameters` does; None where neither the config nor its files say them."""
    if row.get("parameters") is not None:
        return row["parameters"]
    return _in_files(row["spec"])


@cache
def _in_files(spec: str) -> float | None:
    model = canonical.load(spec).get("model")
    if model is not None and model["repo"] is None:
        return 0.0  # an endpoint serves it
    return None if model is None else architecture.counted(model["repo"], model.get("revision"))


def read_by(rule: str, cell: str) -> tuple[str, str] | None:
    """Return (rule, cell) of the `generate` or `answer` job whose responses a cell reads; for such a job its own.

    None where the cell reads responses of several jobs, or none. Example: ("likelihood", "q/seed__large") -> ("generate", "seed__large").
    """
    parts = cell.split("/")
    if rule in ("generate", "answer"):
        return rule, cell
    if rule in ("judge", "ask"):
        return "answer", "/".join(parts[:2])
    if rule in ("reward", "likelihood"):
        return "generate", parts[-1]
    if rule == "finetune":
        corpus = Student.parse(cell).corpus
        return ("generate", corpus) if Corpus.parse(corpus).responses else None
    return None


def of_row(rule: str, row: dict) -> Work:
    """Return the work of a planned cell. row: of grid.cells.Cells."""
    has_model = rule in _SETTINGS
    known = has_model or rule in _WITHOUT_MODEL
    values = with_cost(settings(rule, row["spec"]) if known else (), row.get("deepspeed"))
    size = parameters(row) if has_model else 0
    gpus, written = row.get("gpus") or 0, usual(dict(values), row.get("limit"))
    read = row.get("asked") or PROMPT
    return Work(rule, row.get("rows", 0), read, written, size, gpus, row.get("nodes", 1), values)


def usual(values: dict, limit: int | None = None) -> float:
    """Return the mean tokens of a response until one was measured.

    Args:
        values: settings of the job.
        limit: the longest that the responses may be which the job reads; None where it is not known.
    """
    longest = values.get("limit") or limit or USUAL_TOKENS
    return MEAN * min(longest, values.get("max_length") or USUAL_TOKENS, USUAL_TOKENS)
