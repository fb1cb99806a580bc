"""One way to call SLURM's commands: what they print, and one clear error when there is no answer."""

import os
from pathlib import Path

import pytest
from teachergrid.slurm import scheduler


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Write a command of this name that runs a shell script."""

    def write(name: str, script: str) -> None:
        path = Path(tmp_path, name)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return write


def test_what_a_command_prints(command):
    command("sinfo", 'echo "$@"; cat')  # cat would wait for a terminal
    assert scheduler.ask("sinfo", "--noheader", "a b") == "--noheader a b\n"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'slurm_load_jobs error: down' >&2; exit 1", "squeue: slurm_load_jobs error: down"),
        ("exit 1", "squeue: failed"),
        ("sleep 9", "squeue: no answer within a minute; is slurmctld up"),
    ],
)
def test_no_answer(command, monkeypatch, script, message):
    command("squeue", script)
    monkeypatch.setattr(scheduler, "ANSWER_S", 0.5)
    with pytest.raises(scheduler.SlurmError, match=message):
        scheduler.ask("squeue")
    assert scheduler.live("/") is None and scheduler.accounting("/", 0) == []


def test_no_such_command(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(scheduler.SlurmError, match="squeue: not found; run this on a login node"):
        scheduler.ask("squeue")
    assert scheduler.live("/") is None and scheduler.accounting("/", 0) == [] and not scheduler.cancel(["1"])


def test_many_jobs_are_cancelled_in_parts_and_one_refusal_counts(command, tmp_path):
    command("scancel", f'echo $# >> {tmp_path}/calls; [ "$1" != 500 ]')
    assert not scheduler.cancel(map(str, range(1200)))
    assert Path(tmp_path, "calls").read_text().split() == ["500", "500", "200"]
    assert scheduler.cancel(["1"]) and scheduler.cancel([])
