"""`teachergrid site`: the lines that profiles/slurm needs for this cluster, as sinfo, scontrol and sacctmgr describe it."""

import grp
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from getpass import getuser
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from . import nodes as cluster_nodes
from . import partitions as listed_partitions
from . import scheduler
from .nodes import Node

PROFILE = Path("profiles/slurm/profile.yaml")
# what the profile states for jobs besides who pays
DEFAULTS = {"cpus_per_gpu": 4, "mem_mb": "2000 * attempt", "runtime": "30 * attempt"}
JOBS = 200  # of the profile
FOR_TESTS = re.compile(r"(?:^|[-_.])(?:debug|tests?|testing|interactive|devel|dev)(?:[-_.\d]|$)", re.IGNORECASE)
SHORT = 60  # minutes
# a type of GPU that the plugin lets a job ask for
ASKABLE = re.compile(r"[A-Za-z0-9_.]+")


class User(NamedTuple):
    """What decides which partitions a user may use. accounts, qos: None where SLURM's accounting does not answer."""

    accounts: list[str] | None = None
    groups: Sequence[str] = ()
    qos: list[str] | None = None


class Association(NamedTuple):
    """What an account allows a user. jobs, submitted: the most that run, and that are submitted, at once; None for no limit."""

    account: str
    qos: list[str]
    default_qos: str
    jobs: int | None
    submitted: int | None


def read_associations() -> list[Association]:
    """Return the accounts that this user may charge, by name. Raises SlurmError."""
    form = "format=account,qos,defaultqos,maxjobs,maxsubmit"
    return associations(scheduler.ask("sacctmgr", "-nP", "list", "assoc", f"user={getuser()}", form).splitlines())


def read_qos() -> dict[str, tuple[int | None, int | None]]:
    """Return {QOS: (jobs, submitted)}, the most that a user may have at once; {} where sacctmgr does not answer."""
    try:
        answer = scheduler.ask("sacctmgr", "-nP", "list", "qos", "format=name,maxjobspu,maxsubmitpu")
    except scheduler.SlurmError:
        return {}
    rows = [line.split("|") for line in answer.splitlines()]
    return {row[0]: (_number(row[1]), _number(row[2])) for row in rows if len(row) >= 3}


def read_partitions() -> list[dict[str, str]]:
    """Return what scontrol says of each partition. Raises SlurmError."""
    return described(scheduler.ask("scontrol", "show", "partition", "--oneliner").splitlines())


