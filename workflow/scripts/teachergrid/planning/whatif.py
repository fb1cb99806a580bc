"""Compare variants of a grid: change the config in memory and plan it again on the same results (`plan --what-if`)."""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..data import sizes
from ..errors import BadInput
from ..grid.config import MODELED
from ..spec import schema
from ..spec.combinations import combinations, matches
from ..spec.spelling import known, nearest
from ..units import count, span
from . import options
from .archive import Document, Sums
from .document import Setting
from .pools import Cluster
from .terminal import cost, table

HELP = """--what-if CHANGE; give it several times for several variants, join changes by + for one variant:
  gpu=TYPE              another GPU type: --what-if gpu=a100
  without-teacher=NAME  drop a teacher (several: a,b); without-base=NAME drops a base
  instructions=0.5      this share of each instruction set
  engine=vllm           all that generates does so with this engine
  lora                  every recipe trains a LoRA adapter (rank 64) instead of all weights
  seeds=1               only the first seeds, here one
Each variant is planned on the existing results: its cost includes all that it would have to make again, and what follows a
pilot at most."""
LORA = {"r": 64}


class Variant(NamedTuple):
    """A changed grid. name: the change. notes: what else goes with it, in words."""

    name: str
    config: dict
    setting: Setting
    notes: list[str]


def variants(changes: Sequence[str], setting: Setting) -> list[Variant]:
    """Return each variant. Raises BadInput for an unknown change, before anything is planned."""
    return [Variant(change, *changed(change, setting)) for change in changes]


def changed(change: str, setting: Setting) -> tuple[dict, Setting, list[str]]:
    """Return config, setting and notes of one variant. Raises BadInput for an unknown change."""
    config = copied(setting)
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
    notes = tidied(config)
    if not config["grids"]:
        raise BadInput(f"--what-if {change}: no grid is left; {', '.join(notes)}")
    return config, setting, notes


def copied(setting: Setting) -> dict:
    """Return the config to change; by way of JSON text, so that entries which share a YAML anchor become separate objects."""
    return json.loads(json.dumps(options.configured(setting.args)))


