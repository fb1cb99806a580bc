"""The summary of a run, in words."""

import json
from pathlib import Path

import pytest
from teachergrid.job import failures
from teachergrid.run import outcome
from teachergrid.run.progress import Progress
from teachergrid.slurm.scheduler import Job
from teachergrid.store import lock


def test_what_stops_snakemake_itself_has_a_class_and_a_remedy():
    """Words of Snakemake 9 when the disk fills between a job's end and its record."""
    full = "WorkflowError:\nError recording metadata for finished job ([Errno 28] No space left on device). Please ensure ..."
    summary = {"failed": [], "errors": [full, full, "something else"], "done": [], "waiting": {"check": 3}}
    summary |= {"restarts": 0, "gpu_hours": 0, "started": 0, "ended": 60, "code": 1}
    first, second, *_ = outcome.lines("results", summary)
    assert (
        first == f"Snakemake itself was stopped: disk full. {failures.REMEDIES[failures.DISK]}"
        and second.startswith("0 done")
    )
    known = {"cell": "check a", "kind": "disk full", "line": "No space", "remedy": "Free space"}
    for other in ({"failed": [known]}, {"code": 0}):
        assert not any("itself" in line for line in outcome.lines("results", summary | other))


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Return a function: what one start of Snakemake did, of two jobs on GPUs and one without."""
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_text('{"s": 900}\n{"s": 900}\n')  # began twice
    Path("c.jsonl").write_text('{"s": 3600}\n')

    def done(*jobs: int) -> Progress:
        progress = Progress(lambda line: None)
        progress.take({"event": "plan", "stats": {"generate": 2, "check": 1, "total": 3}})
        for number, (rule, gpus, benchmark) in enumerate(
            [("generate", 2, "a.jsonl"), ("generate", 1, None), ("check", 0, "c.jsonl")]
        ):
            known = {"rule": rule, "cell": f"c{number}", "local": True, "gpus": gpus, "log": [], "outputs": []}
            progress.take({"event": "ready", "job": number, "known": {**known, "benchmark": benchmark}})
        for number in jobs:
            progress.take({"event": "started", "jobs": [number]})
            progress.take({"event": "finished", "job": number})
        return progress

    return done


def test_a_summary_that_was_never_completed_says_so(start):
    Path("results").mkdir()
    begun = outcome.begin("results", ["--cores", "1"])
    kept = json.loads(Path("results/run.json").read_text())
    assert kept == begun and kept["ended"] is None and kept["code"] is None and kept["argv"] == ["--cores", "1"]


def test_all_starts_count_as_done_and_the_last_one_for_what_is_missing(start):
    Path("results").mkdir()
    first, last = start(0), start(2)
    last.take({"event": "failed", "job": 1, "logs": [], "message": "No space left on device"})
    result = outcome.Result(1, [first, first, last], "partial", phases=2)
    found = outcome.end("results", outcome.begin("results", []), result, None)
    assert found["done"] == ["generate c0", "generate c0", "check c2"] and found["waiting"] == {"generate": 1}
    assert (found["restarts"], found["report"], found["code"]) == (1, "partial", 1)
    [failed] = found["failed"]
    assert (failed["cell"], failed["kind"]) == ("generate c1", failures.DISK)
    assert failed["remedy"] == failures.REMEDIES[failures.DISK]
    # half an hour on two GPUs, in each of the first two starts
    assert (found["gpu_hours"], found["gpu_hours_from"]) == (2.0, "benchmarks")


def test_a_failure_that_the_full_disk_kept_from_being_written_is_written_at_the_end(start):
    Path("results").mkdir()
    last = start()
    last.take({"event": "failed", "job": 1, "logs": [], "message": "No space left on device"})
    failures.remove("results", "generate", "c1")
    outcome.end("results", outcome.begin("results", []), outcome.Result(1, [last], None), None)
    assert failures.read("results")["generate", "c1"].kind == failures.DISK


def test_many_failures_of_a_class_are_cut():
    failed = [{"cell": f"check {i}", "kind": failures.MEMORY, "line": f"line {i}"} for i in range(5)]
    summary = {"failed": failed, "errors": [], "done": ["x"], "waiting": {}, "code": 1}
    summary |= {"restarts": 2, "gpu_hours": 1.26, "started": 0, "ended": 60}
    text = outcome.lines("results", summary)
    assert text[0].startswith("5 failed: out of memory. ") and text[1:5] == [
        "  check 0: line 0",
        "  check 1: line 1",
        "  check 2: line 2",
        "  and 2 more",
    ]
    assert text[5] == "1 done, 5 failed, 2 restarts, 1.3 GPU-hours, 60 s"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("cat > got; echo $TEACHERGRID_EXIT_CODE >> got", ""),
        ("true", ""),  # it does not read
        ("echo no mail >&2; exit 4", "--notify: echo no mail >&2; exit 4: exit code 4: no mail\n"),
        ("sleep 9", "--notify: sleep 9: no end within 0.5 s\n"),
    ],
)
def test_who_is_to_know_is_told_of_the_end(tmp_path, monkeypatch, capsys, command, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(outcome, "NOTIFY_S", 0.5)
    outcome.notify(command, 3, ["2 done, 1 failed", "log: x"])
    assert capsys.readouterr().err.partition(" ")[2] == said
    if "got" in command:
        assert Path("got").read_text() == "2 done, 1 failed\nlog: x\n3\n"


# --- the last run, seen from outside

JOBS = [Job("7", "RUNNING", "generate", "a", "g1", 5, 60), Job("8", "PENDING", "generate", "b", "", 0, 60)]


@pytest.fixture
def dead(tmp_path, monkeypatch) -> str:
    """A lock whose process is gone; return how it is named."""
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    owner = {**lock.this_process(), "started": "0"}
    Path("results/.lock").write_text(json.dumps(owner))
    return f"the run of {lock.described(lock.holder('results'))} died"


def test_the_advice_after_a_kill_is_what_works(dead, monkeypatch):
    monkeypatch.setattr(lock, "orphaned_jobs", lambda folder: [])
    assert outcome.who_runs([]) == f"{dead}; `teachergrid run` continues it"
    assert outcome.who_runs(JOBS) == (
        f"{dead} and has left 2 jobs on the cluster: `teachergrid run --live wait` waits for them and continues, "
        "`--live cancel` cancels them first"
    )
    assert outcome.who_runs(None).endswith("squeue does not answer, so what runs there is unknown")
    monkeypatch.setattr(lock, "orphaned_jobs", lambda folder: [12])
    assert "its jobs still work (processes 12)" in outcome.who_runs([])


def test_a_run_that_could_not_say_how_it_ended(dead):
    Path("results/.lock").unlink()
    assert outcome.who_runs([]) == "no run is alive"
    assert "1 job on the cluster: `teachergrid run --live wait`" in outcome.who_runs(JOBS[:1])
    Path("results/run.json").write_text(json.dumps({"started": 1, "ended": 2}))
    assert outcome.who_runs([]) == "no run is alive"
    for cut in ({"started": 1, "ended": None}, {"started": 1}):
        Path("results/run.json").write_text(json.dumps(cut))
        assert "killed, or the disk was full" in outcome.who_runs([])
    Path("results/run.json").write_text("")
    assert outcome.summary() == {} and outcome.who_runs([]) == "no run is alive"


def test_the_answers_are_of_the_grids_of_the_config_alone(tmp_path):
    """Another config's grid may lie in the same results folder; and nothing to "take" is better than the base as it is."""
    bases = {
        "q": {"best": "a", "value": 41.0, "low": 40.0, "high": 42.0, "tied": ["b"], "gain": 2.0, "gain_low": 1.0},
        "r": {"best": "b", "value": 31.0, "low": 30.0, "high": 32.0, "gain": -2.0, "untuned_reference": "r-raw"},
        "t": {"best": "c", "value": 31.0, "low": 30.0, "high": 32.0, "gain": -0.1, "untuned_reference": "t-raw"},
        "s": {"best": None, "reason": "no student has a performance"},
    }
    bases["r"] |= {"gain_low": -3.0, "gain_high": -1.0}
    bases["t"] |= {"gain_low": -3.0, "gain_high": 2.8}
    for grid in ("mine", "others"):
        file = tmp_path / "grids" / grid / "recommendation.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"bases": bases, "evidence": ["Performance rests on x."]}))
    assert [*outcome.answers(str(tmp_path), ["mine", "unfinished"])] == [
        "mine: Performance rests on x.",
        "mine: for q take a: 41.0 [40.0, 42.0]; statistically tied with b",
        "mine: for r take b: 31.0 [30.0, 32.0]; but no student beats the untuned base (r-raw)",
        "mine: for t take c: 31.0 [30.0, 32.0]; whether it beats the untuned base (t-raw) is open",
        f"report: {tmp_path}/grids/mine/report.html",
    ]
