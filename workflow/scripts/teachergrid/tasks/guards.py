"""The inner guard of a program: it runs inside the process, takes away from it all that it could do harm with, then runs the program.

This file is a script that needs only the standard library, since the process sees nothing else. In order: a user id of its own
where it is root, limits (rlimits), Landlock (which files), seccomp (which calls to the kernel). seccomp is a list of what is
allowed: reading, computing, waiting. A program can start no process and no thread, open no socket, send no signal and write no
file. Both hold until the process ends; nobody can lift them, root neither.

Standard input is the job (see `Job`), followed by the word that says that a program came to its end. It is read only then, so that
no variable holds it while the program runs. The report goes to a descriptor of its own: the word of the start, then either the
word of the end and a value as JSON, or how it ended as JSON.
"""

import ctypes
import json
import os
import resource
import stat
import struct
import sys
import types
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn, TypedDict

REFUSED = 97  # the exit status of a guard that does not hold
WORD = 32  # characters of both words
WHY = 300  # characters of a reason
RESERVE = 4 << 20  # bytes that are given back once the memory is full, so that this can be said


class Job(TypedDict):
    """What the process reads first, as JSON behind its length.

    begun: the word of the start. user: the id to become, None to stay. limits: {name of an rlimit without RLIMIT_: value}.
    readable: the files and folders that may be read. library: the folder of the standard library. landlock: whether it must hold.
    filter: of seccomp, None for none. parts: programs that run one after the other and share their names. call: (name of a function, its arguments) to call at the
    end, and to report what it returns.
    """

    begun: str
    user: int | None
    limits: dict[str, int]
    readable: list[str]
    library: str
    landlock: bool
    filter: str | None
    parts: list[str]
    call: tuple[str, list[Any]] | None


# --- the guards


class NoGuard(Exception):
    """A guard does not hold here; the text says which and why."""


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_CREATE, _ADD, _RESTRICT = 444, 445, 446  # Landlock's calls have the same numbers on all machines
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_READ_FILE, _READ_FOLDER, _WRITE_FILE = 1 << 2, 1 << 3, 1 << 1


def _called(what: str, result: int) -> int:
    if result < 0:
        raise NoGuard(f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def landlock_version() -> int:
    """Return the version of Landlock's interface that this kernel has, 0 where it has none or has it switched off."""
    return max(0, _libc.syscall(_CREATE, None, 0, 1))


def no_new_rights() -> None:
    """Give up for good that starting a program adds rights; both Landlock and seccomp ask for this. Raises NoGuard."""
    _called("prctl", _libc.prctl(38, 1, 0, 0, 0))


def opened(readable: Sequence[str]) -> list[int]:
    """Return descriptors of those of these files and folders that are there; while this process may still reach them all."""
    return [os.open(path, os.O_PATH | os.O_CLOEXEC) for path in readable if os.path.exists(path)]


def landlock(readable: Sequence[int]) -> None:
    """Leave these files and folders to read, and nothing to write but the likes of /dev/null. Raises NoGuard."""
    version = landlock_version()
    if not version:
        raise NoGuard("this kernel has no Landlock")
    files = (1 << (16 if version >= 5 else {1: 13, 2: 14}.get(version, 15))) - 1
    network, signals = (3 if version >= 4 else 0), (3 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    attributes = struct.pack("<QQQ", files, network, signals)[:size]
    rules = _called("landlock_create_ruleset", _libc.syscall(_CREATE, attributes, size, 0))
    for descriptor in readable:
        kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
        rights = _READ_FILE | {stat.S_IFDIR: _READ_FOLDER, stat.S_IFCHR: _WRITE_FILE}.get(kind, 0)
        _called("landlock_add_rule", _libc.syscall(_ADD, rules, 1, struct.pack("<Qi", rights, descriptor), 0))
        os.close(descriptor)
    _called("landlock_restrict_self", _libc.syscall(_RESTRICT, rules, 0))
    os.close(rules)


def seccomp(code: bytes) -> None:
    """Let the kernel pass all calls through this filter (of calls.py). Raises NoGuard."""
    lines = ctypes.create_string_buffer(code)
    program = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(lines)))
    _called("seccomp", _libc.syscall(_SECCOMP[os.uname().machine], 1, 0, program))


