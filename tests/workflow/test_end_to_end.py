"""The whole workflow for real, in small: one base of the mini world, two teachers, 48 instructions, 40 problems."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from small_demo import TEACHERS, small_demo
from workspace import ENV, Grid, jobs, setting

pytestmark = pytest.mark.slow


def tables(grid: Grid) -> dict[str, bytes]:
    """The bytes of every parquet that the workflow made, unfinished work aside."""
    results = grid.folder / "results"
    found = (path for path in results.rglob("*.parquet") if ".work" not in path.parts)
    return {str(path.relative_to(results)): path.read_bytes() for path in found}


def differing(one: dict, other: dict) -> set[str]:
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Grid:
    grid = small_demo(tmp_path_factory.mktemp("e2e") / "undisturbed")
    done = grid.call("teachergrid", "run")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "for bs take " in done.stdout and "report: results/grids/teachers/report.html" in done.stdout
    return grid


def killed_run(grid: Grid, when) -> None:
    """Start a run, and kill -9 its whole process group as soon as `when()` holds."""
    run = subprocess.Popen(
        [sys.executable, "-m", "teachergrid", "run"], cwd=grid.folder, env=ENV, start_new_session=True
    )
    deadline = time.monotonic() + 240
    while not when() and time.monotonic() < deadline:
        assert run.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def test_tables_say_what_happened(undisturbed):
    results = undisturbed.folder / "results"
    performance = pq.read_table(results / "grids/teachers/performance.parquet").to_pylist()
    ap = {row["model"]: row for row in performance if row["measure"] == "AP"}
    assert set(ap) == {"bs__pool__concise-s__sft", "bs__pool__steps-s__sft", "bs-untuned", "bs-instruct"}
    assert all(row["n_items"] == 40 and 0 <= row["value"] <= 100 for row in ap.values())
    scores = pq.read_table(results / "scores/bs-instruct/miniworld/verify.parquet").to_pylist()
    assert ap["bs-instruct"]["value"] == pytest.approx(100 * sum(row["score"] for row in scores) / 40)
    assert ap["bs__pool__concise-s__sft"]["self_pair"] and ap["bs__pool__steps-s__sft"]["self_pair"]
    # 12 of 40 open answers are not right by luck: the instruct model was really trained and really asked
    assert ap["bs-instruct"]["value"] > 30
    metrics = pq.read_table(results / "metrics/bs/pool__concise-s.parquet").to_pylist()
    assert {row["metric"] for row in metrics} >= {"car_mean/verifier/chat/beta=1", "car_mean/verifier/plain/beta=1"}
    recommendation = yaml.safe_load((results / "grids/teachers/recommendation.yaml").read_text())
    assert recommendation["bases"]["bs"]["best"] in TEACHERS and recommendation["cannot_say"]


def test_report_shows_them(undisturbed):
    page = (undisturbed.folder / "results/grids/teachers/report.html").read_text()
    for words in (*TEACHERS, "bs-untuned", "bs-instruct", "car_mean/verifier/chat/beta=1"):
        assert words in page
    # all but the report itself and what leaves no benchmark
    assert "jobs within their range" in page and "Not compared" not in page


def test_nothing_to_do_the_second_time(undisturbed):
    assert undisturbed.jobs() == set()


@pytest.mark.bench
def test_a_look_at_what_is_there_takes_seconds(undisturbed):
    start = time.monotonic()
    undisturbed.jobs()
    assert time.monotonic() - start < 20


def test_another_seed_moves_the_tables(undisturbed, tmp_path):
    grid = small_demo(tmp_path / "seed", seed=2)
    grid.run("--until", "check", "reward")
    moved = differing(tables(grid), tables(undisturbed))
    assert {"instructions/pool.parquet", "responses/pool__concise-s.parquet"} <= moved


def test_a_third_teacher_runs_its_column_only(undisturbed, tmp_path):
    grid = Grid(Path(shutil.copytree(undisturbed.folder, tmp_path / "third", symlinks=True)))
    grid.edit(setting("teachers", "new", to={"model": "concise-s", "sampling": {"max_tokens": 80, "temperature": 1}}))
    student = "bs__pool__new__sft__s1"
    column = jobs(
        "{generate,check,gate} pool__new",
        "reward {rm,verifier}/pool__new",
        "likelihood bs/pool__new",
        "metric bs/pool__new",
        f"finetune {student}",
        f"{{answer,verify}} {student}/miniworld",
        f"judge {student}/miniworld/rm-wins",
        "{correlate,report} teachers",
    )
    # the metrics of the cut grid use one reward only
    assert grid.jobs() == column - jobs("reward rm/pool__new")
    before = tables(grid)
    grid.run()
    changed = differing(before, tables(grid))
    assert all("pool__new" in name or name.startswith("grids/") for name in changed)


def test_two_kills_lose_nothing(undisturbed, tmp_path):
    """kill -9 in generation, then in training; each next run goes on by itself, without finished shards twice.

    The tables are those of a run from scratch elsewhere, byte by byte.
    """
    grid = small_demo(tmp_path / "killed")
    results = grid.folder / "results"

    def shards() -> list[Path]:
        return sorted(results.glob(".work/responses/*/*/*.parquet"))

    def training() -> bool:
        return any("from the start" in path.read_text() for path in results.glob("logs/finetune/*.log"))

    killed_run(grid, lambda: len(shards()) >= 2)
    assert shards()
    killed_run(grid, training)
    logs = "".join(path.read_text() for path in results.glob("logs/generate/*.log"))
    assert "shards are there from an earlier run" in logs
    done = grid.call("teachergrid", "run")
    assert done.returncode == 0 and "died; its lock is freed" in done.stderr
    assert differing(tables(grid), tables(undisturbed)) == set()
    assert not any(path.is_file() for path in results.glob(".work/**/*")), "finished work is cleared"


def test_a_gated_teacher_does_not_stop_the_report(undisturbed, tmp_path):
    """Responses that are cut off: the gate stops the SFT, the rest is made, the report says why."""
    grid = Grid(Path(shutil.copytree(undisturbed.folder, tmp_path / "gated", symlinks=True)))
    broken = {"model": "steps-s", "sampling": {"max_tokens": 3}}
    grid.edit(setting("teachers", "broken", to=broken))
    done = grid.call("teachergrid", "run")
    assert done.returncode == 1 and "FAILED gate pool__broken" in done.stderr
    results = grid.folder / "results"
    assert not (results / "students/bs__pool__broken__sft__s1/student.json").exists()
    recommendation = yaml.safe_load((results / "grids/teachers/recommendation.yaml").read_text())
    assert "gated: truncated 100 %" in recommendation["gated"]["pool__broken"]
    page = (results / "grids/teachers/report.html").read_text()
    assert "broken" in page and "truncated 100" in page
    # a gate that is opened trains this student and nothing else
    grid.edit(setting("health", "gates", to={"truncated": None}))
    trained = {job for job in grid.jobs() if job.startswith("finetune")}
    assert trained == {"finetune bs__pool__broken__sft__s1"}
