"""The partitions that the profile's file lists, and which of them a job goes to.

Snakemake's SLURM plugin (2.8.0) scores each entry of that file for each job, and takes the best. Here are its rules once more,
since it tells nobody why an entry does not fit: it then submits the job to the cluster's default partition, where a job may wait
for ever.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ..errors import BadInput
from ..spec import config_files
from ..spec.schema import LOADER
from ..spec.spelling import nearest

CLUSTERS = ("slurm_cluster", "cluster", "clusters")
# what an entry limits: {resource of a job: unit}, each by the key max_RESOURCE, in the order in which the plugin looks at them
UNIT_OF = {
    "mem_mb": "MB",
    "mem_mb_per_cpu": "MB per CPU",
    "runtime": "min",
    "nodes": "nodes",
    "tasks": "tasks",
    "tasks_per_node": "tasks per node",
    "mpi_tasks": "MPI tasks",
}
# what the plugin looks at; "threads" are those of the rule
_CPUS = ("threads", "cpus_per_task", "cpus_per_gpu")
ASKED = (*UNIT_OF, "mpi", "gpu", "gpu_model", "gres", "constraint", *_CPUS, "slurm_partition", *CLUSTERS)
# limits that are numbers
LIMITS = (*(f"max_{name}" for name in UNIT_OF), "max_threads", "max_cpus_per_task", "max_cpus_per_gpu", "max_gpu")
LISTS = ("available_gpu_models", "available_constraints")
KEYS = (*LIMITS, *LISTS, "supports_mpi", *CLUSTERS)
CUT = ("runtime", "mem_mb")  # what a retry asks more of
UNITS = {"d": 24 * 60.0, "h": 60.0, "m": 1.0, "s": 1 / 60}
TIMES = "minutes (90), days-hours:minutes:seconds (2-00:00:00) or 2d12h"


class Partition(NamedTuple):
    """An entry of the file: one partition of SLURM, or several joined by commas.

    limits: {key of LIMITS: number}, inf where the file states none (0 GPUs). models, constraints: None where the file lists none.
    """

    name: str
    limits: Mapping[str, float]
    models: tuple[str, ...] | None = None
    constraints: tuple[str, ...] | None = None
    cluster: str | None = None
    mpi: bool = True

    @property
    def names(self) -> list[str]:
        """Return the names of SLURM's partitions in this entry."""
        return [part.strip() for part in self.name.split(",")]


class Need(NamedTuple):
    """A number that a job asks for, and the limit of a partition. words: the limit with its unit."""

    asked: float
    limit: float
    words: str


# --- the file


def read(path: str | Path) -> list[Partition]:
    """Return the entries of a file of partitions. Raises BadInput, which names file, entry and key."""
    try:
        content = yaml.load(Path(path).read_text(), Loader=LOADER)
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"{path}: cannot read the partitions ({reason}); `teachergrid site` prints the lines") from error
    entries = content.get("partitions") if isinstance(content, dict) else None
    if not isinstance(entries, dict) or not entries:
        raise BadInput(f"{path}: has no entries under `partitions`; `teachergrid site` prints them")
    checked = [_entry(name, entry, str(path)) for name, entry in entries.items()]
    config_files.refuse([path], "profile")  # such as a partition that is stated twice
    return checked


def _entry(name: Any, entry: Any, path: str) -> Partition:
    """Return one checked entry."""
    where = f"{path}: partitions.{name}"
    if not isinstance(name, str) or not name.strip():
        raise BadInput(f'{where}: is not the name of a partition; put it in quotes: "{name}"')
    if not isinstance(entry, dict):
        raise BadInput(f"{where}: holds {entry!r}; write its limits in braces, such as {{max_runtime: 1440}}")
    for key in entry:
        if key not in KEYS:
            raise BadInput(f"{where}: unknown key '{key}'{nearest(str(key), KEYS)}")
    limits = {key: _number(entry[key], key, f"{where}.{key}") for key in LIMITS if key in entry}
    models, constraints = (_names(entry[key], f"{where}.{key}") if key in entry else None for key in LISTS)
    cluster = next((str(entry[key]) for key in CLUSTERS if key in entry), None)
    unlimited = {key: 0 if key == "max_gpu" else math.inf for key in LIMITS}
    return Partition(name, unlimited | limits, models, constraints, cluster, bool(entry.get("supports_mpi", True)))


