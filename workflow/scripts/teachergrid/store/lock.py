"""The lock of a results folder: one run at a time, from whichever checkout (Snakemake's own lock covers one checkout only).

The lock names the process that holds it. It is released for another run only if that process is certainly dead: on this machine,
with no such process since this boot, or from an earlier boot.
"""

import json
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

from ..errors import BadInput

LOCK = ".lock"


def start_ticks(pid: int) -> str | None:
    """Return when a live process started, in clock ticks since boot; None where there is no such process, or it has ended.

    Two processes with the same number differ in it. It is the kernel's own count: the time of day that psutil derives from it
    changes when the clock is set, and a live run would look dead.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def this_process() -> dict:
    """Return this process as a lock describes its holder."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return {
        "pid": os.getpid(),
        "started": start_ticks(os.getpid()),
        "host": socket.gethostname(),
        "boot": boot.read_text().strip() if boot.exists() else None,
        "folder": str(Path.cwd()),
    }


def holder(results: str) -> dict | None:
    """Return the process that the lock of the results names; None where there is no lock."""
    return _read(Path(results, LOCK))


def _read(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):  # an empty file: its writer died before it wrote
        return None


def is_dead(owner: dict) -> bool:
    """Whether the owner is certainly dead. On another machine this cannot be known."""
    here = this_process()
    if owner["host"] != here["host"]:
        return False
    return owner["boot"] != here["boot"] or start_ticks(owner["pid"]) != owner["started"]


def is_ours(owner: dict) -> bool:
    """Whether the owner is this process or its parent (`teachergrid run` is the parent of Snakemake)."""
    same_machine = owner["host"] == socket.gethostname()  # two containers often have the same small process numbers
    return same_machine and owner["pid"] in (os.getpid(), os.getppid()) and not is_dead(owner)


def orphaned_jobs(folder: str) -> list[int]:
    """Return the process ids of job scripts of a dead run in a folder. They would write at the same time as a new run's jobs."""
    import psutil

    process_ids = []
    for process in psutil.process_iter(["cwd", "cmdline"]):
        words = process.info["cmdline"] or ()  # None: the process has ended, or is another user's
        if process.info["cwd"] == folder and any(".snakemake/scripts/" in word for word in words):
            process_ids.append(process.pid)
    return sorted(process_ids)


def warn_of_another(results: str) -> None:
    """Warn on stderr, before the graph is built, where another run works on the results.

    Its files come and go while Snakemake reads them, which may fail with a confusing message.
    """
    owner = holder(results)
    if owner and not is_ours(owner) and not is_dead(owner):
        print(
            f"{results}: another run works on these results ({_described(owner)}): this plan shows the present moment, and may "
            "fail on a file that the run is just writing; then try again",
            file=sys.stderr,
        )


def dead_holder(results: str) -> dict | None:
    """Return the dead holder of the lock; None where there is no lock, or it is ours.

    Raises BadInput where the holder is alive, or may be alive on another machine.
    """
    owner = holder(results)
    if owner is None or is_ours(owner):
        return None
    if not is_dead(owner):
        raise BadInput(
            f"{results}: another run works on these results ({_described(owner)}); wait for it or stop it. "
            f"If you know that it is gone, remove {results}/{LOCK}"
        )
    return owner


def refuse_if_held(results: str) -> dict | None:
    """Return the dead holder of the lock; None where there is no lock, or it is ours.

    Raises BadInput where the holder is alive, may be alive on another machine, or has left jobs that still run on this one.
    """
    owner = dead_holder(results)
    if owner and (alive := orphaned_jobs(owner["folder"])):
        raise BadInput(
            f"{results}: the run of {_described(owner)} is dead, but its jobs still work "
            f"(processes {', '.join(map(str, alive))}); wait for them or stop them"
        )
    return owner


def _described(owner: dict) -> str:
    return f"process {owner['pid']} on {owner['host']}, started in {owner['folder']}"


def take(results: str) -> None:
    """Take the lock. Raises BadInput where another run holds it or takes it at the same moment."""
    path = Path(results, LOCK)
    path.parent.mkdir(parents=True, exist_ok=True)
    refuse_if_held(results)
    if (owner := holder(results)) and is_ours(owner):
        return
    part = path.with_name(f"{LOCK}.{os.getpid()}")
    _remove_dead(path, part, owner)
    part.write_text(json.dumps(this_process()))
    try:
        os.link(part, path)  # unlike a rename, this fails where another run was quicker
    except FileExistsError:
        dead_holder(results)
        raise BadInput(f"{results}: another run has just started on these results; wait for it or stop it") from None
    finally:
        part.unlink()


def _remove_dead(path: Path, temporary: Path, owner: dict | None) -> None:
    """Remove the lock of a dead run, but not one that another run has written since. owner: as read; None: not readable."""
    with suppress(FileNotFoundError):
        os.rename(path, temporary)
        if _read(temporary) != owner:
            os.link(temporary, path)


def release(results: str) -> None:
    """Release the lock if this process holds it."""
    if holder(results) == this_process():
        Path(results, LOCK).unlink()