def planned(variant: Variant) -> tuple[str, Document]:
    """Return (name, plan document) of a variant. Raises BadInput, with the name of the change, where it makes no grid."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.json")
        path.write_text(json.dumps(variant.config))
        try:
            return variant.name, variant.setting.plan_with([path])
        except BadInput as error:
            raise BadInput(f"--what-if {variant.name}: {error}") from error


def cut(dropped: dict[str, list[str]], setting: Setting) -> tuple[Document, list[str]]:
    """Return the plan of a grid in which `exclude` drops names, and what goes with them, in words.

    dropped: {teacher, base or seed: names}. Raises BadInput where the cut leaves no grid that can run.
    """
    config = copied(setting)
    patterns = [
        {kind: int(name.removeprefix("s")) if kind == "seed" else name} for kind in dropped for name in dropped[kind]
    ]
    for block in config["grids"].values():
        block["exclude"] = [*(block.get("exclude") or []), *patterns]
    notes = tidied(config)
    if not config["grids"]:
        raise BadInput("no grid is left")
    return planned(Variant("a cut", config, setting, notes))[1], notes


# --- what goes with what was dropped


def tidied(config: dict) -> list[str]:
    """Remove from a changed config what has become empty and would be refused, and return what that was, in words.

    These are derived corpora without teachers, patterns that match no cell, pilots that drop none, and grids without cells.
    """
    corpora = config.get("corpora") or {}
    empty = [name for name, entry in corpora.items() if entry.get("teachers") == []]
    for name in empty:
        del corpora[name]
    notes = [f"without corpus {name}, which has no teacher left" for name in empty]
    for name, block in list(config["grids"].items()):
        if isinstance(block.get("corpora"), list):
            block["corpora"] = [corpus for corpus in block["corpora"] if corpus not in empty]
        for key in ("exclude", "include"):
            block[key] = [pattern for pattern in block.get(key) or [] if pattern.get("corpus") not in empty]
        if not has_cells(config, name, block):
            del config["grids"][name]
            notes.append(f"without grid {name}, which is left empty")
        elif (pilot := block.get("pilot")) and pilot["keep"] >= len(names_of(config, block, "teachers")):
            block["pilot"] = None
            notes.append(f"without the pilot of grid {name}, which would keep every teacher")
    return notes


def names_of(config: dict, block: dict, key: str) -> list:
    """Return the names that a block lists under a key."""
    return list(config.get(key) or {}) if block.get(key) == "all" else block.get(key) or []


def has_cells(config: dict, name: str, block: dict) -> bool:
    """Whether a block has a cell. Patterns of `exclude` that match none are removed."""
    lists = ("instructions", "teachers", "corpora", "bases", "recipes", "seeds")
    full = {key: names_of(config, block, key) for key in lists} | {"exclude": [], "include": []}
    crossed = full["bases"] and (full["corpora"] or (full["teachers"] and full["instructions"]))
    cells, kept = combinations(name, full) if crossed else [], []
    for pattern in block["exclude"]:
        if any(matches(pattern, cell) for cell in cells):
            kept.append(pattern)
            cells = [cell for cell in cells if not matches(pattern, cell)]
    block["exclude"] = kept
    return bool(cells or block["include"])


# --- the changes


def exchanged(cluster: Cluster, gpu: str) -> Cluster:
    """Return the cluster with all its GPUs replaced by one type."""
    cpus = {kind: pool for kind, pool in cluster.pools.items() if kind == "cpu"}
    gpus = [pool for kind, pool in cluster.pools.items() if kind != "cpu"]
    if not gpus:
        return cluster
    largest = max(gpus, key=lambda pool: pool.amount)
    return cluster._replace(pools={gpu: largest._replace(amount=sum(pool.amount for pool in gpus)), **cpus})


def free_of_type(config: dict) -> None:
    """Remove `gpu_model` from all models of a config, those inside an entry too."""
    entries = [entry for kind in MODELED for entry in (config.get(kind) or {}).values() if isinstance(entry, dict)]
    for model in [*(config.get("models") or {}).values(), *(entry.get("model") for entry in entries)]:
        if isinstance(model, dict):
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
                    if block.get(key):
                        block[key] = [pattern for pattern in block[key] if pattern.get(word) != name]

    return change


def share_of_instructions(config: dict, value: str) -> None:
    """Reduce each instruction set that has a source to a share of its rows; what is made from it follows. Raises BadInput for a value that is not a share."""
    share = positive("instructions", value)
    if share > 1:
        raise BadInput(f"--what-if instructions={value}: give a share of at most 1, such as 0.5")
    for source in config["instructions"].values():
        if not source.get("source"):
            continue
        source["sample"] = max(1, int(share * sizes.drawn(source)))
    for block in config["grids"].values():
        if block.get("pilot"):
            block["pilot"]["sample"] = max(1, int(share * block["pilot"]["sample"]))


def adapters(config: dict) -> None:
    """Let every recipe train a LoRA adapter."""
    for recipe in (config.get("recipes") or {}).values():
        recipe["lora"] = recipe.get("lora") or dict(LORA)


def fewer_seeds(config: dict, value: str) -> None:
    """Keep only the first seeds of each block. Raises BadInput for a value that is not a number above 0."""
    n = int(positive("seeds", value))
    for block in config["grids"].values():
        if block.get("seeds"):
            block["seeds"] = block["seeds"][: max(1, n)]


def other_engine(config: dict, value: str) -> None:
    """Let all teachers that load a model, and all suites, generate with another engine. Raises BadInput for an unknown one."""
    known("--what-if engine", value, schema.member(schema.definition("suite"), "engine")["enum"])
    teachers = [entry for entry in config["teachers"].values() if not schema.is_without_model(entry.get("engine"))]
    for entry in (*teachers, *(config.get("suites") or {}).values()):
        entry["engine"] = value


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
    "engine": other_engine,
}
WORDS = [*CHANGES, "lora", "gpu"]


def text(plans: list[tuple[str, Document]], width: int, notes: Sequence[str] = ()) -> str:
    """Return a table with a line for each variant, and notes below it. plans: (name, plan document) of each."""
    rows = []
    for name, plan in plans:
        later, schedule = plan.get("phase_two"), plan["schedule"]
        total: Sums = later["total"] if later else plan["total"]
        seconds = later["seconds"] if later else schedule and schedule["seconds"]
        takes = "unknown" if seconds is None else span(seconds)
        rows.append(
            [name, count(total["jobs"]), *cost(total), takes, count(total["blocked"]) if total["blocked"] else ""]
        )
    header = ["variant", "jobs", "GPU-h", "low to high", "CPU-h", "USD", "takes", "blocked"]
    return "\n".join([table(header, rows, width), *notes])