def _number(value: Any, key: str, where: str) -> float:
    if key == "max_runtime" and isinstance(value, str):
        return minutes(value, where)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise BadInput(f"{where}: {value!r} is not {TIMES if key == 'max_runtime' else 'a number of 0 or more'}")
    return _rounded(value) if key == "max_runtime" else value


def _names(value: Any, where: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise BadInput(f"{where}: {value!r} is not a list of names; write it as [a100, h100]")
    return tuple(value)


def minutes(text: str, where: str = "max_runtime") -> float:
    """Return the minutes of a time limit as the plugin reads it: 60:30 is 60 hours and 30 minutes. Raises BadInput."""
    text = text.strip()
    if match := re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text):
        days, first, second, third = (int(part or 0) for part in match.groups())
        if match[1] is None and match[3] is None:
            return first
        return _rounded(24 * 60 * days + 60 * first + second + third / 60)
    if re.fullmatch(r"\d+\.\d+", text):
        return _rounded(float(text))
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([dhms])", text.lower())
    if not parts or re.sub(r"[\d.\sdhms]", "", text.lower()):
        raise BadInput(f"{where}: {text!r} is not {TIMES}")
    return _rounded(sum(float(number) * UNITS[unit] for number, unit in parts))


def _rounded(number: float) -> float:
    return math.inf if number == math.inf else math.floor(number + 0.5)


# --- the plugin's choice


def best(partitions: Sequence[Partition], asked: Mapping[str, Any]) -> Partition | None:
    """Return the entry that a job goes to: of those that take it the one that it fills best; None where none takes it.

    asked: what a job asks for, by the names of ASKED.
    """
    scores = [(score(partition, asked), partition) for partition in candidates(partitions, asked)]
    return max(
        ((number, partition) for number, partition in scores if number is not None),
        key=lambda item: item[0],
        default=(0, None),
    )[1]


def candidates(partitions: Sequence[Partition], asked: Mapping[str, Any]) -> list[Partition]:
    """Return the entries that the plugin looks at: all, or those of the partition that a job names by `slurm_partition`."""
    named = asked.get("slurm_partition")
    return [partition for partition in partitions if named in (None, "", partition.name) or named in partition.names]


def score(partition: Partition, asked: Mapping[str, Any]) -> float | None:
    """Return how well a job fills a partition, as the plugin computes it; None where the partition does not take it."""
    if next(refusals(partition, asked), None) is not None:
        return None
    shares = sum(
        need.asked / need.limit for need in needs(partition, asked) if need.asked > 0 and need.limit < math.inf
    )
    spares_gpus = not gpus(asked)[0] and partition.limits["max_gpu"] > 0
    return shares - spares_gpus


def refusals(partition: Partition, asked: Mapping[str, Any]) -> Iterator[str]:
    """Yield what of a partition does not fit a job, in words, such as "60 min"."""
    count, model = gpus(asked)
    if _cluster(asked) != partition.cluster:
        yield f"on cluster {partition.cluster}" if partition.cluster else "not on that cluster"
    if count and not partition.limits["max_gpu"]:
        yield "no GPU"
    else:
        yield from (need.words for need in needs(partition, asked) if need.asked > need.limit)
        if count and model and partition.models and model not in partition.models:
            yield f"has {', '.join(partition.models)}"
    if asked.get("mpi") and not partition.mpi:
        yield "no MPI"
    required = [word.strip() for word in str(asked.get("constraint") or "").split(",") if word.strip()]
    if partition.constraints and not {*required} <= {*partition.constraints}:
        yield f"has constraints {', '.join(partition.constraints)}"


def needs(partition: Partition, asked: Mapping[str, Any]) -> Iterator[Need]:
    """Yield all numbers that a job asks for, with the limits of a partition."""

    def need(number: float, key: str, unit: str) -> Need:
        limit = partition.limits[key]
        return Need(number, limit, f"{limit:.15g} {unit}")

    for name, unit in UNIT_OF.items():
        yield need(_of(asked, name), f"max_{name}", unit)
    yield need(threads(asked), "max_threads", "CPUs")
    cpus, kind = cpus_of(asked)
    if kind == "task":
        yield need(cpus, "max_threads", "CPUs")
        yield need(cpus, "max_cpus_per_task", "CPUs")
    elif kind == "gpu":
        yield need(cpus, "max_cpus_per_gpu", "CPUs per GPU")
    yield need(gpus(asked)[0], "max_gpu", "GPUs")


