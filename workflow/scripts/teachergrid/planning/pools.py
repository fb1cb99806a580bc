"""The machines that a plan is simulated on: from --cluster, or from the profile and SLURM."""

import argparse
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import BadInput
from .makespan import CPU

POOL = re.compile(r"(?P<kind>[\w.-]+)=(?P<amount>\d+)(?:@(?P<hours>\d+(?:\.\d+)?)h)?")
NAMED = "--cluster"
ANY = "gpu"  # the pool of a partition that does not say which GPUs it has
HERE, NO_GPU = "this machine", "this machine, which has no GPU; add --cluster h100=16 to plan for others"
FORM = "say --cluster h100=16,a100=32@48h,cpu=128: how many of each; @48h: the time limit of jobs there"
# until a job's own start is known: Snakemake looks at the queue every 15 to 180 s, and SLURM's own interval is 30 s
DELAY_S = 60.0


class Pool(NamedTuple):
    """Machines of one kind. amount: GPUs of one type, or CPUs. limit_s: time limit of a job in seconds, None without one."""

    amount: int
    limit_s: float | None = None


class Cluster(NamedTuple):
    """All machines of a plan.

    pools: by GPU type, `cpu`, or ANY. delay: seconds from when a job is ready until it starts. submitted: how many jobs may be
    submitted at once, None for no limit. source: where this comes from, in words.
    """

    pools: dict[str, Pool]
    delay: float
    submitted: int | None
    source: str

    def amounts(self) -> dict[str, int]:
        """Return {pool: number of its GPUs or CPUs}."""
        return {kind: pool.amount for kind, pool in self.pools.items()}


def parse(text: str, delay: float | None = None, submitted: int | None = None) -> Cluster:
    """Return the cluster of the option --cluster, such as `h100=16,a100=32@48h,cpu=128`. Raises BadInput."""
    pools = {}
    for part in filter(None, text.split(",")):
        match = POOL.fullmatch(part.strip())
        if not match or not int(match["amount"]):
            raise BadInput(f"--cluster {part}: {FORM}")
        pools[match["kind"]] = Pool(int(match["amount"]), 3600 * float(match["hours"]) if match["hours"] else None)
    if not pools:
        raise BadInput(f"--cluster: {FORM}")
    # --cluster often names only GPUs; there are also CPUs, and jobs without a model need few
    pools.setdefault(CPU, Pool(4 * sum(pool.amount for pool in pools.values())))
    return Cluster(pools, DELAY_S if delay is None else delay, submitted, NAMED)


def of_profile(args: argparse.Namespace, delay: float | None = None, gpus: dict[str, int] | None = None) -> Cluster:
    """Return the machines that Snakemake's options name: SLURM's partitions, or this machine's cores and GPUs.

    Args:
        args: Snakemake's options, parsed. `gpu` among their resources replaces the number of this machine's GPUs.
        delay: seconds from when a job is ready until it starts; None for the usual delay.
        gpus: of this machine, by type.
    """
    if args.executor == "slurm" and (partitions := read_partitions(args)):
        submitted = int(args.jobs) if str(args.jobs).isdigit() else None
        return of_partitions(partitions, DELAY_S if delay is None else delay, submitted)
    cores = str(args.cores or args.jobs or 1)
    pools = {CPU: Pool(int(cores) if cores.isdigit() else _cpus())}
    gpus, stated = gpus or {}, (args.resources or {}).get("gpu")
    if stated is not None:
        gpus = {next(iter(gpus), ANY): stated.value}
    pools |= {kind: Pool(n) for kind, n in gpus.items() if n}
    return Cluster(pools, delay or 0.0, None, HERE if len(pools) > 1 else NO_GPU)


def _cpus() -> int:
    return os.cpu_count() or 1


def read_partitions(args: argparse.Namespace) -> dict[str, dict]:
    """Return {partition: its limits} from SLURM where it answers, else from the profile's file; {} without either."""
    import yaml

    from ..slurm import scheduler, site

    try:
        nodes = scheduler.ask("sinfo", "--noheader", "--exact", "--format=%R|%l|%m|%G|%D").splitlines()
        return yaml.safe_load("\n".join(site.partitions(nodes, {})))["partitions"] or {}
    except scheduler.SlurmError:
        path = Path(getattr(args, "slurm_partition_config", None) or "")
        return (yaml.safe_load(path.read_text()) or {}).get("partitions") or {} if path.is_file() else {}


