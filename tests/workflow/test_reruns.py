"""What a change reruns, as exact job sets of the real Snakemake on the small grid (82 jobs: 2 bases, 2 teachers, 1 best-of)."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from expected_jobs import (
    ALL_REPORTS,
    BASE,
    BEST,
    EXAM_OF_MATH,
    INSTRUCTIONS,
    LARGE,
    METRICS,
    MIX,
    MODELS,
    RECIPE,
    REPORT,
    SEED,
    SWAPPED,
    TEACHER,
    TEACHERS_METRICS,
    W_MEASURES,
    W_STUDENTS,
    add_base,
    add_instructions,
    add_metric,
    add_mix,
    add_stripped,
    add_teacher,
    column,
    exams,
    own_template,
)
from workspace import Grid, copy_code, jobs, setting

CASES = {
    "add a teacher": (add_teacher, TEACHER),
    # no model answers, and all else is made as for any teacher
    "add a stripped teacher": (add_stripped, TEACHER),
    "add a derived corpus": (add_mix, MIX),
    "add a base": (add_base, BASE),
    "add a seed": (setting("grids", "teachers", "seeds", to=[1, 2]), SEED),
    "add an instruction set": (add_instructions, INSTRUCTIONS),
    # the cell that both blocks share is measured again, and so both have a new input
    "add a metric": (add_metric, TEACHERS_METRICS | ALL_REPORTS),
    "a teacher's sampling": (setting("teachers", "large", "sampling", "temperature", to=0.2), LARGE),
    "a teacher's revision": (setting("models", "large", "revision", to="223"), LARGE),
    "a teacher's system prompt": (setting("teachers", "large", "system", to="Be brief."), LARGE),
    # a reference is asked in its own template
    "a base's chat template": (own_template, W_STUDENTS | W_MEASURES | REPORT),
    "a recipe": (setting("recipes", "sft", "learning_rate", to=3), RECIPE),
    "swap two numbers": (setting("recipes", "sft", to=SWAPPED), RECIPE),
    "a task's prompt version": (setting("tasks", "gsm", "prompt_version", to=2), EXAM_OF_MATH | ALL_REPORTS),
    "a task's checker version": (
        setting("tasks", "gsm", "checker_version", to=2),
        jobs(f"verify {MODELS}/math", "verify q__evolved__small__sft__s1/math") | ALL_REPORTS,
    ),
    "beta": (setting("metrics", "car", "beta", to=[0.5]), METRICS | BEST | ALL_REPORTS),
    "a judge's tie": (setting("judges", "wins", "tie", to=0.1), jobs(f"judge {MODELS}/chat/wins") | REPORT),
    # it decides whether a student may be made, and not what it is
    "a gate": (
        setting("health", to={"gates": {"truncated": 0.5}}),
        ALL_REPORTS,
    ),
    # from the pass that makes the likelihoods, which is made again
    "distributions": (
        setting("likelihood", to={"distributions": True}),
        jobs("likelihood {q,w}/seed__{small,large}", "likelihood q/evolved__small") | METRICS | BEST | ALL_REPORTS,
    ),
    "bootstrap rounds": (setting("grids", "teachers", "bootstrap", to=500), REPORT),
    "the root seed": (
        setting("seed", to=7),
        column("small")
        | column("large")
        | jobs("{generate,check,gate} evolved__small", "likelihood q/evolved__small", "reward rm/evolved__small")
        | jobs("metric q/evolved__small", "finetune q__evolved__small__sft__s1")
        | exams("q__evolved__small__sft__s1", suites="math")
        | BEST
        | ALL_REPORTS,
    ),
    "a family label": (setting("models", "large", "family", to="Llama"), REPORT),
    "a teacher's own score": (setting("teachers", "large", "score", to=71.5), REPORT),
    "a title": (setting("grids", "teachers", "title", to="Mine"), jobs("report teachers")),
    "gpus": (setting("models", "large", "gpus", to=8), set()),
    "1.0 for 1": (setting("recipes", "sft", "learning_rate", to=1.0), set()),
    "a default written out": (setting("teachers", "small", "sampling", "top_p", to=1), set()),
    "an unused entry": (setting("rewards", "other", to={"model": {"repo": "x", "revision": "1"}}), set()),
    "a reference's plain format": (setting("references", "q-raw", "plain", to="Q: {question}"), set()),
}


@pytest.mark.parametrize("name", CASES)
def test_config(grid, name):
    change, expected = CASES[name]
    (grid.folder / "config/chat.jinja").write_text("{{ messages }}")
    grid.edit(change)  # also reorders all keys and drops all comments
    assert grid.jobs() == expected


def test_new_default_in_the_schema(grid):
    grid.replace(
        "workflow/schemas/config.schema.yaml",
        "      weight_decay:",
        "      warmth: {type: number, default: 0.1, description: New.}\n      weight_decay:",
    )
    assert grid.jobs() == set()


@pytest.mark.parametrize("name", ["finetune.py", "teachergrid/job/context.py"])
def test_code(grid, name):
    grid.replace(f"workflow/scripts/{name}", "import ", "# changed\nimport ")
    assert grid.jobs() == set()


def test_data_file(grid):
    """The content of a file counts, not its time or name."""
    os.utime(grid.folder / "config/gsm.jsonl")
    assert grid.jobs() == set()
    (grid.folder / "config/gsm.jsonl").write_text('{"instruction": "other", "answer": "2"}\n')
    assert grid.jobs() == EXAM_OF_MATH | ALL_REPORTS


@pytest.mark.slow
def test_deleted_tables_are_made_first_and_then_nothing_is_trained_on_them(grid):
    """The plan of a new beta names the way: without it, whole students would be trained again and come out the same."""
    (grid.folder / "results/responses/seed__large.parquet").unlink()
    (grid.folder / "results/rewards/rm/seed__small.parquet").unlink()
    grid.edit(setting("metrics", "car", "beta", to=[0.5]))
    needed = METRICS | BEST | ALL_REPORTS | jobs("reward rm/seed__small")
    plan = json.loads(grid.call("teachergrid", "plan", "--json").stdout)
    assert {job["job"] for job in plan["jobs"]} == needed | column("large")
    spared = plan["spared"]
    assert spared["command"] == "teachergrid run --until generate && teachergrid run"
    assert spared["jobs"] == len(column("large") - needed - {"generate seed__large"})
    assert grid.jobs("--until", "generate") == {"generate seed__large"}
    grid.run("--until", "generate")
    assert grid.jobs() == needed


@pytest.mark.slow
def test_another_model_of_the_same_name_replaces_results(grid):
    grid.edit(setting("models", "large", "repo", to="org/other"))
    plan = json.loads(grid.call("teachergrid", "plan", "--json").stdout)
    replaces = plan["replaces"]
    assert replaces["changes"] == ["teacher large: model.repo: org/large -> org/other"]
    assert {job["job"] for job in plan["jobs"]} == LARGE and replaces["results"] == len(LARGE)
    said = f"replaces {len(LARGE)} results"
    assert said in grid.call("teachergrid", "plan").stdout


@pytest.mark.slow
def test_touched_small_and_large(grid):
    path = grid.folder / "results/responses/seed__large.parquet"
    table = pq.read_table(path)
    big = pa.table({"id": range(300_000)}).replace_schema_metadata(table.schema.metadata)
    pq.write_table(big, path)
    assert path.stat().st_size > 1_000_000
    grid.run()
    for file in (grid.folder / "results").rglob("*.parquet"):
        os.utime(file)
    assert grid.jobs() == set()
    # what Snakemake's default limit would do
    assert jobs("finetune {q,w}__seed__large__sft__s1") < grid.jobs("--max-checksum-file-size", "1000000")


def test_copied_with_new_times(grid, tmp_path):
    subprocess.run(["cp", "-r", grid.folder, tmp_path / "copy"], check=True)
    assert Grid(tmp_path / "copy").jobs() == set()


@pytest.mark.slow
@pytest.mark.parametrize("history", ["with history", "adopted"])
def test_fresh_clone_with_results_moved_in(grid, tmp_path, history):
    copy_code(tmp_path / "clone")
    shutil.move(grid.folder / "results", tmp_path / "clone/results")
    if history == "adopted":
        shutil.rmtree(tmp_path / "clone/results/.history")
    clone = Grid(tmp_path / "clone")
    assert clone.jobs() == set()
    clone.edit(setting("teachers", "large", "sampling", "temperature", to=0.2))
    assert clone.jobs() == LARGE


def test_outputs_of_unknown_origin_are_made_again(grid):
    shutil.rmtree(grid.folder / "results/.history")
    path = grid.folder / "results/metrics/q/seed__small.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    assert grid.jobs() == jobs("metric q/seed__small") | ALL_REPORTS


@pytest.mark.parametrize("left", [0, 200])
def test_records_that_a_full_disk_cut_off(grid, left):
    for record in (grid.folder / "results/.history").rglob("*"):
        if record.is_file():
            os.truncate(record, left)
    grid.edit(setting("recipes", "sft", to=SWAPPED))
    assert grid.jobs() == RECIPE


@pytest.mark.slow
def test_a_fixed_check_trains_nothing(grid):
    """Checks forced to run again up to the gate: what passes has the same bytes, so no student is made again."""
    grid.run("--forcerun", "check", "--until", "gate")
    assert grid.jobs() == set()


def test_adopted_outputs_of_another_setting_are_made_again(grid):
    shutil.rmtree(grid.folder / "results/.history")
    grid.edit(setting("recipes", "sft", to=SWAPPED))
    assert grid.jobs() == RECIPE


def test_another_directory(grid, tmp_path):
    shutil.copytree(grid.folder / "config", tmp_path / "site/config")
    shutil.move(grid.folder / "results", tmp_path / "site/results")
    done = grid.call("snakemake", "-n", "--directory", str(tmp_path / "site"))
    assert "Nothing to be done" in done.stdout + done.stderr
    assert (tmp_path / "site/.snakemake/metadata").is_symlink()


@pytest.mark.slow
def test_same_rows_train_nothing(grid):
    """In one run all that is downstream is planned; in two calls the corpora turn out the same."""
    grid.edit(setting("metrics", "car", "beta", to=[0.5]))
    grid.run("--until", "select")
    assert grid.jobs() == METRICS | ALL_REPORTS


@pytest.mark.slow
def test_a_changed_ratio(grid):
    """Its own corpus, students and exams; with the same rows, nothing but the metrics' tables."""
    grid.edit(add_mix)
    grid.run()
    grid.edit(setting("corpora", "mix", "ratios", "large", to=4))
    assert grid.jobs() == MIX
    grid.run("--until", "select")
    # the report says how rows were chosen
    assert grid.jobs() == jobs("{correlate,report} teachers")


