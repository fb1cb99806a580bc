"""`teachergrid site`: the site's lines of profiles/slurm for the cluster at hand, from what sinfo and sacctmgr say."""

import re
import subprocess
import sys
from getpass import getuser

from .errors import BadInput


def main() -> int:
    """Print both blocks. Exit code 2 where there is no SLURM."""
    try:
        nodes = ask("sinfo", "--noheader", "--exact", "--format=%R|%l|%m|%G|%D")
        giving_way = preemptible(ask("scontrol", "show", "partition", "--oneliner"))
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(["default-resources:", *accounts(), "# ---", *partitions(nodes, giving_way)]))
    return 0


def ask(*command: str) -> list[str]:
    """Return the lines that a SLURM command prints. Raises BadInput when there is no such command, or it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except FileNotFoundError as error:
        raise BadInput(f"{command[0]}: not found; run this on a login node of the cluster") from error
    except subprocess.TimeoutExpired as error:
        raise BadInput(f"{command[0]}: no answer within a minute; is slurmctld up?") from error
    if done.returncode:
        raise BadInput(f"{command[0]}: {done.stderr.strip() or 'failed'}")
    return done.stdout.splitlines()


def accounts() -> list[str]:
    """Return the accounts that this user may charge; a cluster without accounting has none."""
    try:
        found = sorted(
            {
                line.split("|")[0]
                for line in ask("sacctmgr", "-nP", "list", "assoc", f"user={getuser()}", "format=account")
            }
        )
    except BadInput as error:
        return [f"  # no accounts known ({error})"]
    lines = [f"  slurm_account: {name}" for name in found if name]
    return [*lines[:1], *(line.replace("  ", "  # or ", 1) for line in lines[1:])]


def preemptible(described: list[str]) -> dict[str, str]:
    """Return the partitions whose jobs give way to another's, and how. described: lines of `scontrol show partition --oneliner`."""
    found = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in described]
    highest = max((int(words["PriorityTier"]) for words in found), default=0)
    return {
        words["PartitionName"]: words["PreemptMode"]
        for words in found
        if words["PreemptMode"] != "OFF" and int(words["PriorityTier"]) < highest
    }


def partitions(nodes: list[str], preempted: dict[str, str]) -> list[str]:
    """Return a line for each partition: the smallest memory of its nodes, GPUs of all of them.

    nodes: `partition|time limit|MB|gres|nodes` for each kind of node, as sinfo prints them.
    """
    kinds = {}
    for line in nodes:
        name, limit, memory, gres, count = line.split("|")
        kind = kinds.setdefault(name, {"limit": limit, "memory": [], "gpus": 0, "models": []})
        kind["memory"].append(int(memory.rstrip("+")))
        for model, number in re.findall(r"gpu:(?:([A-Za-z0-9_.]+):)?(\d+)", gres):
            kind["gpus"] += int(number) * int(count)
            kind["models"] += [model] if model and model not in kind["models"] else []
    lines = ["partitions:"]
    for name, kind in kinds.items():
        limits = [f"max_mem_mb: {min(kind['memory'])}"]
        if kind["limit"] != "infinite":
            limits.insert(0, f"max_runtime: {minutes(kind['limit'])}")
        if kind["gpus"]:
            limits.append(f"max_gpu: {kind['gpus']}")
        if kind["models"]:
            limits.append(f"available_gpu_models: [{', '.join(kind['models'])}]")
        # a preempted job waits again, or is cancelled: whoever wants that takes the mark away
        mark = f"  # preemptible ({preempted[name]}): " if name in preempted else "  "
        lines.append(f"{mark}{name}: {{{', '.join(limits)}}}")
    return lines


def minutes(limit: str) -> int:
    """Return minutes of a time limit as sinfo prints it: [[days-]hours:]minutes:seconds."""
    days, _, clock = limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    hours, mins, seconds = [0] * (3 - len(parts)) + parts
    return int(days or 0) * 1440 + hours * 60 + mins + (seconds > 0)
