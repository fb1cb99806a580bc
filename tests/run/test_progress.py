"""What Snakemake does, followed by its events."""

from teachergrid.job import failures
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
    progress.take({"event": "ready", "job": 1, "known": known})
    progress.take({"event": "started", "jobs": [1]})
    message = "SLURM-job '41' failed, SLURM status is: 'TIMEOUT'. Detailed failure reason unavailable"
    progress.take({"event": "failed", "job": 1, "logs": ["absent.log"], "message": message})
    assert progress.failed[1].slurm == "41" and progress.failed[1].record.kind == "time-out"
    assert failures.read("results")["generate", "x"] == progress.failed[1].record
    progress.take({"event": "again", "job": 1})
    assert not failures.read("results")
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
