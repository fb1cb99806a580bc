"""One run at a time on one results folder, whichever checkout it comes from (Snakemake's own lock sees one checkout only).

The lock names its process. It gives way only when that process is proven dead: same machine, same boot, no such process.
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
    """Return when a live process started, in clock ticks since boot; None where there is none, or it has ended.

    This tells two processes with the same number apart. It is the kernel's own count, and not the time of day that psutil
    makes of it: that one changes when the clock is set, and a live run would look dead.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def this_process() -> dict:
    """Return what a lock says of its holder."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return {
        "pid": os.getpid(),
        "started": start_ticks(os.getpid()),
        "host": socket.gethostname(),
        "boot": boot.read_text().strip() if boot.exists() else None,
        "folder": str(Path.cwd()),
    }


def holder(results: str) -> dict | None:
    """Return who holds the lock, or None."""
    return _read(Path(results, LOCK))


def _read(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):  # an empty lock: its writer died in between
        return None


def is_dead(owner: dict) -> bool:
    """Whether the owner is proven dead."""
    here = this_process()
    if owner["host"] != here["host"]:
        return False
    return owner["boot"] != here["boot"] or start_ticks(owner["pid"]) != owner["started"]


def is_ours(owner: dict) -> bool:
    """Whether this process holds the lock, or the one that started it (`teachergrid run` starts Snakemake)."""
    same_machine = owner["host"] == socket.gethostname()  # in containers numbers are small, and often the same
    return same_machine and owner["pid"] in (os.getpid(), os.getppid()) and not is_dead(owner)


def orphaned_jobs(folder: str) -> list[int]:
    """Return live job scripts that a dead run has left in a folder; they would write beside a new run's jobs."""
    import psutil

    found = []
    for process in psutil.process_iter(["cwd", "cmdline"]):
        words = process.info["cmdline"] or ()  # None: gone meanwhile, or another user's
        if process.info["cwd"] == folder and any(".snakemake/scripts/" in word for word in words):
            found.append(process.pid)
    return sorted(found)


def warn_of_another(results: str) -> None:
    """Say so on stderr when another run works on the results, before the graph is built: its files come and go meanwhile,
    which Snakemake may take for a missing or a protected one."""
    owner = holder(results)
    if owner and not is_ours(owner) and not is_dead(owner):
        print(
            f"{results}: another run works on these results ({_described(owner)}): what is planned beside it is of this moment, "
            "and may fail on a file that it is just writing; ask again then",
            file=sys.stderr,
        )


def dead_holder(results: str) -> dict | None:
    """Return the dead holder of the lock, or None when nobody holds it, or we do.

    Raises BadInput when the holder lives, or may live on another machine.
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
    """Return the dead holder of the lock, or None when nobody holds it.

    Raises BadInput when the holder lives, may live on another machine, or has left jobs on this one that still run.
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
    """Take the lock. Raises BadInput when another live run holds it, also when two are started at once."""
    path = Path(results, LOCK)
    path.parent.mkdir(parents=True, exist_ok=True)
    refuse_if_held(results)
    if (owner := holder(results)) and is_ours(owner):
        return
    part = path.with_name(f"{LOCK}.{os.getpid()}")
    _remove_dead(path, part, owner)
    part.write_text(json.dumps(this_process()))
    try:
        os.link(part, path)  # unlike a rename it fails when the other was quicker
    except FileExistsError:
        dead_holder(results)
        raise BadInput(f"{results}: another run has just started on these results; wait for it or stop it") from None
    finally:
        part.unlink()


def _remove_dead(path: Path, temporary: Path, owner: dict | None) -> None:
    """Remove a dead run's lock (None: one cut off in writing), and not the one that another run has just put there."""
    with suppress(FileNotFoundError):
        os.rename(path, temporary)
        if _read(temporary) != owner:
            os.link(temporary, path)


def release(results: str) -> None:
    """Give the lock back if it is ours."""
    if holder(results) == this_process():
        Path(results, LOCK).unlink()
