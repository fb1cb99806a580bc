"""Compare variants of a grid: change the config in memory and plan it again on the same results (`plan --what-if`)."""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ..cost import resources
from ..errors import BadInput
from ..spec.spelling import nearest
from ..units import count, span
from . import options
from .archive import Document
from .document import Setting
from .pools import Cluster
from .terminal import cost, table

HELP = """--what-if CHANGE; give it several times for several variants, join changes by + for one variant:
  gpu=TYPE              another GPU type: --what-if gpu=a100
  without-teacher=NAME  drop a teacher (several: a,b); without-base=NAME drops a base
  instructions=0.5      this share of each instruction set
  lora                  every recipe trains a LoRA adapter (rank 64) instead of all weights
  seeds=1               only the first seeds, here one
Each variant is planned on the existing results: its cost includes all that it would have to make again."""
LORA = {"r": 64}


def variants(changes: Sequence[str], setting: Setting) -> list[tuple[str, dict, Setting]]:
    """Return (name, config, setting) of each variant. Raises BadInput for an unknown change, before anything is planned."""
    return [(change, *changed(change, setting)) for change in changes]


def changed(change: str, setting: Setting) -> tuple[dict, Setting]:
    """Return the config and the setting of one variant. Raises BadInput for an unknown change."""
    # by way of JSON text, so that entries which share a YAML anchor become separate objects
    config = json.loads(json.dumps(options.configured(setting.args)))
    for part in change.split("+"):
        word, _, value = part.strip().partition("=")
        if word not in WORDS:
            raise BadInput(f"--what-if {part}: no such change{nearest(word, WORDS)}\n{HELP}")
        if word == "gpu":
            setting.machines.device(value)
            setting = setting._replace(gpu=value, cluster=exchanged(setting.cluster, value))
            free_of_type(config)
        elif word == "lora":
            adapters(config)
        else:
            CHANGES[word](config, value)
    return config, setting


def planned(name: str, config: dict, setting: Setting) -> tuple[str, Document]:
    """Return (name, plan document) of a variant."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.json")
        path.write_text(json.dumps(config))
        return name, setting.plan_with([path])


def exchanged(cluster: Cluster, gpu: str) -> Cluster:
    """Return the cluster with all its GPUs replaced by one type."""
    cpus = {kind: pool for kind, pool in cluster.pools.items() if kind == "cpu"}
    gpus = [pool for kind, pool in cluster.pools.items() if kind != "cpu"]
    if not gpus:
        return cluster
    largest = max(gpus, key=lambda pool: pool.amount)
    return cluster._replace(pools={gpu: largest._replace(amount=sum(pool.amount for pool in gpus)), **cpus})


def free_of_type(config: dict) -> None:
    """Remove `gpu_model` from all models of a config."""
    for model in config.get("models", {}).values():
        model.pop("gpu_model", None)


def without(kind: str) -> Callable[[dict, str], None]:
    """Return a function that removes teachers (bases) from every list of a config. kind: `teachers` or `bases`."""
    word = kind[:-1]

    def change(config: dict, value: str) -> None:
        for name in value.split(","):
            if name not in config.get(kind, {}):
                raise BadInput(f"--what-if without-{word}={name}: no such {word}{nearest(name, config.get(kind, {}))}")
            for block in (*config["grids"].values(), *config.get("corpora", {}).values()):
                names = config[kind] if block.get(kind) == "all" else block.get(kind, [])
                # corpora have no bases
                block |= {kind: [other for other in names if other != name]} if kind in block else {}
                # a pattern that matches no cell would be an error
                for key in ("exclude", "include"):
                    if key in block:
                        block[key] = [pattern for pattern in block[key] if pattern.get(word) != name]

    return change


def share_of_instructions(config: dict, value: str) -> None:
    """Reduce each instruction set to a share of its rows. Raises BadInput for a value that is not a share."""
    share = positive("instructions", value)
    if share > 1:
        raise BadInput(f"--what-if instructions={value}: give a share of at most 1, such as 0.5")
    for source in config["instructions"].values():
        source["sample"] = max(1, int(share * resources.count(source["source"], source.get("sample"))))


def adapters(config: dict) -> None:
    """Let every recipe train a LoRA adapter."""
    for recipe in config["recipes"].values():
        recipe["lora"] = recipe.get("lora") or dict(LORA)


def fewer_seeds(config: dict, value: str) -> None:
    """Keep only the first seeds of each block. Raises BadInput for a value that is not a number above 0."""
    n = int(positive("seeds", value))
    for block in config["grids"].values():
        if "seeds" in block:
            block["seeds"] = block["seeds"][: max(1, n)]


def positive(word: str, value: str) -> float:
    """Return the value of a change as a number. Raises BadInput unless it is above 0."""
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if number <= 0:
        raise BadInput(f"--what-if {word}={value}: give a number above 0")
    return number


CHANGES: dict[str, Callable[[dict, str], None]] = {
    "without-teacher": without("teachers"),
    "without-base": without("bases"),
    "instructions": share_of_instructions,
    "seeds": fewer_seeds,
}
WORDS = ["without-teacher", "without-base", "instructions", "lora", "seeds", "gpu"]


def text(plans: list[tuple[str, Document]], width: int) -> str:
    """Return a table with a line for each variant. plans: (name, plan document) of each."""
    rows = []
    for name, plan in plans:
        schedule, total = plan["schedule"], plan["total"]
        takes = span(schedule["seconds"]) if schedule else "unknown"
        rows.append(
            [name, count(total["jobs"]), *cost(total), takes, count(total["blocked"]) if total["blocked"] else ""]
        )
    return table(["variant", "jobs", "GPU-h", "low to high", "CPU-h", "USD", "takes", "blocked"], rows, width)
