"""The nodes of the cluster as one call of sinfo tells of them: partitions, state, memory and GPUs of each type."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from . import scheduler

# a line for each node and partition
QUERY = ("sinfo", "--Node", "--noheader", "--exact", "--format=%N|%R|%T|%m|%G|%l|%f")
UNTYPED = ""  # GPUs whose type SLURM does not say
GPUS = re.compile(r"(?<!\w)gpu(?::([^:,()\s]+))?:(\d+)")
# states of nodes that take no job for the time being; SLURM adds marks such as * (no answer) and ~ (switched off, is woken up)
UNUSABLE = ("drain", "down", "fail", "error", "unk", "inval", "future", "maint")


class Node(NamedTuple):
    """A node. limits: {partition: time limit as sinfo prints it}. gpus: {type: number}. features: for constraints."""

    name: str
    limits: dict[str, str]
    state: str
    memory: int  # MB
    gpus: dict[str, int]
    features: list[str]

    @property
    def usable(self) -> bool:
        """Whether the node takes jobs, now or when it has ended others."""
        return not self.state.lower().startswith(UNUSABLE)


def ask() -> list[Node]:
    """Return the cluster's nodes. Raises SlurmError."""
    return parse(scheduler.ask(*QUERY).splitlines())


def parse(lines: Iterable[str]) -> list[Node]:
    """Return the nodes of sinfo's lines `node|partition|state|MB|gres|time limit|features`, each once."""
    nodes: dict[str, Node] = {}
    for line in lines:
        name, partition, state, memory, gres, limit, features = line.strip().split("|", 6)
        if name not in nodes:
            words = [] if features == "(null)" else features.split(",")
            nodes[name] = Node(name, {}, state, int(memory.rstrip("+")), gpus(gres), words)
        nodes[name].limits[partition] = limit
    return list(nodes.values())


def gpus(gres: str) -> dict[str, int]:
    """Return {type: number} of a node's generic resources, such as gpu:h100:4(S:0-1),nvme:1."""
    found: Counter[str] = Counter()
    for model, number in GPUS.findall(gres):
        found[model or UNTYPED] += int(number)
    return {model: number for model, number in found.items() if number}


def usable_gpus(nodes: Iterable[Node], partitions: Iterable[str]) -> dict[str, int]:
    """Return {type: GPUs of nodes that take jobs} over some partitions; a node in several of them counts once."""
    names, found = {*partitions}, Counter[str]()
    for node in nodes:
        if node.usable and names & node.limits.keys():
            found.update(node.gpus)
    return dict(found)
