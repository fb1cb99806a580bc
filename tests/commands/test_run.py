"""`teachergrid run`, whole: what it says and writes, and what it does about jobs that fail."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import failing_workflow
import pytest
from teachergrid.commands import run
from teachergrid.cost import saved_estimates
from teachergrid.job import failures
from teachergrid.planning import options as plan_options
from teachergrid.report import read
from teachergrid.run import outcome, supervise
from workspace import ENV, file_of_size, setting


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    failing_workflow.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_says_what_was_done_what_failed_and_what_waits(folder, capsys):
    with Path("run.log").open("wb", buffering=0) as file, supervise.Signals() as signals:
        context = supervise.Context(supervise.Log(file), signals, None, supervise.Patience.of_environment())
        code, how, progress = run.once(["--cores", "1", "--keep-going", "all"], context, {})
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
    assert outcome.lines("results", found)[0].startswith(
        f"1 failed: bad input. {failures.REMEDIES[failures.BAD_INPUT]}"
    )
    assert "1 done, 1 failed, 1 waiting for them or not begun (late 1)" in outcome.lines("results", found)[2]


@pytest.mark.parametrize("forces", [True, False])
def test_a_later_start_forces_only_what_no_earlier_one_has_made(monkeypatch, forces):
    """Two starts of Snakemake hang, and a job of the third fails."""
    told, ends = [], [supervise.HUNG, supervise.HUNG, supervise.ENDED, supervise.ENDED]

    def once(argv, context, expected, forced=None):
        told.append((argv, forced))
        jobs = {7: {"rule": "generate", "cell": "x", "outputs": [f"made {len(told)}"]}}
        progress = SimpleNamespace(jobs=jobs, done=[7], failed={}, total=3)
        return int(len(told) < 4), ends[len(told) - 1], progress

    cells = SimpleNamespace(chosen={}, rows={"report": {}})
    for where, name, stand_in in (
        (run, "once", once),
        (run, "any_made", lambda rows: True),
        (run.grid_cells, "Cells", lambda config: cells),
        (run.hindsight, "note", lambda *_: None),
        (run.graph, "forced", lambda argv: ["made 1", "made 2", "made 3", "left"]),
    ):
        monkeypatch.setattr(where, name, stand_in)
    argv = ["-R", "generate", "--config=a=1"] if forces else ["--config=a=1"]
    request = SimpleNamespace(argv=argv, config={}, forces=forces, whole=True)
    one = run.Run(request, SimpleNamespace(log=SimpleNamespace(say=lambda line: None)))
    while one.goes_on():
        pass
    assert one.report() == "partial"
    if forces:
        assert [forced for _, forced in told] == [None, {"made 2", "made 3", "left"}, {"made 3", "left"}, ()]
    else:
        assert [forced for _, forced in told] == [None] * 4
    # what the run was told counts for its report
    assert plan_options.parse_quietly(told[-1][0]).config == ["a=1", "partial=True"]


@pytest.mark.parametrize(
    ("made", "models", "is_enough"),
    [
        ("scores/q-raw/math/verify.parquet", ["q-raw"], True),
        ("metrics/q/seed__small.parquet", ["q-raw"], False),
        ("metrics/q/seed__small.parquet", [], True),
        ("responses/seed__small.parquet", [], False),
    ],
)
def test_metrics_are_enough_for_the_report_of_a_grid_that_trains_nothing(
    tmp_path, monkeypatch, made, models, is_enough
):
    monkeypatch.chdir(tmp_path)
    file_of_size(tmp_path / "results" / made, 0)
    assert run.any_made({"correlate": {"teachers": {"models": models}}}) is is_enough


@pytest.mark.slow
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
    told = saved_estimates.compared(
        str(grid.folder / "results"), [("generate", "seed__small"), ("correlate", "teachers")]
    )
    # responses were made before this run, and nobody had estimated them
    assert [row["rule"] for row in told["stages"]] == ["correlate"] and told["unplanned"] == 1


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_refused_start_leaves_nothing_behind(grid):
    """Results that may not be written: refused before anything is done, without a lock."""
    mount = "mount --bind results results && mount -o remount,bind,ro results && exec"
    argv = ["unshare", "-m", "sh", "-c", f'{mount} "$@"', "sh", sys.executable, "-m", "teachergrid", "run"]
    if os.getuid() or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("needs root, and a mount of its own")
    before = sorted(grid.folder.glob("results/**/*"))
    done = subprocess.run(argv, cwd=grid.folder, env=ENV, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "not started: you may not write results: its file system is read-only" in done.stderr
    assert sorted(grid.folder.glob("results/**/*")) == before and not (grid.folder / "results/.lock").exists()
