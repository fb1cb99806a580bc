"""One way to call SLURM's commands: what they print, and one clear error when there is no answer."""

import os
import time
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


def test_a_person_does_not_wait_a_minute(command):
    command("squeue", "sleep 30")
    command("sacct", "sleep 30")
    begin = time.monotonic()
    assert scheduler.live("/", answer_s=0.5) is None and scheduler.accounting("/", 0, 0.5) == []
    assert time.monotonic() - begin < 15
    command("squeue", f"echo '1|RUNNING|h1|0:10|1:00|gpu|None|alice|rule_all|{Path.cwd()}'")
    (job,) = scheduler.live(Path.cwd(), answer_s=20)
    assert (job.id, job.partition, job.reason) == ("1", "gpu", "")


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


def test_squeue_is_read(tmp_path):
    text = (
        f"12|RUNNING|h1|1-02:03:04|2-00:00:00|gpu|None|alice|rule_answer_wildcards_q__seed__small__sft__s1_math|{tmp_path}\n"
        f"13|PENDING||0:00|UNLIMITED|cpu,gpu|PartitionTimeLimit|bob|rule_all|{tmp_path}/.\n"
        f"14|RUNNING|h1|0:10|1:00|gpu|None|alice|rule_generate_wildcards_seed__small|{tmp_path}/other\n"
        f"15|RUNNING|h1|0:10|1:00|gpu|None|alice|my own|{tmp_path}\n"
    )
    first, second = scheduler.parse_queue(text, tmp_path)
    assert first == ("12", "RUNNING", "answer", "q__seed__small__sft__s1/math", "h1", 93784, 172800, "gpu", "", "alice")
    assert second == ("13", "PENDING", "all", "", "", 0, None, "cpu,gpu", "PartitionTimeLimit", "bob")


@pytest.mark.parametrize(
    ("whose", "asked"),
    [(scheduler.ME, "--me"), (scheduler.of_user("bob"), "--user=bob"), (scheduler.EVERYONE, "--noheader")],
)
def test_whose_jobs_are_asked_for(command, tmp_path, whose, asked):
    """Only of one user does the controller pick the jobs itself."""
    command("squeue", f'echo "$1" > {tmp_path}/first')
    assert scheduler.live(tmp_path, whose) == [] and Path(tmp_path, "first").read_text().strip() == asked


@pytest.mark.parametrize(
    ("private", "uid", "hidden"),
    [
        ("none", 1, False),
        ("jobs", 1, True),
        ("usage,jobs,users", 1, True),
        ("usage,users", 1, False),
        ("jobs", 0, False),
    ],
)
def test_a_site_may_hide_the_jobs_of_others(command, monkeypatch, private, uid, hidden):
    command("scontrol", f"printf 'PluginDir = /x\\nPrivateData             = {private}\\nProctrackType = y\\n'")
    monkeypatch.setattr(scheduler.os, "getuid", lambda: uid)
    assert scheduler.hides_others() is hidden


def test_sacct_is_read(tmp_path):
    comment = "rule_generate_wildcards_seed__small"
    text = (
        f"7|CANCELLED by 0|h1|2026-11-21T18:00:00|60|billing=4,cpu=4,gres/gpu:h100=2,gres/gpu=2,node=1|0:15|{comment}|{tmp_path}\n"
        f"8|COMPLETED|a1|2026-11-21T18:01:00|5|cpu=1,gres/gpu:a100=1,gres/gpu:h100=1|0:0||{tmp_path}\n"
        f"9|PENDING|None assigned|2026-11-21T18:01:00|0||0:0|{comment}|{tmp_path}\n"
        f"10|COMPLETED|a1|2026-11-21T18:01:00|5|cpu=1|0:0|{comment}|/elsewhere\n"
    )
    rows = scheduler.parse_accounting(text, tmp_path)
    assert [(row["JobID"], row["state"], row["rule"], row["cell"], row["gpus"]) for row in rows] == [
        ("7", "CANCELLED", "generate", "seed__small", 2),
        ("8", "COMPLETED", "", "", 2),
        ("9", "PENDING", "generate", "seed__small", 0),
    ]
    assert rows[1]["submitted"] - rows[0]["submitted"] == 60 and rows[0]["elapsed_s"] == 60