def of_partitions(partitions: dict[str, dict], delay: float, submitted: int | None) -> Cluster:
    """Return a cluster with one pool for each GPU type in these partitions.

    Partitions may share nodes, so the largest number of a type counts (not the sum), and the longest time limit.
    """
    from ..slurm.site import minutes

    largest: dict[str, tuple[int, float]] = {}
    for partition in partitions.values():
        limit = partition.get("max_runtime")
        if limit is not None and not isinstance(limit, int):
            limit = minutes(str(limit))
        limit_s = math.inf if limit is None else 60 * limit
        for kind in partition.get("available_gpu_models") or ([ANY] if partition.get("max_gpu") else [CPU]):
            amount, longest = largest.get(kind, (0, 0.0))
            available = partition.get("max_gpu") or submitted or _cpus()
            largest[kind] = max(amount, available), max(longest, limit_s)
    largest.setdefault(CPU, (submitted or _cpus(), math.inf))
    pools = {
        kind: Pool(amount, None if limit_s == math.inf else limit_s) for kind, (amount, limit_s) in largest.items()
    }
    return Cluster(pools, delay, submitted, "SLURM's partitions")


class TooLong(NamedTuple):
    """A job that is longer than the time limit of every pool, or than the time that it asks SLURM for.

    hours: its duration in the pool `kind`. limit_h: the time limit there. attempts: how many starts it needs, each of which
    continues where the last one was ended. asks: whether the limit is what the job asks for.
    """

    hours: float
    kind: str
    limit_h: float
    attempts: int
    asks: bool = False

    def text(self, rule: str, retries: int) -> str:
        """Return a sentence with the remedy. retries: how often the profile lets a job start again."""
        where = "checkpoint" if rule == "finetune" else "shard"
        limit = "and asks SLURM for" if self.asks else "where the time limit is"
        words = f"takes {self.hours:.3g} h on {self.kind}, {limit} {self.limit_h:.3g} h: "
        if self.attempts <= retries + 1:
            return f"{words}goes on from its last {where}, in {self.attempts} parts"
        smaller = "more `gpus` in the recipe" if rule == "finetune" else "more `gpus` for its model"
        split = f", or {self.attempts} smaller instruction sets" if rule in ("generate", "likelihood", "reward") else ""
        again = f"`retries: {self.attempts - 1}` in the profile, so that it goes on from its last {where}"
        return f"{words}set {again}; or {smaller}{split}"


def too_long(
    seconds: dict[str, float], amount: int, cluster: Cluster, walltimes: Sequence[float] = ()
) -> TooLong | None:
    """Return how a job exceeds the time limit of every pool that is large enough for it; None where it fits one.

    Args:
        seconds: {pool: duration}.
        amount: GPUs or CPUs that the job holds.
        walltimes: seconds that its first, second ... try asks SLURM for; further ones ask for as much as the last. () for no limit.
    """
    pools = {kind: cluster.pools[kind] for kind in seconds if cluster.pools.get(kind, Pool(0)).amount >= amount}
    limits = {kind: math.inf if pool.limit_s is None else pool.limit_s for kind, pool in pools.items()}
    asked = [*walltimes] or [math.inf]
    if not limits or any(seconds[kind] <= min(limit, asked[0]) for kind, limit in limits.items()):
        return None
    tries = {
        kind: _tries(seconds[kind], [min(limit, walltime) for walltime in asked]) for kind, limit in limits.items()
    }
    kind = min(limits, key=lambda kind: (tries[kind], seconds[kind] / min(limits[kind], asked[0])))
    limit = min(limits[kind], asked[0])
    return TooLong(seconds[kind] / 3600, kind, limit / 3600, tries[kind], asked[0] < limits[kind])


def _tries(seconds: float, walltimes: list[float]) -> int:
    """Return how many tries a job needs that goes on where the last one was ended."""
    for number, walltime in enumerate(walltimes, 1):
        seconds -= walltime
        if seconds <= 0:
            return number
    return len(walltimes) + math.ceil(seconds / walltimes[-1])


def listing(names: Sequence[str], most: int = 1) -> str:
    """["a", "b", "c"] -> a and 2 others"""
    others = len(names) - most
    return ", ".join(names[:most]) + (f" and {others} other{'s' * (others > 1)}" if others > 0 else "")