def become(user: int) -> None:
    """Give up being root: become this user, or lose root's rights where there is no other user, as in some containers."""
    with suppress(OSError):
        os.setgroups([])
    try:
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    except OSError:
        header, nothing = struct.pack("<Ii", 0x20080522, 0), bytes(24)
        _called("capset", _libc.capset(header, nothing))


def find_library(job: Job, descriptor: int) -> None:
    """Let Python find its library by a descriptor where the path leads through a folder that this user may not enter.

    Such is root's home, where some keep their Python. Raises NoGuard where the library itself cannot be read.
    """
    if os.access(f"{job['library']}/os.py", os.R_OK):
        os.close(descriptor)
        return
    library = f"/proc/self/fd/{descriptor}"
    if not os.access(f"{library}/os.py", os.R_OK):
        raise NoGuard(f"user {os.getuid()} cannot read Python's library in {job['library']}")
    sys.path[:] = [library, f"{library}/lib-dynload"]
    # packages that are loaded already look for their other modules where they were found
    for module in [*sys.modules.values()]:
        if paths := getattr(module, "__path__", None):
            module.__path__ = [path.replace(job["library"], library, 1) for path in paths]


def guard(job: Job, kept: Sequence[int]) -> None:
    """Close all descriptors but those to keep, and put up all guards. Raises NoGuard, OSError and ValueError."""
    library, nothing = os.open(job["library"], os.O_PATH), os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    for descriptor in {*range(3, 256)} - {library, *kept}:
        with suppress(OSError):
            os.close(descriptor)
    os.closerange(256, 1 << 16)
    readable = opened(job["readable"]) if job["landlock"] else []
    os.chdir("/")
    os.environ.clear()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # nobody reads it; no text is an error
    if job["user"] is not None:
        become(job["user"])
    find_library(job, library)
    _called("prctl", _libc.prctl(1, 9, 0, 0, 0))  # it ends with whoever started it
    _called("prctl", _libc.prctl(4, 0, 0, 0, 0))  # others of this user cannot look into it
    for name, value in job["limits"].items():
        limit = getattr(resource, f"RLIMIT_{name}")
        most = resource.getrlimit(limit)[1]
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        # who ignores the signal of the soft limit is killed a second later
        later = value + 1 if name == "CPU" and most in (resource.RLIM_INFINITY, value + 1) else value
        resource.setrlimit(limit, (value, later))
    no_new_rights()
    if job["landlock"]:
        landlock(readable)
    if job["filter"] is not None:
        seccomp(bytes.fromhex(job["filter"]))


# --- the program


def main() -> NoReturn:
    """Read the job, put up the guards, run the program and report. Exit with 97 and the reason where a guard does not hold."""
    # a program may change what these names mean
    write, leave = os.write, os._exit
    words, report = os.dup(0), os.dup(1)
    try:
        length = int(os.read(0, WORD))
        job: Job = json.loads(os.read(0, length))
        guard(job, (words, report))
    except (NoGuard, OSError, ValueError) as error:
        write(report, f"{error}".encode())
        leave(REFUSED)
    write(report, job["begun"].encode())
    outcome = ended(job, lambda: os.read(words, WORD))
    while outcome:
        outcome = outcome[write(report, outcome) :]
    leave(0)


def ended(job: Job, word: Callable[[], bytes]) -> bytes:
    """Run the program and return what to report. word: returns the word of the end."""
    module = types.ModuleType("program")
    sys.modules["program"] = module  # dataclasses look their module up
    scope, dumps, reserve = module.__dict__, json.dumps, bytearray(RESERVE)
    try:
        for number, part in enumerate(job["parts"], 1):
            exec(compile(part, f"part {number}", "exec", dont_inherit=True), scope)
        value = scope[job["call"][0]](*job["call"][1]) if job["call"] else None
        text = dumps(value)
        return word() + text.encode()
    except MemoryError:
        del reserve
        return b'{"kind": "memory", "reason": "MemoryError"}'
    except BaseException as error:
        return dumps(
            {"kind": "failed" if isinstance(error, AssertionError) else "error", "reason": told(error)}
        ).encode()


def told(error: BaseException) -> str:
    """Return the name and the text of an error, which are the program's own."""
    try:
        return f"{type(error).__name__}: {error}"[:WHY].removesuffix(": ")
    except BaseException:
        return "an error that cannot be told"


if __name__ == "__main__":
    main()
