"""What proves that the holder of a lock is dead: nothing less lets another run begin."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from teachergrid.store import lock, owner
from workspace import ENV

NOBODY = 65534
HERE = {**owner.this_process(), "machine": "m1"}
ABSENT = 2**22 + 1  # more than the kernel's largest process number


def needs(*commands: str) -> pytest.MarkDecorator:
    """Skip a test without root, or where namespaces cannot be made, as in some containers."""
    lacking = os.getuid() != 0 or not all(map(shutil.which, commands))
    lacking = (
        lacking or subprocess.run(["unshare", "-m", "--pid", "--fork", "true"], capture_output=True).returncode != 0
    )
    return pytest.mark.skipif(lacking, reason="needs root and namespaces of its own")


@pytest.mark.parametrize(
    ("said", "dead"),
    [
        ({"pid": ABSENT}, True),
        ({"pid": os.getpid()}, False),
        ({"pid": os.getppid(), "started": "0"}, True),  # the number is in use again, by another process
        ({"pid": ABSENT, "machine": None}, True),  # the same boot is the same machine
        ({"pid": ABSENT, "host": "elsewhere"}, False),
        ({"pid": ABSENT, "machine": "m2"}, False),
        ({"pid": ABSENT, "namespace": "pid:[1]"}, False),  # in a container other numbers count
        ({"pid": ABSENT, "namespace": None}, False),  # an earlier version did not say in which
        ({"boot": "before"}, True),  # the machine was started anew
        ({"boot": "before", "machine": "m2"}, False),
        ({"boot": "before", "machine": None}, False),  # a container of the same name, maybe on another machine
        ({"boot": "before", "machine": None, "pid": ABSENT}, False),
        ({"pid": None}, False),
    ],
)
def test_what_proves_death(said, dead):
    assert owner.is_dead({**HERE, **said}, HERE) is dead


@pytest.mark.parametrize(
    ("said", "dead"),
    [
        ({"job": "7", "restarts": 1}, True),
        ({"job": "7", "restarts": 2}, False),  # another process of this very start
        ({"job": "8", "restarts": 0}, False),
        ({"job": None, "restarts": None}, False),
    ],
)
def test_slurm_starts_a_job_anew_when_it_has_ended(monkeypatch, said, dead):
    """Whichever machine it was on."""
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    here = owner.this_process()
    assert owner.is_dead({**here, "host": "elsewhere", **said}, here) is dead
    assert owner.parsed(json.dumps({**here, **said})) == {**here, **said}


def test_a_container_has_no_machine_id(monkeypatch):
    """It has that of its image, the same on every machine."""
    monkeypatch.setattr(owner, "OUTERMOST", "pid:[0]")
    assert owner.this_process()["machine"] is None


@pytest.fixture
def shared() -> Path:
    """A folder in which every user may write, with the lock of a live process: this one."""
    folder = Path(f"/tmp/lock_{os.getpid()}")
    (folder / "results").mkdir(parents=True)
    os.chmod(folder, 0o777)
    os.chmod(folder / "results", 0o777)
    (folder / "results" / lock.LOCK).write_text(json.dumps(owner.this_process()))
    yield folder
    shutil.rmtree(folder)


ASK = "from teachergrid.store import lock; print(lock.is_dead(lock.holder('results')))"


@needs("unshare", "setpriv")
@pytest.mark.parametrize(
    "inside",
    [
        ["unshare", "--pid", "--fork", "--mount-proc"],
        ["unshare", "--pid", "--fork"],  # with the /proc of outside
        [
            *["unshare", "-m", "sh", "-c"],
            'mount -t proc -o hidepid=2 proc /proc; exec setpriv --reuid 65534 --clear-groups "$@"',
            "sh",
        ],
        [
            *["unshare", "-m", "sh", "-c"],
            'mount -t proc -o hidepid=1 proc /proc; exec setpriv --reuid 65534 --clear-groups "$@"',
            "sh",
        ],
    ],
)
def test_a_live_run_is_alive_from_wherever_one_looks(shared, inside):
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable  # one that nobody may run
    done = subprocess.run(
        [*inside, python, "-c", ASK],
        cwd=shared,
        env={**ENV, "PYTHONPATH": str(copied(shared))},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "False", done.stderr


def copied(folder: Path) -> Path:
    """Return a folder with a copy of the package: not every user may read the checkout."""
    shutil.copytree(Path(owner.__file__).parents[1], folder / "code/teachergrid")
    return folder / "code"


def test_another_users_job_is_seen_by_its_path(shared):
    """Its folder cannot be read, so the job here runs in another one: only the script's path names the results' folder."""
    script = shared / ".snakemake/scripts/tmp.generate.py"
    script.parent.mkdir(parents=True)
    script.write_text("import time; time.sleep(60)")
    job = subprocess.Popen([sys.executable, str(script)], cwd="/")
    try:
        deadline = time.monotonic() + 5
        while not lock.orphaned_jobs(str(shared)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert lock.orphaned_jobs(str(shared)) == [job.pid]
        assert lock.orphaned_jobs(str(shared)[1:]) == lock.orphaned_jobs(str(shared.parent)) == []
    finally:
        job.kill()
        job.wait()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"user": "bob", "since": 1e9}, r"process \d+ of bob on .*, since 2001-09-.*, started in /"),
        ({"user": None, "since": None}, r"process \d+ on .*, started in /"),
        ({"pid": None, "user": "bob"}, "an unknown process of bob, since .*: the lock cannot be read"),
    ],
)
def test_in_words(said, words):
    import re

    assert re.match(words, owner.described({**HERE, **said}))


@pytest.mark.parametrize(
    "said", [{"user": "\x1b[2J"}, {"since": 1e300}, {"since": True}, {"uid": -1}, {"uid": "0"}, {"machine": 5}]
)
def test_what_makes_no_sense_is_unknown(said):
    [key] = said
    assert owner.parsed(json.dumps({**HERE, **said})) == {**HERE, key: None}
