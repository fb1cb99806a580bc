"""Benchmarks as files: what a task is, and where its data lies, apart from the config that names it.

    # config/benchmarks/gsm8k.yaml
    about: Word problems of grade school
    licence: MIT
    source: hub:openai/gsm8k/main/test-00000-of-00001.parquet
    revision: <40 hex digits>
    fields: {instruction: question, answer: answer}
    checker: {extract: '#### (\\-?[0-9\\.\\,]+)', compare: number}

    # a config
    tasks:
      gsm8k: {file: gsm8k}
      mine: {file: data/mine.yaml, sampling: {max_tokens: 100}}

The task then has the keys of the file, and those that stand beside `file` in place of the file's. A source on the hub becomes an
instruction set of the task's name, so that pins, `prefetch` and the plan know it.
"""

import os
from pathlib import Path
from typing import Any

import yaml

from ..errors import BadInput
from . import config_files, schema, validation
from .schema import LOADER
from .spelling import nearest

HERE = Path("config/benchmarks")
CHECKOUT = Path(__file__).parents[4]
SHIPPED = CHECKOUT / HERE
HUB = "hub:"
ABOUT = ("about", "licence", "citation")  # they describe, and decide nothing
PLACE = ("source", "revision", "split", "rows")  # where the items are, and how many
# a task's own: a file says the same as `source`
NOT_IN_A_FILE = ("file", "prompts", "instructions")


def expand(config: dict) -> dict:
    """Return the config with each task that names a file filled in from it, and with the instruction sets of those on the hub.

    Raises:
        BadInput: the file is missing, has a mistake, or another instruction set has the task's name.
    """
    given = config.get("instructions") or {}
    if not isinstance(config.get("tasks"), dict) or not isinstance(given, dict):
        return config  # the schema says what is wrong with it
    tasks, sets = dict(config["tasks"]), dict(given)
    for name, entry in tasks.items():
        if isinstance(entry, dict) and isinstance(entry.get("file"), str):
            tasks[name], more = _task(f"config.tasks.{name}", name, entry)
            for set_name, of_set in more.items():
                if sets.setdefault(set_name, of_set) != of_set:
                    raise BadInput(
                        f"config.instructions.{set_name}: the benchmark of config.tasks.{name} has its items under this name; "
                        "rename this set, or the task"
                    )
    return {**config, "tasks": tasks, **({"instructions": sets} if sets else {})}


def read(name: str, where: str = "file") -> dict[str, Any]:
    """Return what a benchmark's file holds. name: of a shipped one or one in config/benchmarks, or a path that ends with .yaml.

    Raises BadInput for a missing file, and for the first mistake in it. where: the config's key, for messages.
    """
    path = file_of("benchmark", HERE, name, where)
    config_files.refuse([path], str(path))
    content = yaml.load(path.read_text(), Loader=LOADER)
    if not isinstance(content, dict):
        raise BadInput(f"{path}: holds no keys; a benchmark's file has those of a task, and `source`")
    task = {key: value for key, value in content.items() if key not in (*ABOUT, *PLACE)}
    for key in NOT_IN_A_FILE:
        if key in task:
            raise BadInput(f"{path}: `{key}` is a key of a config's task; here the data is named by `source`")
    _refuse_wrong(path, {**task, "shots": _without_place(task.get("shots", {}))})
    if not isinstance(content.get("source"), str):
        raise BadInput(f"{path}: states no `source`; name a file, or a data set as hub:org/name")
    return content


def file_of(kind: str, here: Path, name: str, where: str) -> Path:
    """Return the file of a benchmark or a recipe that an entry of the config names. Raises BadInput where there is none.

    Args:
        kind: such as "benchmark", for messages.
        here: the folder of such files, in the working directory and in the checkout of this package.
        name: without the ending; or a path that ends with .yaml.
        where: the config's key, for messages.
    """
    if name.endswith((".yaml", ".yml")):
        if not os.path.isfile(name):
            raise BadInput(f"{where}: there is no file '{name}' (paths start at {Path.cwd()})")
        return Path(name)
    folders = (here, CHECKOUT / here)
    for folder in folders:
        if os.path.isfile(path := folder / f"{name}.yaml"):
            return path
    known = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    meant = nearest(name, known) or f"; known: {', '.join(known)}"
    raise BadInput(
        f"{where}: no {kind} has the name '{name}'{meant} (a file of your own is named by its path, which ends with .yaml)"
    )


def _refuse_wrong(path: Path, task: dict) -> None:
    """Raise BadInput for what the schema does not allow in a task."""
    schema.refuse_unknown_keys(task, schema.definition("task"), str(path))
    validation.refuse_invalid_part(task, "task", str(path))


def _without_place(shots: Any) -> Any:
    return {key: value for key, value in shots.items() if key not in PLACE[1:]} if isinstance(shots, dict) else shots


def _task(where: str, name: str, entry: dict) -> tuple[dict, dict[str, dict]]:
    """Return a task as without `file`, and the instruction sets that it needs."""
    content = read(entry["file"], f"{where}.file")
    place = {key: content[key] for key in PLACE if key in content}
    task = merged({key: value for key, value in content.items() if key not in (*ABOUT, *PLACE)}, entry)
    sets: dict[str, dict] = {}
    if not entry.get("prompts") and not entry.get("instructions"):
        if place["source"].startswith(HUB):
            sets[name] = {**place, "fields": task.pop("fields", {})}
            task["instructions"] = name
        else:
            task["prompts"] = place["source"]
    shots = task.get("shots")
    if isinstance(shots, dict) and isinstance(shots.get("source"), str):
        task["shots"] = _shots(name, task, shots, sets)
    return task, sets


def _shots(name: str, task: dict, shots: dict, sets: dict[str, dict]) -> dict:
    """Return `shots` with an instruction set in place of a source on the hub. sets: added to, unless no example is shown."""
    used = any(isinstance(task.get(format), dict) and task[format].get("shots") for format in ("chat", "plain"))
    kept = _without_place(shots)
    if not used:
        return {key: value for key, value in kept.items() if key not in ("source", "fields")}
    if not shots["source"].startswith(HUB):
        return kept
    of_set = {key: shots[key] for key in (*PLACE, "fields") if key in shots}
    sets[f"{name}.shots"] = of_set
    return {**{key: value for key, value in kept.items() if key != "fields"}, "source": f"{name}.shots"}


def merged(below: dict, above: dict) -> dict:
    """Return a mapping in which the values of `above` replace those of `below`, inside of mappings, too."""
    both = {
        key: merged(below[key], value) if isinstance(value, dict) and isinstance(below.get(key), dict) else value
        for key, value in above.items()
    }
    return {**below, **both}
