"""The machines that a plan is simulated on: from --cluster, or from the profile and SLURM."""

import argparse
import math
import os
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from ..cost.limits import file_of
from ..cost.machines import Machines
from ..cost.makespan import CPU
from ..errors import BadInput
from ..slurm import nodes, partitions, scheduler, site

POOL = re.compile(r"(?P<kind>[\w.-]+)=(?P<amount>\d+)(?:@(?P<hours>\d+(?:\.\d+)?)h)?")
NAMED, SLURM = "--cluster", "SLURM's partitions"
DEFAULT_GPU = "h100"  # when neither the config, the cluster nor --gpu names a type
MANY = 10**6
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
    submitted at once, None for no limit. source: where this comes from, in words. devices: {GPU type of the cluster: type of
    cost.machines}, where the two differ. guessed: {GPU type: how it is counted, in words}.
    """

    pools: dict[str, Pool]
    delay: float
    submitted: int | None
    source: str
    devices: Mapping[str, str] = MappingProxyType({})
    guessed: Mapping[str, str] = MappingProxyType({})

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
        if match["kind"] in pools:
            raise BadInput(f"--cluster {text}: names {match['kind']} twice; {FORM}")
        if match["hours"] and not float(match["hours"]):
            raise BadInput(f"--cluster {part}: no job ends in 0 hours; {FORM}")
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
    if args.executor == "slurm" and (pools := of_slurm(args)):
        submitted = int(args.jobs) if str(args.jobs).isdigit() else None
        return Cluster(pools, DELAY_S if delay is None else delay, submitted, SLURM)
    cores = str(args.cores or args.jobs or 1)
    pools = {CPU: Pool(int(cores) if cores.isdigit() else _cpus())}
    gpus, stated = gpus or {}, (args.resources or {}).get("gpu")
    if stated is not None:
        gpus = {next(iter(gpus), ANY): stated.value}
    pools |= {kind: Pool(n) for kind, n in gpus.items() if n}
    return Cluster(pools, delay or 0.0, None, HERE if len(pools) > 1 else NO_GPU)


def named(cluster: Cluster, machines: Machines, asked: Collection[str]) -> tuple[Cluster, Machines]:
    """Return the cluster with what its GPU types are, and the machines with the devices that this needs.

    A type that the machines do not have is guessed by its name. Where its name says nothing, it counts as DEFAULT_GPU; not so one
    that a job or the user names, which the forecast refuses. asked: the types that jobs name.
    """
    devices, guessed = {}, {}
    for kind in sorted({*cluster.pools, *asked} - {CPU, ANY, *machines.gpus}):
        if guess := machines.guess(kind):
            devices[kind], guessed[kind] = guess.type, guess.words
            machines = machines._replace(gpus=machines.gpus | {guess.type: guess.device})
        elif kind not in asked and cluster.source != NAMED:
            devices[kind], guessed[kind] = DEFAULT_GPU, f"unknown, counted as {DEFAULT_GPU}"
    return cluster._replace(devices=devices, guessed=guessed), machines


def described(cluster: Cluster, kind: str) -> dict:
    """Return a pool in the form of the plan document."""
    pool = cluster.pools[kind]
    return {"amount": pool.amount, "limit_s": pool.limit_s, "guessed": cluster.guessed.get(kind)}


def asked_for(config: Mapping, gpu: str | None) -> set[str]:
    """Return the GPU types that a config's models name, and that of --gpu."""
    models = config.get("models")
    entries = models.values() if isinstance(models, Mapping) else ()
    kinds = {entry.get("gpu_model") for entry in entries if isinstance(entry, Mapping)} | {gpu}
    return {str(kind) for kind in kinds if kind}


def told(cluster: Cluster) -> tuple[str, ...]:
    """Return a sentence for each GPU type that is guessed."""
    return tuple(
        f"GPU type {kind}: guessed ({words}); if that is wrong, state it under `gpus` in a file for --machines"
        for kind, words in cluster.guessed.items()
    )


def _cpus() -> int:
    return os.cpu_count() or 1


def of_slurm(args: argparse.Namespace) -> dict[str, Pool]:
    """Return the GPUs and CPUs of the partitions that the profile's file lists; without a file, of those that the user may use.

    {} without a file and without an answer of SLURM. Raises BadInput for a file that is malformed.
    """
    submitted = int(args.jobs) if str(args.jobs).isdigit() else None
    try:
        found = nodes.ask()
    except scheduler.SlurmError:
        found = []
    if file := file_of(getattr(args, "slurm_partition_config", None)):
        return of_partitions(partitions.read(file), submitted, found)
    listed = site.usable(found)
    return of_partitions(listed, submitted, found) if listed else {}


def of_partitions(
    listed: Sequence[partitions.Partition], submitted: int | None, found: Sequence[nodes.Node] = ()
) -> dict[str, Pool]:
    """Return a pool for each GPU type of these partitions, and one of CPUs, each with the longest time limit.

    Args:
        listed: the partitions that count.
        submitted: how many jobs may be submitted at once, None for no limit: a job without GPUs has one CPU.
        found: the cluster's nodes, where sinfo answers: then a type counts those of its GPUs that take jobs now. Without them
            partitions may share nodes, so the largest number of a type counts (not the sum).
    """
    names: dict[str, set[str]] = defaultdict(set)  # of the partitions with GPUs of a type
    largest: dict[str, int] = defaultdict(int)
    limits: dict[str, float] = defaultdict(float)
    for partition in listed:
        has = nodes.usable_gpus(found, partition.names)
        kinds = partition.models or tuple(kind or ANY for kind in has) or (ANY,)
        for kind in kinds if partition.limits["max_gpu"] else (CPU,):
            limits[kind] = max(limits[kind], 60 * partition.limits["max_runtime"])
            if kind != CPU and any({*partition.names} & node.limits.keys() for node in found):
                names[kind] |= {*partition.names}
            elif kind != CPU:
                # sinfo hides partitions from those who may not use them, and says nothing of others
                largest[kind] = max(largest[kind], int(min(partition.limits["max_gpu"], MANY)))
    for kind, known in names.items():
        usable = nodes.usable_gpus(found, known)
        largest[kind] = max(largest[kind], usable.get(nodes.UNTYPED if kind == ANY else kind, 0))
    largest[CPU] = submitted or _cpus()
    limits.setdefault(CPU, math.inf)
    amounts = {kind: largest[kind] for kind in limits if largest[kind]}
    return {kind: Pool(n, None if limits[kind] == math.inf else limits[kind]) for kind, n in amounts.items()}


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
