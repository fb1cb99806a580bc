"""What Snakemake does, followed by its events."""

import io
import json
import logging
from pathlib import Path

import pytest
from teachergrid.job import attempts, failures
from teachergrid.run import progress as run_progress
from teachergrid.run.progress import Progress


def test_a_hang_is_a_wait_for_the_cluster_alone():
    progress = Progress(lambda line: None)
    known = {"cell": "x", "gpus": 1, "log": [], "outputs": [], "benchmark": None}
    progress.take({"event": "plan", "stats": {"generate": 1, "gate": 1, "all": 1, "total": 3}})
    assert not progress.awaits_cluster()
    progress.take({"event": "started", "jobs": [1, 2]})
    assert not progress.awaits_cluster(), "nothing is known of them yet"
    progress.take({"event": "ready", "job": 1, "known": {"rule": "generate", "local": False, **known}})
    progress.take({"event": "ready", "job": 2, "known": {"rule": "gate", "local": True, **known}})
    assert not progress.awaits_cluster()
    progress.take({"event": "finished", "job": 2})
    assert progress.awaits_cluster()


def test_a_failure_that_is_tried_again_does_not_count(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    progress = Progress(said.append)
    progress.take({"event": "plan", "stats": {"generate": 1, "total": 1}})
    known = {"rule": "generate", "cell": "x", "local": False, "gpus": 1, "log": [], "outputs": [], "benchmark": None}
    progress.take({"event": "ready", "job": 1, "known": {**known, "resources": {"runtime": 60}}})
    progress.take({"event": "started", "jobs": [1]})
    message = "SLURM-job '41' failed, SLURM status is: 'TIMEOUT'. Detailed failure reason unavailable"
    Path("41.log").write_text(
        "host: gh1\nslurmstepd: error: *** JOB 41 ON gh2 CANCELLED AT 2026 DUE TO TIME LIMIT ***\n"
    )
    progress.take({"event": "failed", "job": 1, "logs": ["absent.log", "41.log"], "message": message})
    assert progress.failed[1].slurm == "41" and progress.failed[1].record.kind == "time-out"
    found = progress.failed[1].record
    assert (found.node, found.slurm, found.resources) == ("gh1", "41", {"runtime": 60})
    assert failures.read("results")["generate", "x"] == progress.failed[1].record
    progress.take({"event": "again", "job": 1})
    assert not failures.read("results") and attempts.read("results", "generate", "x") == [found]
    assert not progress.failed and progress.waiting == {"generate": 1} and "tried again" in said[-1]


def test_the_record_of_the_job_itself_counts_and_one_of_an_earlier_start_does_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known = {"rule": "generate", "cell": "x", "local": True, "gpus": 1, "log": [], "outputs": ["x"], "benchmark": None}
    for exception, kind in (("BadInput", failures.MISSING), (None, failures.UNKNOWN)):
        own = failures.Record("generate", "x", failures.MISSING, "no such model", ["x"], "x.log", exception)
        failures.write("results", own)
        progress = Progress(lambda line: None)
        progress.take({"event": "ready", "job": 1, "known": known})
        progress.take({"event": "failed", "job": 1, "logs": [], "message": ""})
        assert progress.failed[1].record.kind == kind and (progress.failed[1].record == own) is bool(exception)
        assert failures.read("results")["generate", "x"] == progress.failed[1].record


def known(rule: str, cell: str, gpus: int = 0) -> dict:
    return {
        "rule": rule,
        "cell": cell,
        "local": True,
        "gpus": gpus,
        "log": [],
        "outputs": [],
        "benchmark": None,
    }


def test_a_finished_cell_is_said_with_the_time_left(monkeypatch):
    said, now = [], [1000.0]
    monkeypatch.setattr(run_progress.time, "monotonic", lambda: now[0])
    run = Progress(said.append, has_gpus=False)
    run.take({"event": "plan", "stats": {"generate": 3, "reward": 2, "all": 1, "total": 6}})
    for number, (rule, cell) in enumerate([("generate", "a"), ("generate", "b"), ("reward", "r/a"), ("all", "")]):
        run.take({"event": "ready", "job": number, "known": known(rule, cell, gpus=1)})
    run.take({"event": "started", "jobs": [0, 1]})
    now[0] += 100
    run.take({"event": "finished", "job": 0})
    # two more of the same and two of a rule not seen yet, all of 100 s; two at a time, as the other one has run as long
    assert said == [
        "5 jobs to do",
        "begins with generate a; log: results/logs/run.log",
        "[1/5] generate a 100 s; about 3 min left; now generate",
    ]
    run.take({"event": "finished", "job": 1})
    # 3 x 100 s, two at a time
    assert said[-1] == "[2/5] generate b 100 s; about 2 min left"
    run.take({"event": "started", "jobs": [3]})
    run.take({"event": "finished", "job": 3})
    assert run.done == [0, 1] and len(said) == 4, "`all` makes nothing"
    assert run.jobs[0]["gpus"] == 0, "a machine without GPUs gives none"


def test_time_left_begins_with_the_plan(monkeypatch):
    """The first job of a run says little: 14 s where 7 were planned are no reason to say that all takes twice as long."""
    said, now = [], [1000.0]
    monkeypatch.setattr(run_progress.time, "monotonic", lambda: now[0])
    run = Progress(said.append, expected={"answer": 7.0, "metric": 1.0})
    run.take({"event": "plan", "stats": {"answer": 21, "metric": 59, "total": 80}})
    run.take({"event": "ready", "job": 0, "known": known("answer", "a")})
    run.take({"event": "started", "jobs": [0]})
    now[0] += 14
    run.take({"event": "finished", "job": 0})
    # of 147 + 59 s a tenth went as planned: the pace is (14 + 20.6) / (7 + 20.6) = 1.25; an answer counts (14 + 7 x 1.25) / 2 = 11.4 s
    # and a metric 1.25 s: 20 x 11.4 + 59 x 1.25 = 302 s
    assert said[-1] == "[1/80] answer a 14 s; about 5 min left"
    run.take({"event": "ready", "job": 1, "known": known("metric", "m")})
    for _ in range(50):
        run.take({"event": "started", "jobs": [1]})
        now[0] += 4
        run.take({"event": "finished", "job": 1})
    # the pace is 3.0: 9 metrics of (50 x 4 + 3.0) / 51 = 3.98 s and 20 answers of (14 + 7 x 3.0) / 2 = 17.6 s, in a row: 388 s
    assert said[-1] == "[51/80] metric m 4 s; about 6 min left"


def record(msg: str = "", **attributes) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": msg, **attributes})


@pytest.mark.parametrize(
    ("logged", "event"),
    [
        (record(event="LogEvent.run_info", stats={"all": 1}), {"event": "plan", "stats": {"all": 1}}),
        (record(event="job_started", jobs=3), {"event": "started", "jobs": [3]}),
        (record(event="job_started", jobs=[3, 4]), {"event": "started", "jobs": [3, 4]}),
        (record(event="job_finished", job_id=3), {"event": "finished", "job": 3}),
        (
            record(event="job_error", jobid=3, log=["a.log"], rule_msg=None),
            {"event": "failed", "job": 3, "logs": ["a.log"], "message": ""},
        ),
        (
            record("Job 3 has been submitted with SLURM jobid 41 (log: x)."),
            {"event": "submitted", "job": 3, "slurm": "41"},
        ),
        (record("Trying to restart job 3."), {"event": "again", "job": 3}),
        (record("x", teachergrid="preempted: generate x"), {"event": "note", "text": "preempted: generate x"}),
        (
            record("Job 3 completed successfully, but some output files are missing. x", event="error"),
            {
                "event": "failed",
                "job": 3,
                "logs": [],
                "message": "Job 3 completed successfully, but some output files are missing. x",
            },
        ),
        (record("disk is full", event="error"), {"event": "error", "text": "disk is full"}),
        # the sum of failures that had an event each, what Snakemake says of each, and what nobody asked for
        (record('RuleException:\nCalledProcessError in file "teach.smk", line 47:\nCommand x', event="error"), None),
        (record("Exiting. At least one job did not complete successfully.", event="error"), None),
        (record("Select jobs to execute..."), None),
    ],
)
def test_what_snakemake_logs_becomes_events(logged, event):
    out = io.StringIO()
    run_progress.Events(out).emit(logged)
    assert [json.loads(line) for line in out.getvalue().splitlines()] == ([event] if event else [])


def test_a_job_is_described_by_its_record():
    logged = record(
        rule_name="judge",
        wildcards={"model": "q-raw", "suite": "chat", "judge": "wins"},
        local=False,
        resources={"gres": "gpu:2", "nodes": 2},
        log=["a.log"],
        output=["a.parquet"],
        benchmark=None,
    )
    found = run_progress.described(logged)
    assert (found["cell"], found["gpus"], found["local"]) == ("q-raw/chat/wins", 4, False)
    logged.rule_name = "all"
    assert run_progress.described(logged)["local"], "it runs here whatever the executor is"


def test_who_cancelled_a_job_is_its_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    progress = Progress(said.append)
    progress.take({"event": "ready", "job": 1, "known": known("generate", "x")})
    Path("41.log").write_text("slurmstepd: error: *** JOB 41 ON gh2 CANCELLED AT 2026-11-21T18:04:53 ***\n")
    message = "SLURM-job '41' failed, SLURM status is: 'CANCELLED by alice'. Detailed failure reason unavailable"
    progress.take({"event": "failed", "job": 1, "logs": ["41.log"], "message": message})
    found = progress.failed[1].record
    assert (found.kind, found.line, found.node) == (failures.CANCELLED, "cancelled by alice", "gh2")
    assert said[1:] == ["FAILED generate x: cancelled by alice"]


@pytest.mark.parametrize(("log", "failed"), [("KeyboardInterrupt\n", 0), ("", 0), ("No space left on device\n", 1)])
def test_a_job_that_the_run_ends_has_not_failed(tmp_path, monkeypatch, log, failed):
    """After Ctrl-C. What fails for a reason of its own meanwhile has."""
    monkeypatch.chdir(tmp_path)
    said = []
    progress = Progress(said.append)
    progress.take({"event": "plan", "stats": {"generate": 1, "total": 1}})
    progress.take({"event": "ready", "job": 1, "known": known("generate", "x")})
    progress.take({"event": "started", "jobs": [1]})
    Path("x.log").write_text(log)
    failures.write("results", failures.Record("generate", "x", *failures.classify(log), ["x"], "x.log", "Interrupt"))
    progress.stopping = True
    progress.take({"event": "failed", "job": 1, "logs": ["x.log"], "message": "died with <Signals.SIGINT: 2>"})
    assert len(progress.failed) == len(failures.read("results")) == failed
    assert progress.waiting["generate"] == 1 - failed and any("FAILED" in line for line in said) is bool(failed)


def test_what_is_said_in_between_is_no_progress():
    said = []
    progress = Progress(said.append)
    progress.last = 0.0
    progress.take({"event": "note", "text": "SLURM's controller does not answer"})
    assert said == ["SLURM's controller does not answer"] and progress.last == 0.0, "the watchdog goes on counting"
