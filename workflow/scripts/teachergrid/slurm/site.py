"""`teachergrid site`: the lines that profiles/slurm needs for this cluster, from the output of sinfo and sacctmgr."""

import re
from dataclasses import dataclass, field
from getpass import getuser

from . import scheduler


def read_accounts() -> list[str]:
    """Return profile lines with the accounts that this user may charge; a comment where they are unknown."""
    query = ("sacctmgr", "-nP", "list", "assoc", f"user={getuser()}", "format=account")
    try:
        return accounts(scheduler.ask(*query).splitlines())
    except scheduler.SlurmError as error:
        return [f"  # no accounts known ({error})"]


# --- from SLURM's words to the lines


@dataclass
class Partition:
    """A partition, summed up over its kinds of nodes."""

    limit: str  # time, as sinfo prints it
    memory: list[int] = field(default_factory=list)  # MB of each kind of node
    gpus: int = 0
    models: list[str] = field(default_factory=list)


def accounts(lines: list[str]) -> list[str]:
    """Return a line for each account, all but the first as comments. lines: of sacctmgr, `account|`."""
    names = sorted({line.split("|")[0] for line in lines} - {""})
    return [f"  {'# or ' if number else ''}slurm_account: {name}" for number, name in enumerate(names)]


def preemptible(lines: list[str]) -> dict[str, str]:
    """Return {partition: PreemptMode} of the partitions whose jobs may be stopped for jobs of another one.

    lines: of `scontrol show partition --oneliner`.
    """
    described = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]
    highest = max((int(partition["PriorityTier"]) for partition in described), default=0)
    return {
        partition["PartitionName"]: partition["PreemptMode"]
        for partition in described
        if partition["PreemptMode"] != "OFF" and int(partition["PriorityTier"]) < highest
    }


def partitions(nodes: list[str], preempted: dict[str, str]) -> list[str]:
    """Return a line for each partition: the smallest memory of its nodes, GPUs of all of them.

    Args:
        nodes: `partition|time limit|MB|gres|nodes` for each kind of node, as sinfo prints them.
        preempted: {partition: PreemptMode}; their lines are comments.
    """
    lines = ["partitions:"]
    for name, partition in read_partitions(nodes).items():
        # a comment by default, since preempted jobs wait again or are cancelled: a user who accepts that can uncomment it
        mark = f"  # preemptible ({preempted[name]}): " if name in preempted else "  "
        lines.append(f"{mark}{name}: {{{', '.join(limits(partition))}}}")
    return lines


def read_partitions(nodes: list[str]) -> dict[str, Partition]:
    """Return the partitions by name, from sinfo's lines as above."""
    by_name: dict[str, Partition] = {}
    for line in nodes:
        name, limit, memory, gres, count = line.split("|")
        partition = by_name.setdefault(name, Partition(limit))
        partition.memory.append(int(memory.rstrip("+")))
        for model, number in re.findall(r"gpu:(?:([A-Za-z0-9_.]+):)?(\d+)", gres):
            partition.gpus += int(number) * int(count)
            if model and model not in partition.models:
                partition.models.append(model)
    return by_name


def limits(partition: Partition) -> list[str]:
    """Return what profiles/slurm/partitions.yaml says of a partition, `key: value` each."""
    lines = []
    if (runtime := minutes(partition.limit)) is not None:
        lines.append(f"max_runtime: {runtime}")
    lines.append(f"max_mem_mb: {min(partition.memory)}")
    if partition.gpus:
        lines.append(f"max_gpu: {partition.gpus}")
    if partition.models:
        lines.append(f"available_gpu_models: [{', '.join(partition.models)}]")
    return lines


def minutes(limit: str) -> int | None:
    """Return the minutes of a time limit as sinfo prints it, rounded up; None without a limit."""
    seconds = scheduler.seconds(limit)
    return None if seconds is None else -(-seconds // 60)
