"""`teachergrid run` on one machine: one Snakemake watched, stopped and accounted for. A cluster: tests/cluster."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from teachergrid.commands import run
from teachergrid.job import failures
from teachergrid.report import read
from teachergrid.run import options, outcome, supervise
from teachergrid.run.progress import Progress
from teachergrid.slurm import scheduler
from teachergrid.store import estimates, history, lock
from workspace import setting

WORKFLOW = """
rule all:
    input: "fine.txt", "late.txt"
rule fine:
    output: "fine.txt"
    resources: gpu=2
    benchmark: "fine.jsonl"
    shell: "touch {output}"
rule broken:
    output: "{name}.broken"
    log: "{name}.log"
    shell: "PYTHON broken.py"
rule late:
    input: "one.broken"
    output: "late.txt"
    shell: "touch {output}"
rule stubborn:
    output: "never"
    shell: "trap '' INT; echo $$ > pid; while true; do sleep 0.1; done"
"""

# as a job of the grid ends with bad input
BROKEN = """
from teachergrid.job import failures
failures.write("results", failures.Record("broken", "one", *failures.of_message("no such key"), exception="BadInput"))
exit(1)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    (tmp_path / "Snakefile").write_text(WORKFLOW.replace("PYTHON", sys.executable))
    (tmp_path / "broken.py").write_text(BROKEN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def until(found, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_run_says_what_was_done_what_failed_and_what_waits(folder, capsys):
    with Path("run.log").open("wb", buffering=0) as file, supervise.Signals() as signals:
        context = supervise.Context(supervise.Log(file), signals, None, supervise.Patience.of_environment())
        code, how, progress = run.once(["--cores", "1", "--keep-going", "all"], context)
    assert (code, how) == (1, "ended")
    found = outcome.end("results", outcome.begin("results", []), outcome.Result(1, [progress], None), None)
    assert found == json.loads(Path("results/run.json").read_text())
    assert found["done"] == ["fine"] and found["waiting"] == {"late": 1} and found["restarts"] == 0
    (failed,) = found["failed"]
    assert (failed["cell"], failed["kind"], failed["line"]) == ("broken one", "bad input", "no such key")
    seconds = json.loads(Path("fine.jsonl").read_text())["s"]
    assert found["gpu_hours"] == round(seconds * 2 / 3600, 4) and found["gpu_hours_from"] == "benchmarks"
    said, kept = capsys.readouterr().err, Path("run.log").read_text()
    assert "FAILED broken one: no such key" in said and "[1/3] fine" in said and "Error in rule" not in said
    assert "Error in rule broken" in kept and all(line[:2] == "20" for line in kept.splitlines())
    assert outcome.lines("results", found)[0].startswith("1 failed: bad input. Fix what the message names")
    assert "1 done, 1 failed, 1 waiting for them or not begun (late 1)" in outcome.lines("results", found)[2]


def test_what_stops_snakemake_itself_has_a_class_and_a_remedy():
    """Words of Snakemake 9 when the disk fills between a job's end and its record."""
    full = "WorkflowError:\nError recording metadata for finished job ([Errno 28] No space left on device). Please ensure ..."
    summary = {"failed": [], "errors": [full, full, "something else"], "done": [], "waiting": {"check": 3}}
    summary |= {"restarts": 0, "gpu_hours": 0, "started": 0, "ended": 60, "code": 1}
    first, second, *_ = outcome.lines("results", summary)
    assert first.startswith("Snakemake itself was stopped: disk full. Free space") and second.startswith("0 done")
    known = {"cell": "check a", "kind": "disk full", "line": "No space", "remedy": "Free space"}
    for other in ({"failed": [known]}, {"code": 0}):
        assert not any("itself" in line for line in outcome.lines("results", summary | other))


def test_a_job_that_ignores_ctrl_c_ends_with_the_second(folder):
    with Path("run.log").open("wb", buffering=0) as file, supervise.Signals() as signals:
        log = supervise.Log(file)
        progress = Progress(log.say)
        snakemake = supervise.Snakemake(["--cores", "1", "never"], log.write, progress)

        def say(line: str) -> None:
            log.say(line)
            if line == "stopping":  # Snakemake has been told: the job does not care
                signals.stop()

        progress.say = say
        until(lambda: snakemake.read(0.05) or (Path("pid").exists() and Path("pid").read_text()))
        signals.stop()
        context = supervise.Context(log, signals, None, supervise.Patience.of_environment())
        how = supervise.Supervision(snakemake, progress, context).follow()
        assert how == "stopped" and snakemake.close() == -signal.SIGKILL
    assert lock.start_ticks(int(Path("pid").read_text())) is None


def test_nothing_outlives_a_killed_run(folder):
    text = "import sys, time; from teachergrid.run import supervise; supervise.Snakemake(['--cores', '1', 'never'], print, None)"
    main = subprocess.Popen([sys.executable, "-c", f"{text}; time.sleep(600)"], start_new_session=True)
    until(lambda: Path("pid").exists() and Path("pid").read_text())
    job = int(Path("pid").read_text())
    main.kill()
    main.wait()
    until(lambda: lock.start_ticks(job) is None, 10)


def test_a_closed_terminal_ends_nothing(tmp_path):
    text = "import os, sys; from teachergrid.run import supervise\nwith supervise.Signals():\n print('ready', flush=True)\n input()\n"
    text += " print('more', flush=True); open('alive', 'w').close()"
    ends, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", text], cwd=tmp_path, stdin=subprocess.PIPE, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    assert b"ready" in os.read(ends, 100)
    process.send_signal(signal.SIGHUP)
    os.close(ends)
    process.communicate(b"\n", timeout=30)
    assert process.returncode == 0 and (tmp_path / "alive").exists()


def test_what_failed_is_not_tried_again_for_the_report(grid):
    """Two seeds; the second one's trainings die, and the report is made over the first one's."""
    grid.edit(setting("grids", "teachers", "seeds", to=[1, 2]))
    start = 'if __name__ == "__main__":'
    count = "import os; print('ERROR: no room', file=open(snakemake.log[0], 'w')); open(f'tried.{os.getpid()}', 'x'); exit(1)"
    grid.replace("workflow/scripts/finetune.py", start, f"{start}\n    {count}")
    done = grid.call("teachergrid", "run")
    assert done.returncode == 1, done.stderr
    found = json.loads((grid.folder / "results/run.json").read_text())
    students = {failed["cell"] for failed in found["failed"]}
    assert students and all(name.startswith("finetune ") and name.endswith("__s2") for name in students)
    assert len(list(grid.folder.glob("tried.*"))) == len(students), "each was tried once"
    assert found["report"] == "partial" and found["waiting"]["report"] == 1 and found["waiting"]["answer"] > 0
    assert "teachers/report.html" in done.stdout
    told = estimates.compared(str(grid.folder / "results"), [("generate", "seed__small"), ("correlate", "teachers")])
    # responses were made before this run, and nobody had estimated them
    assert [row["rule"] for row in told["stages"]] == ["correlate"] and told["unplanned"] == 1


def test_a_job_killed_without_a_word_is_in_the_report(grid):
    """By the kernel as it were: the job itself can write nothing. Its record goes when it succeeds."""
    student = "q__seed__small__sft__s1"
    (grid.folder / f"results/students/{student}/student.json").unlink()
    # the new settings make the summary need it
    grid.edit(setting("grids", "teachers", "title", to="another"))
    start = 'if __name__ == "__main__":'
    kill = f"import os; os.path.exists('kill') and '{student}' in snakemake.log[0] and os.kill(os.getpid(), 9)"
    grid.replace("workflow/scripts/finetune.py", start, f"{start}\n    {kill}")
    (grid.folder / "kill").touch()
    output = f"results/students/{student}/student.json"
    assert grid.call("teachergrid", "run", output).returncode == 1
    results = str(grid.folder / "results")
    asked = {"students": [{"student": student, "corpus": "seed__small", "base": "q"}], "references": [], "pairs": []}
    (shown,) = read.failed(results, asked)
    assert (shown["rule"], shown["cell"]) == ("finetune", student)
    assert (shown["kind"], shown["reason"]) == (failures.UNKNOWN, failures.SILENT)
    (group,) = json.loads(grid.call("teachergrid", "status", "--json").stdout)["failures"]
    assert group["kind"] == failures.UNKNOWN and group["cells"][0]["job"] == f"finetune {student}"
    (failed,) = json.loads((grid.folder / "results/run.json").read_text())["failed"]
    assert failed["kind"] == failures.UNKNOWN and failed["cell"] == f"finetune {student}"
    (grid.folder / "kill").unlink()
    assert grid.call("teachergrid", "run", output).returncode == 0
    assert not list((grid.folder / "results/logs").rglob("*.failed.json"))


# --- its parts


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["-n"], ["-n", "--config", "x=1"]),
        (["--config", "a=2", "-n"], ["--config", "x=1", "a=2", "-n"]),
    ],
)
def test_a_setting_is_added_to_those_given(argv, expected):
    assert options.with_config(argv, "x=1") == expected