def test_freed_weights(grid):
    weights = grid.folder / "results/students/q__best__sft__s1/weights"
    weights.mkdir()
    (weights / "model.safetensors").write_text("0" * 1000)
    assert grid.jobs() == set()
    shutil.rmtree(weights)
    assert grid.jobs() == set()


@pytest.mark.slow
def test_dead_cell(grid):
    """One student fails: the rest runs; the report is made over what exists; when it is cured, all is made."""
    grid.edit(setting("recipes", "sft", to=SWAPPED))
    dead = "w__best__sft__s1"
    (grid.folder / "dead").write_text(dead)
    done = grid.call("teachergrid", "run")
    assert done.returncode == 1 and f"FAILED finetune {dead}" in done.stderr
    report = (grid.folder / "results/grids/teachers/report.html").read_text()
    assert "w__seed__small__sft__s1" in report and f"{dead}/math" not in report
    (grid.folder / "dead").unlink()
    assert grid.jobs() == jobs(f"finetune {dead}") | exams(dead) | REPORT


@pytest.mark.slow
def test_two_runs_lock_each_other(grid):
    grid.edit(setting("recipes", "sft", to=SWAPPED))
    (grid.folder / ".snakemake/locks").mkdir(exist_ok=True)
    (grid.folder / ".snakemake/locks/0.output.lock").write_text("results/students/q__best__sft__s1/student.json\n")
    assert "LockException" in grid.run(ok=False)
    grid.run("--unlock")
    assert (grid.folder / ".snakemake/metadata").is_symlink()
    assert grid.jobs() == RECIPE


