"""The calls to the kernel that a program may use: reading, computing and waiting; as a filter of seccomp.

The list says what is allowed, so that a call that a later kernel adds is refused until somebody has looked at it. What starts
processes or threads, opens sockets, sends signals, or writes, renames, marks or removes files is not on it.
"""

import os
import struct

# number on x86-64, and on aarch64 where it has the call
ALLOWED: dict[str, tuple[int, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "open": (2, None),
    "close": (3, 57),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "poll": (7, None),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "pread64": (17, 67),
    "readv": (19, 65),
    "writev": (20, 66),
    "access": (21, None),
    "pipe": (22, None),
    "select": (23, None),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "dup": (32, 23),
    "dup2": (33, None),
    "pause": (34, None),
    "nanosleep": (35, 101),
    "getitimer": (36, 102),
    "alarm": (37, None),
    "setitimer": (38, 103),
    "getpid": (39, 172),
    "exit": (60, 93),
    "wait4": (61, 260),
    "uname": (63, 160),
    "getcwd": (79, 17),
    "readlink": (89, None),
    "gettimeofday": (96, 169),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "times": (100, 153),
    "getuid": (102, 174),
    "getgid": (104, 176),
    "geteuid": (107, 175),
    "getegid": (108, 177),
    "getppid": (110, 173),
    "getpgrp": (111, None),
    "getgroups": (115, 158),
    "getresuid": (118, 148),
    "getresgid": (120, 150),
    "getpgid": (121, 155),
    "getsid": (124, 156),
    "rt_sigpending": (127, 136),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "time": (201, None),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "getdents64": (217, 61),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "openat": (257, 56),
    "newfstatat": (262, 79),
    "readlinkat": (267, 78),
    "faccessat": (269, 48),
    "pselect6": (270, 72),
    "ppoll": (271, 73),
    "dup3": (292, 24),
    "pipe2": (293, 59),
    "getrandom": (318, 278),
    "statx": (332, 291),
    "rseq": (334, 293),
}
# allowed where their second argument is one of these: the others name who gets a signal, or speak to devices
BY_ARGUMENT: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "ioctl": (16, 29, (0x5401, 0x5413, 0x5450, 0x5451)),  # TCGETS, TIOCGWINSZ, FIONCLEX, FIOCLEX
    "fcntl": (72, 25, (0, 1, 2, 3, 4, 1030)),  # duplicate, flags of the descriptor, flags of the file
}
PRLIMIT = (302, 261)  # only to read one's own limits
# the C library does without what a kernel does not have, and not without what it refuses: clone3, close_range, openat2, faccessat2
UNKNOWN = (435, 436, 437, 439)
NEWEST = 450  # of the calls that existed when this list was made, about; later ones do not exist for a program
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of the table, number of the architecture
_KILL, _ALLOW, _EPERM, _ENOSYS = 0x80000000, 0x7FFF0000, 0x00050001, 0x00050026
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06


def packed(machine: str | None = None) -> bytes | None:
    """Return the filter for a machine, this one by default, as the kernel reads it; None for a machine without numbers here."""
    machine = machine or os.uname().machine
    return b"".join(struct.pack("<HBBI", *line) for line in _lines(machine)) if machine in MACHINES else None


def _lines(machine: str) -> list[tuple[int, int, int, int]]:
    """Return instructions of BPF: (code, jump if true, jump if false, constant)."""
    column, architecture = MACHINES[machine]
    lines = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    if machine == "x86_64":
        lines += [(_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, _KILL)]  # the same calls under other numbers (x32)
    for numbers in ALLOWED.values():
        if (number := numbers[column]) is not None:
            lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for number in UNKNOWN:
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ENOSYS)]
    lines += [(_AT_LEAST, 0, 1, NEWEST), (_RETURN, 0, 0, _ENOSYS)]
    for *both, values in BY_ARGUMENT.values():
        checks = [line for value in values for line in ((_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW))]
        checks = [(_LOAD, 0, 0, 24), *checks, (_RETURN, 0, 0, _EPERM)]
        lines += [(_EQUAL, 0, len(checks), both[column]), *checks]
    # whose limits: 0 is one's own; both halves of the pointer to new ones must be 0
    zeros = [
        line for place in (16, 32, 36) for line in ((_LOAD, 0, 0, place), (_EQUAL, 1, 0, 0), (_RETURN, 0, 0, _EPERM))
    ]
    return [
        *lines,
        (_EQUAL, 0, len(zeros) + 1, PRLIMIT[column]),
        *zeros,
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _EPERM),
    ]
