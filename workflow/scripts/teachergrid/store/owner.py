"""A process as a lock names it, and whether it is certainly dead.

What is not proven counts as alive, because two runs in one folder do harm, and a lock that stays only asks a person to look.
"""

import json
import os
import pwd
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict, cast

# the kernel's name of the PID namespace that is no container's
OUTERMOST = "pid:[4026531836]"


class Owner(TypedDict):
    """A process as a lock names it. What is unknown is None: all of it, where the lock holds garbage or may not be read.

    started: in clock ticks since boot. namespace: of its process numbers and of its clock, since in a container both are others.
    machine: the machine's id; None in a container, which has that of its image. folder: where the run was started. since: when it
    took the lock, in seconds since 1970. job, restarts: the SLURM job that the run itself is, and how often it was put back.
    """

    pid: int | None
    started: str | None
    host: str | None
    boot: str | None
    folder: str | None
    namespace: str | None
    machine: str | None
    uid: int | None
    user: str | None
    since: float | None
    job: str | None
    restarts: int | None


def start_ticks(pid: int) -> str | None:
    """Return when a live process started, in clock ticks since boot; None where there is no such process, or it has ended.

    Two processes with the same number differ in it. It is the kernel's own count: the time of day that psutil derives from it
    changes when the clock is set, and a live run would look dead.
    """
    try:
        state, ticks = _stat(pid)
    except OSError:
        return None
    return None if state == "Z" else ticks


def _stat(pid: int) -> tuple[str, str]:
    """Return the state and the start of a process. Raises OSError where it is not there, or /proc hides it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return fields[0], fields[19]


def this_process() -> Owner:
    """Return this process as a lock describes its holder."""
    namespace = _link("/proc/self/ns/pid")
    return {
        "pid": os.getpid(),
        "started": start_ticks(os.getpid()),
        "host": socket.gethostname(),
        "boot": _text("/proc/sys/kernel/random/boot_id"),
        "folder": str(Path.cwd()),
        "namespace": namespace and f"{namespace} {_link('/proc/self/ns/time') or ''}".strip(),
        "machine": _text("/etc/machine-id") if namespace == OUTERMOST else None,
        "uid": os.getuid(),
        "user": user_name(os.getuid()),
        "since": time.time(),
        "job": os.environ.get("SLURM_JOB_ID"),
        "restarts": int(os.environ.get("SLURM_RESTART_COUNT") or 0) if "SLURM_JOB_ID" in os.environ else None,
    }


def _text(path: str) -> str | None:
    """Return what a file of the system says; None where it says nothing."""
    try:
        return Path(path).read_text().strip() or None
    except OSError:
        return None


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def user_name(uid: int) -> str:
    """Return the name of a user, or its number where the machine knows no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def parsed(content: str) -> Owner | None:
    """Return the owner in the text of a lock; None for garbage. A lock of an earlier version lacks the newer keys."""
    try:
        said: dict[str, Any] = json.loads(content)
        known = {key: said[key] for key in Owner.__annotations__ if _makes_sense(key, said.get(key))}
    except (ValueError, AttributeError, RecursionError):
        return None
    return cast(Owner, {**unknown(None, None), **known}) if {"pid", "host", "folder"} <= set(known) else None


def _makes_sense(key: str, value: Any) -> bool:
    if key == "pid":
        return type(value) is int and 0 < value < 2**31
    if key in ("uid", "since", "restarts"):
        return type(value) in (int, float) and 0 <= value < 2**32
    return isinstance(value, str) and value.isprintable()  # it goes to the terminal


def unknown(user: str | None, since: float | None) -> Owner:
    """Return an owner of which only these are known, from the lock's file."""
    return cast(Owner, dict.fromkeys(Owner.__annotations__) | {"user": user, "since": since})


def described(owner: Owner) -> str:
    """Return in words who holds a lock: process, machine, user, since when and from where."""
    user = f" of {owner['user']}" if owner["user"] else ""
    since = f", since {time.strftime('%Y-%m-%d %H:%M', time.localtime(owner['since']))}" if owner["since"] else ""
    if owner["pid"] is None:
        return f"an unknown process{user}{since}: the lock cannot be read"
    return f"process {owner['pid']}{user} on {owner['host']}{since}, started in {owner['folder']}"


def is_dead(owner: Owner, here: Owner | None = None) -> bool:
    """Whether the owner is certainly dead. On another machine or in another PID namespace this cannot be known.

    But SLURM starts a job anew, on whichever machine, only after it has ended all that the job had started before.

    here: this process, by default as it is. A machine that was started anew is recognised by its id only: containers on two
    machines often have the same host name.
    """
    here = here or this_process()
    if owner["job"] and owner["job"] == here["job"] and (owner["restarts"] or 0) < (here["restarts"] or 0):
        return True
    machines = owner["machine"], here["machine"]
    if owner["pid"] is None or owner["host"] != here["host"] or (all(machines) and machines[0] != machines[1]):
        return False
    if owner["boot"] != here["boot"]:
        return all(machines)
    if owner["namespace"] is None or owner["namespace"] != here["namespace"]:
        return False
    return _is_gone(owner["pid"], owner["started"])


def _is_gone(pid: int, started: str | None) -> bool:
    """Whether there is no process of this number and start in our PID namespace."""
    with suppress(PermissionError):  # another user's: it is there, though /proc may hide it
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
    try:
        state, ticks = _stat(pid)
    except OSError:
        return False
    return state == "Z" or ticks != started


def is_ours(owner: Owner) -> bool:
    """Whether the owner is this process or its parent (`teachergrid run` is the parent of Snakemake)."""
    here = this_process()
    # two containers often have the same small process numbers
    same_place = all(owner[key] == here[key] for key in ("host", "boot", "namespace"))
    in_line = owner["pid"] is not None and owner["pid"] in (os.getpid(), os.getppid())
    return same_place and in_line and owner["started"] == start_ticks(owner["pid"] or 0)


def is_mine(owner: Owner) -> bool:
    """Whether the owner is a process of this user."""
    return owner["uid"] == os.getuid()
