"""Which calls to the kernel a program may use."""

import re
import struct
from pathlib import Path

import pytest
from teachergrid.tasks import calls

# the kernel's own lists, where its headers are installed
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
ALLOWED, REFUSED, UNKNOWN, KILLED = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000


def result(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """Return what the filter says about a call: the interpreter of the kernel, as far as the filter needs it."""
    architecture = calls.MACHINES[machine][1] if architecture is None else architecture
    data = struct.pack("<IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    lines, place, value = [*struct.iter_unpack("<HBBI", calls.packed(machine))], 0, 0
    while True:
        code, yes, no, constant = lines[place]
        if code == 0x20:
            value = struct.unpack_from("<I", data, constant)[0]
        elif code == 0x06:
            return constant
        else:
            place += yes if (value == constant if code == 0x15 else value >= constant) else no
        place += 1


@pytest.mark.parametrize("machine", calls.MACHINES)
def test_numbers_are_those_of_the_kernel(machine):
    if not HEADERS[machine].exists():
        pytest.skip(f"needs the kernel's headers: {HEADERS[machine]} (apt install linux-libc-dev)")
    text = HEADERS[machine].read_text()
    known = {name: int(number) for name, number in re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", text, re.M)}
    known["newfstatat"] = known.get("newfstatat", known.get("fstatat"))
    column = calls.MACHINES[machine][0]
    ours = {**calls.ALLOWED, **{name: both[:2] for name, both in calls.BY_ARGUMENT.items()}, "prlimit64": calls.PRLIMIT}
    assert {name: numbers[column] for name, numbers in ours.items() if numbers[column] != known.get(name)} == {}


@pytest.mark.parametrize("machine", calls.MACHINES)
def test_every_listed_call_is_allowed(machine):
    column = calls.MACHINES[machine][0]
    numbers = [both[column] for both in calls.ALLOWED.values() if both[column] is not None]
    assert {result(machine, number) for number in numbers} == {ALLOWED}


# fork, clone, execve, kill, ptrace, socket, connect, mount, unlink, truncate, tgkill, memfd_create, seccomp, landlock
@pytest.mark.parametrize("number", [57, 56, 59, 62, 101, 41, 42, 165, 87, 76, 234, 319, 317, 444])
def test_what_is_not_listed_is_refused(number):
    assert result("x86_64", number) == REFUSED


@pytest.mark.parametrize("number", [435, 436, 437, 439, 460, 5000])
def test_new_calls_do_not_exist(number):
    assert {result(machine, number) for machine in calls.MACHINES} == {UNKNOWN}


@pytest.mark.parametrize("machine", calls.MACHINES)
def test_calls_that_depend_on_their_arguments(machine):
    ioctl, fcntl = (calls.BY_ARGUMENT[name][calls.MACHINES[machine][0]] for name in ("ioctl", "fcntl"))
    limits = calls.PRLIMIT[calls.MACHINES[machine][0]]
    assert result(machine, ioctl, 1, 0x5401) == ALLOWED, "whether it is a terminal"
    assert result(machine, ioctl, 1, 0x5412) == REFUSED, "types into a terminal"
    assert result(machine, fcntl, 3, 4) == ALLOWED
    assert {result(machine, fcntl, 3, command) for command in (8, 10, 15, 1033)} == {REFUSED}, "who gets signals; seals"
    assert result(machine, limits, 0, 7, 0, 1) == ALLOWED, "reads its own"
    assert result(machine, limits, 1, 7, 0, 1) == REFUSED, "of another process"
    assert {result(machine, limits, 0, 7, new, 1) for new in (1, 1 << 40)} == {REFUSED}


@pytest.mark.parametrize("machine", calls.MACHINES)
def test_another_architecture_ends_the_process(machine):
    """The same number is another call there."""
    assert result(machine, 1, architecture=0x40000003) == KILLED
    if machine == "x86_64":
        assert result(machine, 0x40000001) == KILLED


def test_a_machine_without_numbers_has_no_filter():
    assert calls.packed("riscv64") is None
