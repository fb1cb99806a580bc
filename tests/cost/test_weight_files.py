"""Weights are freed after their last answer and never made again for it; a new answer says what that costs."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from small_demo import small_demo
from teachergrid.cost import weight_files
from teachergrid.errors import BadInput
from teachergrid.grid import cells as grid_cells
from teachergrid.grid import config
from workspace import ROOT, Grid, file_of_size, jobs, setting

STUDENTS = "{q__seed__small,q__seed__large,q__best,q__evolved__small,w__seed__small,w__seed__large,w__best}__sft__s1"
NOTHING_KEPT = setting("recipes", "sft", "keep", to="none")


@pytest.fixture
def freeing(grid) -> Grid:
    """The made grid with weights in it and the real `free`, in a config that keeps none."""
    shutil.copy2(ROOT / "workflow/scripts/free.py", grid.folder / "workflow/scripts/free.py")
    for student in (grid.folder / "results/students").iterdir():
        file_of_size(student / "weights/model.safetensors", 1000)
    grid.edit(NOTHING_KEPT)
    return grid


def cells_of(made: Grid, monkeypatch) -> grid_cells.Cells:
    monkeypatch.chdir(made.folder)
    return grid_cells.Cells(config.checked(yaml.safe_load(Path("config/config.yaml").read_text())))


def test_only_where_less_is_kept_and_nothing_is_trained(freeing):
    assert freeing.jobs() == jobs(f"free {STUDENTS}")
    # a report over what exists must not make what died
    assert freeing.jobs("--config", "partial=True") == set()


@pytest.mark.slow
def test_free_and_never_train_for_it(freeing):
    made = {path: path.read_bytes() for path in freeing.folder.glob("results/students/*/student.json")}
    freeing.run()
    assert not [*freeing.folder.glob("results/students/*/weights")]
    assert made == {path: path.read_bytes() for path in made}
    assert freeing.jobs() == set()
    # its record lost, it is known again
    shutil.rmtree(freeing.folder / "results/.history")
    assert freeing.jobs() == set()


@pytest.mark.slow
def test_freed_after_the_last_answer(freeing):
    """Also when only some answers are missing: no weights go before."""
    student = "q__seed__small__sft__s1"
    answers = freeing.folder / f"results/answers/{student}/math.parquet"
    answers.unlink()
    (freeing.folder / "workflow/scripts/answer.py").write_text(
        "from pathlib import Path\nassert list(Path(snakemake.input.student[0]).parent.glob('weights/*'))\n"
        + (freeing.folder / "workflow/scripts/answer.py").read_text()
    )
    assert freeing.jobs() >= jobs(f"answer {student}/math", f"free {STUDENTS}")
    freeing.run()
    assert answers.exists() and not [*freeing.folder.glob("results/students/*/weights")]


@pytest.mark.slow
def test_a_dead_answer_keeps_the_weights(freeing):
    student = "q__seed__small__sft__s1"
    (freeing.folder / f"results/answers/{student}/math.parquet").unlink()
    (freeing.folder / "workflow/scripts/answer.py").write_text("raise SystemExit(1)\n")
    freeing.run("--keep-going", ok=False)
    assert [path.parent.name for path in freeing.folder.glob("results/students/*/weights")] == [student]


@pytest.mark.slow
def test_a_new_suite_on_freed_students(freeing, monkeypatch):
    """The plan says what training them again costs; done, it makes the same students, and old answers stay."""
    freeing.run()
    freeing.edit(setting("suites", "new", to={"tasks": ["gsm"]}))
    freeing.edit(setting("grids", "instructions", "suites", to=["math", "new"]))
    small, evolved = "q__seed__small__sft__s1", "q__evolved__small__sft__s1"
    exams = jobs(f"{{answer,verify}} {{{small},{evolved}}}/new", "{answer,verify} q-raw/new")
    expected = exams | jobs(f"free {{{small},{evolved}}}", "{correlate,report} instructions")
    planned = freeing.plan()
    assert {job["job"] for job in planned} == expected
    cells = cells_of(freeing, monkeypatch)
    needed = weight_files.freed_but_needed(planned, cells)
    assert [student for student, *_ in needed] == [evolved, small]
    # the plan says what the run says, with what it costs
    document = json.loads(freeing.call("teachergrid", "plan", "--json").stdout)
    blocked = {job["job"] for job in document["jobs"] if job["blocked"]}
    assert blocked == expected - jobs("{answer,verify} q-raw/new")
    assert f"`run` will not start: {weight_files.refusal(needed)}" in document["problems"]
    refused = freeing.call("teachergrid", "run")
    assert refused.returncode == 2 and weight_files.refusal(needed) in refused.stderr
    made = {name: Path(f"results/students/{name}/student.json").read_bytes() for name in (small, evolved)}
    targets = [f"results/students/{name}/student.json" for name in made]
    assert freeing.jobs("--force", *targets) == jobs(f"finetune {{{small},{evolved}}}")
    # the command, by Snakemake itself
    freeing.run("--force", *targets)
    for name in made:
        file_of_size(Path(f"results/students/{name}/weights/model.safetensors"), 1000)
    assert made == {name: Path(f"results/students/{name}/student.json").read_bytes() for name in made}
    assert freeing.jobs() == expected
    assert weight_files.freed_but_needed(freeing.plan(), cells) == []


def test_what_training_again_costs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = grid_cells.Cells.__new__(grid_cells.Cells)
    cells.rows = {"finetune": {name: {"gpus": 4} for name in ("there", "freed", "unknown", "planned")}}
    file_of_size(Path("results/students/there/weights/model.safetensors"), 1)
    Path("results/benchmarks/finetune").mkdir(parents=True)
    Path("results/benchmarks/finetune/freed.jsonl").write_text('{"s": 1800.0}\n')
    needed = [
        *(f"answer {name}/math" for name in ("there", "freed", "unknown", "planned", "reference")),
        "answer freed/b",
    ]
    planned = [{"job": job} for job in [*needed, "finetune planned", "report teachers"]]
    command = "teachergrid run --cores 2 --force results/students/freed/student.json"
    freed = weight_files.freed_but_needed(planned, cells)
    assert freed == [("freed", 2.0), ("unknown", None)]
    assert weight_files.training_command(["freed"], ["--cores", "2"]) == command
    said = weight_files.refusal(freed, ["--cores", "2"])
    assert "answers of 2 students are to be written" in said and "about 2 GPU-hours (1 of them unknown)" in said
    assert f"{command} results/students/unknown/student.json (then run again)" in said


@pytest.mark.parametrize(
    ("keep", "left"),
    [("none", []), ("adapter", ["adapter/adapter_model.safetensors", "config.json", "tokenizer.json"])],
)
def test_what_stays(tmp_path, keep, left):
    weights = tmp_path / "weights"
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
    small = ["adapter/adapter_model.safetensors", "config.json", "tokenizer.json"]
    for name in [*shards, "made", *small]:
        file_of_size(weights / name, 100)
    student = tmp_path / "student.json"
    assert weight_files.release(student, keep) == 700 - 100 * len(left)
    assert sorted(str(p.relative_to(weights)) for p in weights.rglob("*") if p.is_file()) == left
    assert weight_files.folder(student) == (weights if left else None)
    assert weight_files.release(student, keep) == 0  # killed after its work and started again


def test_no_adapter_to_keep(tmp_path):
    file_of_size(tmp_path / "weights/model.safetensors", 10)
    with pytest.raises(BadInput, match="no adapter to keep; train the student again"):
        weight_files.release(tmp_path / "student.json", "adapter")
    assert weight_files.folder(tmp_path / "student.json")


def test_an_adapter_needs_lora(small):
    small["recipes"]["sft"]["keep"] = "adapter"
    with pytest.raises(BadInput, match=r"config.recipes.sft.keep: 'adapter' needs 'lora'"):
        config.checked(small)


@pytest.mark.slow
def test_train_free_and_train_again(tmp_path):
    """For real: freed weights are missed by a new suite, and come back byte for byte."""
    demo = small_demo(tmp_path / "demo")
    demo.edit(NOTHING_KEPT)
    demo.edit(
        setting(
            "teachers",
            to={"concise-s": yaml.safe_load((demo.folder / "config/config.yaml").read_text())["teachers"]["concise-s"]},
        )
    )
    student = "results/students/bs__pool__concise-s__sft__s1/student.json"
    demo.run("--cores", "2")
    before = (demo.folder / student).read_bytes()
    assert weight_files.folder(demo.folder / student) is None
    demo.edit(setting("suites", "new", to={"tasks": ["problems"], "batch": 128, "shard": 512}))
    demo.edit(setting("grids", "teachers", "suites", to=["miniworld", "new"]))
    demo.run("--cores", "2", "--keep-going", ok=False)
    log = demo.folder / "results/logs/answer/bs__pool__concise-s__sft__s1/new.log"
    last = log.read_text().splitlines()[-2:]
    assert re.search(r"^ERROR: answers of 1 students .* about [\d.e-]+ GPU-hours and gives the same weights", last[-1])
    assert f"teachergrid run --force {student}" in last[-1]
    demo.run("--cores", "2", "--force", student)
    assert (demo.folder / student).read_bytes() == before
    done = demo.jobs()
    assert "answer bs__pool__concise-s__sft__s1/new" in done
    assert "answer bs__pool__concise-s__sft__s1/miniworld" not in done
    demo.run("--cores", "2")
    assert weight_files.folder(demo.folder / student) is None
