"""Contents decide what runs again, not times, names or records: exact job sets on the small grid."""

import ast
import os
import re
import shutil
from pathlib import Path

import pytest
from expected_jobs import ALL_REPORTS, EXAM_OF_MATH, LARGE
from teachergrid.cost.workload import MODEL_RULES
from workspace import ROOT, setting

RESPONSES = "results/responses/seed__large.parquet"


@pytest.mark.slow
def test_a_file_replaced_by_an_older_one_and_put_back(grid):
    """By mv, cp -p, rsync or unzip."""
    file, kept = grid.folder / "config/gsm.jsonl", grid.folder / "kept"
    shutil.copy2(file, kept)
    file.write_text('{"instruction": "other", "answer": "2"}\n')
    os.utime(file, (1000, 1000))
    assert grid.jobs() == EXAM_OF_MATH | ALL_REPORTS
    os.replace(kept, file)
    assert grid.jobs() == set()


@pytest.mark.slow
def test_a_data_file_of_another_name_with_the_same_content(grid):
    (grid.folder / "config/gsm.jsonl").rename(grid.folder / "config/renamed.jsonl")
    grid.edit(setting("tasks", "gsm", "prompts", to="./config/renamed.jsonl"))
    (grid.folder / "config/seed.jsonl").rename(grid.folder / "config/again.jsonl")
    grid.edit(setting("instructions", "seed", "source", to="config/again.jsonl"))
    assert grid.jobs() == set()


@pytest.mark.slow
def test_a_result_put_back_from_a_backup(grid):
    """Its record is of the newer file; what it holds itself decides."""
    shutil.copy2(grid.folder / RESPONSES, grid.folder / "backup")
    grid.edit(setting("teachers", "large", "sampling", "temperature", to=0.2))
    grid.run()
    os.replace(grid.folder / "backup", grid.folder / RESPONSES)
    assert "generate seed__large" in grid.jobs()
    grid.edit(setting("teachers", "large", "sampling", "temperature", to=1))
    assert "generate seed__large" not in grid.jobs()


@pytest.mark.slow
def test_other_weights_in_a_model_folder(grid):
    folder = grid.folder / "models/large"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer_config.json").write_text('{"chat_template": "{{ messages[0].content }}"}')
    (folder / "model.safetensors").write_text("one")
    grid.edit(setting("models", "large", to={"repo": "models/large"}))
    grid.run()
    (folder / "README.md").write_text("not loaded")
    os.utime(folder / "model.safetensors")
    assert grid.jobs() == set()
    before = os.stat(folder / "model.safetensors")
    (folder / "model.safetensors").write_text("two")
    os.utime(folder / "model.safetensors", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert grid.jobs() == LARGE


@pytest.mark.slow
def test_a_plan_writes_no_record(grid):
    (grid.folder / "config/gsm.jsonl").write_text('{"instruction": "other", "answer": "2"}\n')
    os.utime(grid.folder / "config/gsm.jsonl", (1000, 1000))
    records = {path: path.read_bytes() for path in (grid.folder / "results/.history").rglob("*") if path.is_file()}
    assert grid.jobs() == EXAM_OF_MATH | ALL_REPORTS
    assert records == {path: path.read_bytes() for path in records}


# --- the page that promises this


def promised() -> list[str]:
    """Return the tests that results/README.md names in its table of inputs."""
    text = (ROOT / "results/README.md").read_text()
    table = text[text.index("| input of a job |") :].split("\n\n")[0]
    rows = table.splitlines()[2:]
    assert len(rows) > 12
    return [re.search(r"`([\w/]+\.py::\w+)` \|$", row)[1] for row in rows]


@pytest.mark.parametrize("test", promised())
def test_each_row_of_the_table_of_inputs_has_its_test(test):
    file, name = test.split("::")
    tree = ast.parse(Path(ROOT, "tests", file).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.slow
def test_a_failing_rerun_keeps_what_was_there(grid):
    """And what it did replace can be taken back for nothing."""
    failing, other = (grid.folder / f"results/students/{base}__seed__large__sft__s1/student.json" for base in "qw")
    before = {path: path.read_bytes() for path in (failing, other)}
    (grid.folder / "dead").write_text(failing.parent.name)
    grid.edit(setting("recipes", "sft", "learning_rate", to=3))
    grid.run("--keep-going", ok=False)
    assert failing.read_bytes() == before[failing] and other.read_bytes() != before[other]
    kept = grid.folder / "results/.replaced"
    assert (kept / other.relative_to(grid.folder / "results")).read_bytes() == before[other]
    grid.edit(setting("recipes", "sft", "learning_rate", to=1))
    assert f"finetune {other.parent.name}" in grid.jobs() and f"finetune {failing.parent.name}" not in grid.jobs()
    shutil.copytree(kept, grid.folder / "results", dirs_exist_ok=True)
    assert not [job for job in grid.jobs() if job.split()[0] in MODEL_RULES]
