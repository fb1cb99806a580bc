"""One run at a time on one results folder, whichever checkout it comes from (Snakemake's own lock sees one checkout only).

The lock names its process. It gives way only when that process is proven dead: same machine, same boot, no such process.
"""

import json
import os
import socket
from pathlib import Path

from .errors import BadInput

LOCK = ".lock"


def started(pid: int) -> str | None:
    """Return when a live process began (clock ticks since boot, Linux), so that a number used again is no alibi."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def me() -> dict:
    boot = Path("/proc/sys/kernel/random/boot_id")
    return {
        "pid": os.getpid(),
        "started": started(os.getpid()),
        "host": socket.gethostname(),
        "boot": boot.read_text().strip() if boot.exists() else None,
        "folder": str(Path.cwd()),
    }


def holder(results: str) -> dict | None:
    """Return who holds the lock, or None."""
    try:
        return json.loads(Path(results, LOCK).read_text())
    except (FileNotFoundError, json.JSONDecodeError):  # an empty lock: its writer died in between
        return None


def dead(owner: dict) -> bool:
    """Whether the owner is proven dead."""
    here = me()
    if owner["host"] != here["host"]:
        return False
    return owner["boot"] != here["boot"] or started(owner["pid"]) != owner["started"]


def ours(owner: dict) -> bool:
    """Whether this process holds the lock, or the one that started it (`teachergrid run` starts Snakemake)."""
    return owner["pid"] in (os.getpid(), os.getppid()) and not dead(owner)


def orphans(folder: str) -> list[int]:
    """Return live job scripts that a dead run has left in a folder; they would write beside a new run's jobs."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "cwd") == folder:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if any(b".snakemake/scripts/" in word for word in words):
                    found.append(int(entry.name))
        except OSError:  # gone meanwhile, or another user's
            continue
    return sorted(found)


def refuse_if_held(results: str) -> dict | None:
    """Return the dead holder of the lock, or None when nobody holds it.

    Raises BadInput when the holder lives, may live on another machine, or has left jobs that still run.
    """
    owner = holder(results)
    if owner is None or ours(owner):
        return None
    who = f"process {owner['pid']} on {owner['host']}, started in {owner['folder']}"
    if not dead(owner):
        raise BadInput(
            f"{results}: another run works on these results ({who}); wait for it or stop it. "
            f"If you know that it is gone, remove {results}/{LOCK}"
        )
    if alive := orphans(owner["folder"]):
        raise BadInput(
            f"{results}: the run of {who} is dead, but its jobs still work (processes {', '.join(map(str, alive))}); "
            "wait for them or stop them"
        )
    return owner


def take(results: str) -> None:
    """Take the lock. Raises BadInput when another live run holds it."""
    path = Path(results, LOCK)
    path.parent.mkdir(parents=True, exist_ok=True)
    refuse_if_held(results)
    if (owner := holder(results)) and ours(owner):
        return
    part = path.with_name(f"{LOCK}.{os.getpid()}")
    part.write_text(json.dumps(me()))
    os.replace(part, path)


def release(results: str) -> None:
    """Give the lock back if it is ours."""
    if holder(results) == me():
        Path(results, LOCK).unlink()