def gpus(asked: Mapping[str, Any]) -> tuple[int, str | None]:
    """Return (GPUs, their type or None) that a job asks for. The plugin counts those of one node where `gres` states them."""
    if count := int(_of(asked, "gpu")):
        return count, asked.get("gpu_model") or None
    parts = [part.strip().split(":") for part in str(asked.get("gres") or "").split(",")]
    stated = next((part for part in parts if part[0].startswith("gpu")), [])
    if len(stated) == 2 and stated[1].isdigit():
        return int(stated[1]), None
    return (int(stated[2]), stated[1]) if len(stated) == 3 and stated[2].isdigit() else (0, None)


def cpus_of(asked: Mapping[str, Any]) -> tuple[int, str]:
    """Return (CPUs, of what): of a `task`, of a `gpu`, or `none`."""
    if asked.get("cpus_per_task") is not None:
        return max(1, int(_of(asked, "cpus_per_task"))), "task"
    if (_of(asked, "gpu") or "gpu" in str(asked.get("gres") or "")) and asked.get("cpus_per_gpu") is not None:
        cpus = int(_of(asked, "cpus_per_gpu"))
        return (cpus, "gpu") if cpus > 0 else (0, "none")
    return threads(asked), "task"


def threads(asked: Mapping[str, Any]) -> int:
    """Return the threads of a job, at least 1."""
    return max(1, int(_of(asked, "threads")))


def _of(asked: Mapping[str, Any], name: str) -> float:
    """Return a number that a job asks for; 0 where it states none."""
    value = asked.get(name)
    try:
        return 0 if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return 0


def _cluster(asked: Mapping[str, Any]) -> str | None:
    return next((asked[name] for name in CLUSTERS if asked.get(name)), None)


# --- what a job may ask for


def within(partitions: Sequence[Partition], least: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a job shall ask for: its wish, with time and memory cut to the partition that gives it most of both.

    A later attempt wants more than the first: a job that is ended by its limit goes on from its last shard or checkpoint, while one
    that no partition takes would wait for ever. Where no partition takes even the least, only time is cut: it is not to blame.

    Args:
        partitions: the entries of the file.
        least: what a partition has to offer at least, by the names of ASKED.
        wanted: what the job would ask for, the same but for `runtime` (minutes) and `mem_mb`.
    """
    entries = candidates(partitions, wanted)
    takers = [partition for partition in entries if next(refusals(partition, least), None) is None]
    if not takers:
        longest = max((partition.limits["max_runtime"] for partition in entries), default=math.inf)
        hours = {name: max(least[name], min(wanted[name], longest)) for name in ("runtime",) if _of(wanted, name)}
        return dict(wanted) | {name: math.floor(value) for name, value in hours.items()}
    if any(next(refusals(partition, wanted), None) is None for partition in takers):
        return dict(wanted)

    def share(partition: Partition) -> float:
        return math.prod(min(1.0, partition.limits[f"max_{name}"] / (_of(wanted, name) or 1)) for name in CUT)

    largest = max(takers, key=share).limits
    return dict(wanted) | {
        name: math.floor(min(wanted[name], largest[f"max_{name}"])) for name in CUT if _of(wanted, name)
    }


def refusal(partitions: Sequence[Partition], asked: Mapping[str, Any], file: str) -> str:
    """Return in words that no partition takes a job, and why: "600 min, 4 h200: no partition of FILE takes it (short: 60 min)"."""
    count, model = gpus(asked)
    nodes = int(_of(asked, "nodes")) if "gpu" in str(asked.get("gres") or "") else 1
    parts = [
        f"{_of(asked, 'runtime'):.15g} min" if _of(asked, "runtime") else "",
        f"{count} {model or ('GPU' if count == 1 else 'GPUs')}{f' on each of {nodes} nodes' if nodes > 1 else ''}"
        if count
        else "",
        f"{_of(asked, 'mem_mb'):.15g} MB" if _of(asked, "mem_mb") else "",
        f"constraint {asked['constraint']}" if asked.get("constraint") else "",
    ]
    why = "; ".join(
        f"{partition.name}: {', '.join(dict.fromkeys(refusals(partition, asked)))}"
        for partition in candidates(partitions, asked)
    )
    return f"{', '.join(filter(None, parts))}: no partition of {file} takes it ({why})"
