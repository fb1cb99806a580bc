"""A guard with a hole is found before a program runs under it."""

import pytest
from teachergrid.tasks import bubblewrap, calls, processes, sandbox


@pytest.fixture(autouse=True)
def proved_again():
    sandbox.gap.cache_clear()
    yield
    sandbox.gap.cache_clear()


def without(monkeypatch, **changed) -> None:
    """Take a part of the guard away."""
    job = processes.job

    def weaker(*arguments):
        whole = job(*arguments)
        return {
            **whole,
            **{key: {**whole[key], **value} if key == "limits" else value for key, value in changed.items()},
        }

    monkeypatch.setattr(processes, "job", weaker)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "gap"),
    [
        ({"landlock": False, "user": None}, "a program could read a file and write a file"),
        (
            {"filter": None, "landlock": False, "user": None, "limits": {"NPROC": 9999, "FSIZE": 1 << 20}},
            "reach a socket",
        ),
        ({"limits": {"AS": 4 << 30}}, "a program could use more memory than it may"),
    ],
)
def test_a_hole_is_named(monkeypatch, changed, gap):
    if found := sandbox.gap("landlock"):
        pytest.skip(f"landlock does not hold on this machine: {found}")
    sandbox.gap.cache_clear()
    without(monkeypatch, **changed)
    assert gap in sandbox.gap("landlock")


def test_the_inner_guard_alone_needs_its_list_of_calls(monkeypatch):
    """Landlock by itself leaves datagrams, and more."""
    monkeypatch.setattr(calls, "packed", lambda: None)
    assert "no list of the calls to the kernel" in sandbox.gap("landlock")


def test_attacks_that_fail_anyway_prove_nothing(monkeypatch):
    if found := sandbox.gap("landlock"):
        pytest.skip(f"landlock does not hold on this machine: {found}")
    sandbox.gap.cache_clear()
    monkeypatch.setattr(
        sandbox, "ATTACKS", sandbox.ATTACKS.replace("open(", "open('/nowhere' + ").replace("os.fork()", "1 / 0")
    )
    monkeypatch.setattr(sandbox, "ATTACKS", sandbox.ATTACKS.replace("(OSError, MemoryError)", "Exception"))
    assert sandbox.gap("landlock") == (
        "nothing is proved: without a guard, too, a program cannot read a file, write a file, start a process"
    )


def test_bubblewrap_that_is_missing_or_broken(monkeypatch, tmp_path):
    monkeypatch.setattr(bubblewrap, "binary", lambda: None)
    assert sandbox.gap("bubblewrap") == "it is not installed"
    sandbox.gap.cache_clear()
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(bubblewrap, "binary", lambda: str(broken))
    assert sandbox.gap("bubblewrap") == "bubblewrap did not start: bwrap: setting up uid map: Permission denied"


def test_it_is_proved_once(monkeypatch):
    first = sandbox.gap("landlock")
    monkeypatch.setattr(processes, "run", None)
    assert sandbox.gap("landlock") == first