def test_every_path_is_made_by_one_rule(made):
    """Paths and identities as the design has them, and nothing else under results."""
    results = Path(made, "results")
    shapes = {
        "instructions/seed.parquet",
        "responses/seed__small.parquet",
        "health/seed__small.parquet",
        "health/seed__small.passed",
        "rewards/rm/seed__small.parquet",
        "likelihoods/q/chat/seed__small.parquet",
        "likelihoods/q/plain/seed__small.parquet",
        "corpora/best/q.parquet",
        "students/q__seed__small__sft__s1/student.json",
        "students/q__best__sft__s1/student.json",
        "answers/q__seed__small__sft__s1/math.parquet",
        "answers/q-raw/chat.parquet",
        "scores/q__seed__small__sft__s1/math/verify.parquet",
        "scores/q-raw/chat/wins.parquet",
        "metrics/q/seed__small.parquet",
        "metrics/q/best.parquet",
        *(f"grids/teachers/{name}.parquet" for name in ("metrics", "performance", "correlations", "lineage")),
        "grids/teachers/recommendation.yaml",
        "grids/teachers/report.html",
    }
    files = {str(p.relative_to(results)) for p in results.rglob("*") if p.is_file()}
    assert shapes <= files
    kinds = {shape.split("/")[0] for shape in shapes} | {"logs", "benchmarks", ".history", ".jobs"}
    assert {name.split("/")[0] for name in files} == kinds