def this_user(known: Sequence[Association] | None) -> User:
    """Return the user of this process. known: its associations, None where they are unknown."""
    groups = []
    for number in os.getgrouplist(getuser(), os.getgid()):
        try:
            groups.append(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    if known is None:
        return User(None, groups, None)
    return User([one.account for one in known], groups, sorted({qos for one in known for qos in one.qos}))


def usable(found: Sequence[Node]) -> list[listed_partitions.Partition]:
    """Return the partitions that `site` would print without a mark, as entries of a file; all where scontrol does not answer."""
    try:
        known = read_partitions()
    except scheduler.SlurmError:
        known = []
    try:
        accounts = read_associations()
    except scheduler.SlurmError:
        accounts = None
    marked = marks(known, this_user(accounts))
    entries = []
    for name, partition in summed(found).items():
        if name not in marked and not by_itself(name, partition):
            runtime = minutes(partition.limit)
            limits = {key: math.inf for key in listed_partitions.LIMITS} | {"max_gpu": float(partition.gpus)}
            limits["max_runtime"] = math.inf if runtime is None else runtime
            entries.append(listed_partitions.Partition(name, limits, tuple(partition.models) or None))
    return entries


# --- from SLURM's words to the lines


@dataclass
class Summed:
    """A partition, summed up over its nodes that take jobs; over all where none does."""

    limit: str  # time, as sinfo prints it
    memory: list[int] = field(default_factory=list)  # MB of each node
    gpus: int = 0  # of the node that has most: a job on one node gets no more
    models: list[str] = field(default_factory=list)
    features: list[str] = field(default_factory=list)
    usable: bool = True


def summed(found: Sequence[Node]) -> dict[str, Summed]:
    """Return the partitions by name."""
    by_name: dict[str, Summed] = {}
    for name, limit in {name: limit for node in found for name, limit in node.limits.items()}.items():
        all_nodes = [node for node in found if name in node.limits]
        good = [node for node in all_nodes if node.usable]
        partition = by_name[name] = Summed(limit, usable=bool(good))
        partition.memory = [node.memory for node in good or all_nodes]
        for node in good or all_nodes:
            partition.gpus = max(partition.gpus, sum(node.gpus.values()))
            partition.models += [model for model in node.gpus if model and model not in partition.models]
            partition.features += [word for word in node.features if node.gpus and word not in partition.features]
    return by_name


def described(lines: Sequence[str]) -> list[dict[str, str]]:
    """Return {key: value} of each partition. lines: of `scontrol show partition --oneliner`."""
    return [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines if line.strip()]


def marks(known: Sequence[dict[str, str]], user: User) -> dict[str, str]:
    """Return {partition: why its line is a comment}: it is down, closed to this user, or its jobs give way to others."""
    highest = max((int(partition.get("PriorityTier", 0)) for partition in known), default=0)
    found = {}
    for partition in known:
        if why := closed(partition, user):
            found[partition["PartitionName"]] = why
        elif partition.get("PreemptMode", "OFF") != "OFF" and int(partition.get("PriorityTier", 0)) < highest:
            found[partition["PartitionName"]] = f"preemptible ({partition['PreemptMode']})"
    return found


def closed(partition: dict[str, str], user: User) -> str | None:
    """Return why a user cannot use a partition, None where the user can, as far as SLURM tells."""
    if (state := partition.get("State", "UP")) != "UP":
        return f"State={state}"
    allowed = (("AllowAccounts", user.accounts), ("AllowGroups", user.groups or None), ("AllowQos", user.qos))
    for key, own in allowed:
        names = partition.get(key, "ALL")
        if own is not None and names.upper() != "ALL" and not {*names.split(",")} & {*own}:
            return f"not for you: {key}={names}"
    denied = (("DenyAccounts", user.accounts), ("DenyQos", user.qos))
    for key, own in denied:
        if own and {*own} <= {*partition.get(key, "").split(",")}:
            return f"not for you: {key}={partition[key]}"
    return None


def by_itself(name: str, partition: Summed) -> str | None:
    """Return why the line of a partition is a comment, whoever asks; None for no reason.

    The plugin takes the partition that a job fills best, so that one for tests, where a user may have a job or two, would win.
    """
    if not partition.usable:
        return "all nodes are down or drained"
    if FOR_TESTS.search(name):
        return "for tests, by its name"
    limit = minutes(partition.limit)
    return f"short: {limit} min" if limit is not None and limit < SHORT else None


def partitions(found: Sequence[Node], marked: dict[str, str]) -> list[str]:
    """Return a line for each partition, by name: the smallest memory of its nodes, GPUs of all that take jobs.

    Args:
        found: the nodes of the cluster.
        marked: {partition: why its line is a comment}. A user who accepts that can uncomment it.
    """
    lines = ["partitions:"]
    # sinfo has no order of its own
    for name, partition in sorted(summed(found).items()):
        why = marked.get(name) or by_itself(name, partition)
        key = name if re.fullmatch(r"[A-Za-z_][\w.-]*", name) and not _is_word_of_yaml(name) else f'"{name}"'
        lines.append(f"  {f'# {why}: ' if why else ''}{key}: {{{', '.join(limits(partition))}}}")
        for model in [model for model in partition.models if not ASKABLE.fullmatch(model)]:
            features = f" (its nodes have {', '.join(partition.features)})" if partition.features else ""
            lines.append(
                f"  # {name}: no job can ask for {model} by name, because of the hyphen: leave `gpu_model` out, or ask for the "
                f"nodes by `constraint`{features}"
            )
    return lines


def _is_word_of_yaml(name: str) -> bool:
    return not isinstance(yaml.safe_load(name), str)


def limits(partition: Summed) -> list[str]:
    """Return what profiles/slurm/partitions.yaml says of a partition, `key: value` each."""
    lines = []
    if (runtime := minutes(partition.limit)) is not None:
        lines.append(f"max_runtime: {runtime}")
    lines.append(f"max_mem_mb: {min(partition.memory)}")
    if partition.gpus:
        lines.append(f"max_gpu: {partition.gpus}")
    # a list would refuse jobs that ask for no type, if it named only some
    if (models := partition.models) and any(ASKABLE.fullmatch(model) for model in models):
        lines.append(f"available_gpu_models: [{', '.join(model for model in models if ASKABLE.fullmatch(model))}]")
    return lines


def minutes(limit: str) -> int | None:
    """Return the minutes of a time limit as sinfo prints it, rounded up; None without a limit."""
    seconds = scheduler.seconds(limit)
    return None if seconds is None else -(-seconds // 60)


# --- who pays


def associations(lines: Sequence[str]) -> list[Association]:
    """Return the accounts by name. lines: of sacctmgr, `account|qos,qos|default qos|max jobs|max submit`."""
    found: dict[str, Association] = {}
    for line in lines:
        account, qos, default, jobs, submitted = (line.split("|") + [""] * 4)[:5]
        if account and account not in found:
            names = [name for name in qos.split(",") if name]
            found[account] = Association(account, names, default, _number(jobs), _number(submitted))
    return [found[name] for name in sorted(found)]


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdigit() else None


def default_resources(known: Sequence[Association], profile: dict[str, Any] | None = None) -> list[str]:
    """Return the whole block `default-resources` of the profile, so that it can take the place of the one that is there.

    Args:
        known: the user's accounts; all but the first are comments.
        profile: the content of the profile, whose other lines of the block stay.
    """
    lines = ["default-resources:"]
    lines += [f"  {'# or ' if number else ''}slurm_account: {one.account}" for number, one in enumerate(known)]
    if known and known[0].qos:
        first = known[0]
        # without a default QOS some sites refuse a job that names none
        mark, name = ("# ", first.default_qos) if first.default_qos else ("", first.qos[0])
        others = [qos for qos in first.qos if qos != name]
        lines.append(f"  {mark}qos: {name}{'  # or ' + ', '.join(others) if others else ''}")
    stays = DEFAULTS | ((profile or {}).get("default-resources") or {})
    new = {"slurm_account": bool(known), "qos": bool(known and known[0].qos and not known[0].default_qos)}
    return lines + [f"  {key}: {_written(value)}" for key, value in stays.items() if not new.get(key)]


def _written(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n").removesuffix("\n...")


def jobs(known: Sequence[Association], qos: dict[str, tuple[int | None, int | None]], usual: int = JOBS) -> list[str]:
    """Return the profile's line `jobs`, where an account or its QOS allows fewer submitted jobs than the profile has."""
    if not known:
        return []
    first = known[0]
    name = first.default_qos or (first.qos[0] if first.qos else "")
    running, submitted = qos.get(name, (None, None))
    most = {f"MaxSubmit of account {first.account}": first.submitted, f"MaxSubmit of QOS {name}": submitted}
    lines = []
    least = min((number, where) for where, number in {**most, "": usual}.items() if number is not None)
    if least[0] < usual:
        lines.append(f"jobs: {least[0]}  # {least[1]}; fewer, if you have other jobs")
    at_once = [
        (number, where) for number, where in ((first.jobs, first.account), (running, name)) if number is not None
    ]
    if at_once:
        lines.append(
            f"# no more than {min(at_once)[0]} jobs run at once (MaxJobs of {min(at_once)[1]}); the others wait"
        )
    return lines


def profile_here() -> dict[str, Any] | None:
    """Return the content of the profile in the current folder, None where it cannot be read."""
    try:
        content = yaml.safe_load(PROFILE.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return content if isinstance(content, dict) else None


def nodes() -> list[Node]:
    """Return the nodes of the cluster. Raises SlurmError."""
    return cluster_nodes.ask()
