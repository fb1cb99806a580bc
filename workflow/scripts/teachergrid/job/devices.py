"""Assign the GPUs of a machine without a scheduler: a job locks free ones, so that no two jobs use the same device.

Snakemake's local executor counts GPUs but does not assign them. The devices of a machine are those in TEACHERGRID_DEVICES
(`0,1,3`; UUIDs and MIG instances too), else in CUDA_VISIBLE_DEVICES, else all that nvidia-smi lists. Jobs of other checkouts
and users respect the same locks, as long as all name a device in the same way.
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
# folder of the locks; set this variable if the jobs of a machine do not share /tmp
LOCKS = "TEACHERGRID_DEVICE_LOCKS"
SECONDS = 0.5  # between two searches for free devices
_GPU, _MIG = re.compile(r"GPU (\d+): .*"), re.compile(r"\s+MIG .*\(UUID: (MIG-[^)]+)\)")


@contextmanager
def taken(n: int) -> Iterator[None]:
    """Wait until n devices are free, let this process see only these, and release them at the end.

    Call it before CUDA starts. It does nothing on a machine without a GPU, or where the job uses all that SLURM assigned. A job
    with n=0 sees no device. A child process that is started with open descriptors (`close_fds=False`) keeps the locks as long as
    it lives, even if the job is killed. Raises BadInput where the machine has fewer than n devices.
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
        assigned = [name for name in pool if name in locks]
        print(f"devices {','.join(assigned)} of {len(pool)}", flush=True)
        try:
            with visible(assigned):
                yield
        finally:
            # we close the files but do not unlock them: a child that still works keeps its device
            for lock in locks.values():
                os.close(lock)


@contextmanager
def visible(names: list[str]) -> Iterator[None]:
    """Let this process, and those that it starts, see only these devices."""
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
    # jobs of SLURM inherit TEACHERGRID_DEVICES from the login shell, where it means other devices
    for variable in (VISIBLE,) if _in_slurm() else (DEVICES, VISIBLE):
        if variable in os.environ:
            names = [name.strip() for name in os.environ[variable].split(",")]
            # how CUDA and SLURM write "no device"
            return [name for name in names if name not in ("", "-1", "NoDevFiles")]
    if _in_slurm():
        return []
    # number devices as nvidia-smi does; by default CUDA puts the fastest first
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    return listed(nvidia_smi())


def nvidia_smi() -> str:
    """Return the output of `nvidia-smi -L`; "" where there is no such command."""
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
    """Wait for n free devices of the pool, lock them all at once, and return {device: descriptor of its lock}.

    Only one job at a time waits for devices; the others wait for their turn. So there is no deadlock (two jobs that each hold half
    of what both need) and no starvation (a job that needs many devices is overtaken again and again by small ones).
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
    """Return the lock file of a device."""
    # in two SLURM allocations the same number may mean different GPUs
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
    # never follow a link: in /tmp another user may have put it there on purpose
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)


def _locked(file: int) -> bool:
    """Lock an open file without waiting. Return whether that succeeded."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
