"""GPUs of a machine without a scheduler: a job takes free ones by lock, so that no two jobs meet on one device.

Snakemake's local executor counts GPUs and assigns none. A machine's devices are TEACHERGRID_DEVICES (`0,1,3`; UUIDs and MIG
instances too), else CUDA_VISIBLE_DEVICES, else all that nvidia-smi lists. Jobs of other checkouts and users count too, as
long as all name a device the same way.
"""

import fcntl
import hashlib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import BadInput

DEVICES, VISIBLE = "TEACHERGRID_DEVICES", "CUDA_VISIBLE_DEVICES"
# where the locks lie; set it if the jobs of one machine do not share /tmp
LOCKS = "TEACHERGRID_DEVICE_LOCKS"
SECONDS = 0.5  # between two looks for free devices
_GPU, _MIG = re.compile(r"GPU (\d+): .*"), re.compile(r"\s+MIG .*\(UUID: (MIG-[^)]+)\)")


@contextmanager
def taken(n: int) -> Iterator[None]:
    """Wait until n devices are free, show this process these alone, and give them back at the end.

    Call it before CUDA starts. Without a GPU on the machine, or with all that SLURM assigned, nothing is done; a job that
    asked for none sees none. A process that it starts with open descriptors (`close_fds=False`) keeps them taken for as long
    as it lives, even when the job is killed. Raises BadInput when the machine has fewer than n.
    """
    pool = known() if n else []
    if n == 0 and not _in_slurm():
        with visible([]):
            yield
    elif not pool or (_in_slurm() and n >= len(pool)):
        yield
    else:
        if n > len(pool):
            raise BadInput(
                f"this job asks for {n} GPUs and there are {len(pool)} ({','.join(pool)}): lower `gpus` in the config, "
                f"or run with --resources gpu={len(pool)}"
            )
        locks = wait_for(n, pool)
        mine = [name for name in pool if name in locks]
        print(f"devices {','.join(mine)} of {len(pool)}", flush=True)
        try:
            with visible(mine):
                yield
        finally:
            # closed and not unlocked: a child that still works keeps its device
            for lock in locks.values():
                os.close(lock)


@contextmanager
def visible(names: list[str]) -> Iterator[None]:
    """Show this process, and those that it starts, these devices alone."""
    before = os.environ.get(VISIBLE)
    os.environ[VISIBLE] = ",".join(names)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(VISIBLE, None)
        else:
            os.environ[VISIBLE] = before


def known() -> list[str]:
    """Return the names of this machine's devices, as CUDA_VISIBLE_DEVICES takes them; none without a GPU."""
    # SLURM's jobs inherit what the login shell says about devices
    for variable in (VISIBLE,) if _in_slurm() else (DEVICES, VISIBLE):
        if variable in os.environ:
            names = [name.strip() for name in os.environ[variable].split(",")]
            # CUDA's words for none, and SLURM's
            return [name for name in names if name not in ("", "-1", "NoDevFiles")]
    if _in_slurm():
        return []
    # numbers as nvidia-smi counts; CUDA would put the fastest first
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    return listed(nvidia_smi())


def nvidia_smi() -> str:
    """Return what `nvidia-smi -L` prints, "" where there is no such command."""
    try:
        return subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout
    except FileNotFoundError:
        return ""


def listed(text: str) -> list[str]:
    """Return the devices in the text of `nvidia-smi -L`: numbers, or the UUIDs of a GPU's MIG instances."""
    devices: dict[str, list[str]] = {}
    instances: list[str] = []
    for line in text.splitlines():
        if gpu := _GPU.fullmatch(line):
            devices[gpu[1]] = instances = []
        elif instance := _MIG.fullmatch(line):
            instances.append(instance[1])
    return [name for gpu, instances in devices.items() for name in instances or [gpu]]


def wait_for(n: int, pool: list[str]) -> dict[str, int]:
    """Return {device: descriptor of its lock} of n devices of the pool, all at once.

    One job at a time waits for devices, and the others wait for their turn. So there is no deadlock (two jobs that each hold
    half of what both need) and no starvation (a job that needs many, overtaken by those that need one).
    """
    turn = _opened(lock_file("turn-" + hashlib.sha256(",".join(pool).encode()).hexdigest()[:16]))
    try:
        locks = free(n, pool) if _locked(turn) else {}
        if not locks:
            print(f"waiting for {n} of the devices {','.join(pool)}: other jobs have them", flush=True)
            fcntl.flock(turn, fcntl.LOCK_EX)
        while not locks:
            time.sleep(SECONDS)
            locks = free(n, pool)
        return locks
    finally:
        os.close(turn)


def free(n: int, pool: list[str]) -> dict[str, int]:
    """Lock the first n free devices of the pool, or none. Return {device: descriptor of its lock}."""
    locks: dict[str, int] = {}
    for name in pool:
        lock = _opened(lock_file(name))
        if len(locks) < n and _locked(lock):
            os.set_inheritable(lock, True)
            locks[name] = lock
        else:
            os.close(lock)
    if len(locks) < n:
        for lock in locks.values():
            os.close(lock)
        return {}
    return locks


def lock_file(name: str) -> Path:
    """Return where the lock of a device lies."""
    # inside an allocation the same number may be another GPU than in the next one
    scope = f"slurm{os.environ['SLURM_JOB_ID']}-" if _in_slurm() else ""
    return Path(os.environ.get(LOCKS, "/tmp/teachergrid-devices"), f"{scope}{name.replace('/', '_')}.lock")


def _in_slurm() -> bool:
    return "SLURM_JOB_ID" in os.environ


def _opened(path: Path) -> int:
    """Open a lock file that all users of the machine share."""
    if not path.exists():
        mask = os.umask(0)
        try:
            path.parent.mkdir(mode=0o1777, parents=True, exist_ok=True)
            with suppress(FileExistsError):  # another job was first
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        finally:
            os.umask(mask)
    os.utime(path)  # programs that clean /tmp remove old files
    # in /tmp a link may be another user's trap
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)


def _locked(file: int) -> bool:
    """Lock an open file without waiting. Return whether that succeeded."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