def test_squeue_is_read(tmp_path):
    text = (
        f"12|RUNNING|h1|1-02:03:04|2-00:00:00|rule_answer_wildcards_q__seed__small__sft__s1_math|{tmp_path}\n"
        f"13|PENDING||0:00|UNLIMITED|rule_all|{tmp_path}/.\n"
        f"14|RUNNING|h1|0:10|1:00|rule_generate_wildcards_seed__small|{tmp_path}/other\n"
        f"15|RUNNING|h1|0:10|1:00|my own|{tmp_path}\n"
    )
    first, second = scheduler.parse_queue(text, tmp_path)
    assert first == ("12", "RUNNING", "answer", "q__seed__small__sft__s1/math", "h1", 93784, 172800)
    assert second == ("13", "PENDING", "all", "", "", 0, None)


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


@pytest.mark.parametrize(("answer", "hung"), [([], True), (None, False), (["a job"], False)])
def test_only_an_empty_answer_of_squeue_is_a_hang(monkeypatch, answer, hung):
    monkeypatch.setattr(scheduler, "live", lambda folder: answer)
    progress = Progress(lambda line: None)
    progress.take({"event": "started", "jobs": [1]})
    progress.take({"event": "ready", "job": 1, "known": {"rule": "generate", "cell": "x", "local": False}})
    watchdog = supervise.Watchdog("/", progress, supervise.Patience(watch=0, hang=1000))
    assert not watchdog.hung(), "not for long yet"
    # as if nothing had happened since long ago
    watchdog.alive -= 2000
    progress.last -= 2000
    assert watchdog.hung() is hung


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


def test_finished_outputs_of_a_dead_run_are_kept(folder):
    """One whose end nobody saw, and one whose record is of what was there before; the rest is left alone."""
    records = Path("results/.history")
    for name, age in {"unseen": 0, "newer": 0, "known": 100}.items():
        output = f"results/{name}.parquet"
        record = history.record_path(records, output)
        record.parent.mkdir(parents=True, exist_ok=True)
        Path(output).touch()
        record.touch()
        os.utime(record, (1000, 1000))
        os.utime(output, (1050 - age, 1050 - age))
    for name in ("unseen", "never"):
        mark = history.record_path(history.MARKS, f"results/{name}.parquet")
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    assert history.recover_outputs("results") == ["results/newer.parquet", "results/unseen.parquet"]
    assert history.record_path(records, "results/known.parquet").exists()
    assert history.record_path(history.MARKS, "results/never.parquet").exists(), "begun, and not finished"
