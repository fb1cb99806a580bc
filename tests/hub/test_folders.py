"""A model folder without a revision: its digest changes with what is loaded from it, and with nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from teachergrid.errors import BadInput
from teachergrid.hub import folders
from teachergrid.store import contents
from teachergrid.store.contents import Contents
from workspace import ENV, ROOT

LOADED = {
    "model-00001-of-00002.safetensors": "weights 1",
    "model-00002-of-00002.safetensors": "weights 2",
    "model.safetensors.index.json": "{}",
    "config.json": "{}",
    "adapter_config.json": "{}",
    "tokenizer.json": "{}",
    "tokenizer_config.json": "{}",
    "chat_template.jinja": "{{ messages }}",
    "additional_chat_templates/tool_use.jinja": "{{ tools }}",
}
NOT_LOADED = {
    "README.md": "words",
    "consolidated.safetensors": "the weights for another program",
    "pytorch_model.bin": "a copy of the weights",
    "training_args.bin": "",
    ".model.safetensors.part": "a copy in progress",
    ".git/config.json": "{}",
    "onnx/model.safetensors": "",
}


@pytest.fixture
def model(tmp_path, monkeypatch) -> Path:
    """A model folder, with an empty cache of digests."""
    monkeypatch.setenv("TEACHERGRID_CACHE", str(tmp_path / "cache"))
    for name, text in {**LOADED, **NOT_LOADED}.items():
        path = tmp_path / "models/m" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "models/m"


def digest(folder: Path) -> str:
    return folders.digest(str(folder), Contents(folder))


@pytest.mark.parametrize("name", LOADED)
def test_every_file_that_is_loaded_counts_by_name_and_content(model, name):
    before = digest(model)
    assert before.startswith("sha256:") and len(before) == 71
    (model / name).write_text("other")
    changed = digest(model)
    (model / name).unlink()
    assert len({before, changed, digest(model)}) == 3


@pytest.mark.parametrize("name", NOT_LOADED)
def test_no_other_file_counts(model, name):
    before = digest(model)
    (model / name).write_text("other")
    assert digest(model) == before
    (model / name).unlink()
    assert digest(model) == before


def test_where_it_lies_does_not_count(model, tmp_path):
    (tmp_path / "link").symlink_to(model)
    copy = shutil.copytree(model, tmp_path / "copy")
    assert digest(tmp_path / "link") == digest(copy) == digest(model)
    # files that are links, as in the cache of a hub
    (copy / "config.json").rename(tmp_path / "blob")
    (copy / "config.json").symlink_to(tmp_path / "blob")
    assert digest(copy) == digest(model)


def test_pickled_weights_count_where_they_are_loaded(model):
    for path in model.glob("*.safetensors*"):
        path.unlink()
    before = digest(model)
    (model / "pytorch_model.bin").write_text("other weights")
    assert digest(model) != before


def test_no_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    assert digest(tmp_path / "none") == digest(tmp_path / "file") == contents.MISSING


def test_weights_put_back_by_time_and_size_are_seen(model):
    """As by `mv`, `cp -p` or rsync: the same name, size and time of modification."""
    weights = model / "model-00001-of-00002.safetensors"
    os.utime(weights, (1, 1))
    before, stat = digest(model), weights.stat()
    other = model.parent / "other"
    other.write_text("weights 3")
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(weights)
    assert digest(model) != before


# --- what a job loads


def test_only_a_folder_without_a_revision_has_a_digest(model, monkeypatch):
    monkeypatch.chdir(model.parents[1])
    folder = {"repo": "models/m", "revision": None}
    assert folders.of_job({"model": folder, "base": {}}) == {"models/m": digest(model)}
    assert folders.of_job({"model": folder, "teacher": {"engine": "transformers"}}) == {"models/m": digest(model)}
    without = [
        {"model": folder | {"revision": "sha256-1"}},
        {"model": {"repo": "org/name", "revision": "a" * 40}},
        {"model": folder, "teacher": {"engine": "existing"}},  # its responses are read from a file
        {"models": {"m": folder}, "metrics": {}},
    ]
    assert [folders.of_job(settings) for settings in without] == [{}] * 4


def test_large_weights_are_read_once(model, monkeypatch):
    """Two jobs, then a third after one file changed: each file is read once for each of its states."""
    for path in model.rglob("*"):
        os.utime(path, (1, 1))
    monkeypatch.setattr(contents, "YOUNG_NS", -(10**18))
    read = []
    whole = contents.hashlib.file_digest
    monkeypatch.setattr(contents.hashlib, "file_digest", lambda file, kind: read.append(file.name) or whole(file, kind))
    settings = {"model": {"repo": str(model), "revision": None}}
    first = folders.of_job(settings)
    assert len(read) == len(set(read)) == len(LOADED) and folders.of_job(settings) == first
    assert len(read) == len(LOADED)
    (model / "config.json").write_text('{"x": 1}')
    assert folders.of_job(settings) != first and read[len(LOADED) :] == [str(model / "config.json")]


def test_a_file_that_may_not_be_read_is_named(model, monkeypatch):
    def refuse(folder, _contents):
        raise PermissionError(13, "Permission denied", f"{folder}/config.json")

    monkeypatch.setattr(folders, "digest", refuse)
    with pytest.raises(BadInput, match=r"m/config\.json: permission denied; ask its owner .*chmod -R g\+rX.*umask 002"):
        folders.of_job({"model": {"repo": str(model), "revision": None}})


def test_as_people_see_it(model, monkeypatch):
    models = [{"repo": str(model), "revision": None}, {"repo": "org/name", "revision": None}]
    said = f"folder {digest(model)[:19]}"
    assert folders.described(models) == {str(model): said}
    monkeypatch.setattr(folders, "QUICK_BYTES", 1)
    monkeypatch.setattr(contents, "YOUNG_NS", -(10**18))
    assert folders.described(models) == {str(model): "folder not yet read"}
    assert folders.described(models, quick=False) == {str(model): said}
    assert folders.described(models) == {str(model): said}, "what is remembered costs nothing"


# --- in a job

JOB = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
from teachergrid.job import context
from teachergrid.store import unfinished

spec = json.dumps({"model": {"repo": "models/m"}, "reference": {}})
cell = SimpleNamespace(
    rule="gate", log=["results/logs/answer/a/s.log"], output=["results/answers/a/s.json"], input=sys.argv[2:], resources={},
    wildcards=["a", "s"], params=SimpleNamespace(spec=spec),
)
with context.running(cell) as (settings, made_from):
    work = unfinished.folder(cell.output[0], made_from)
    exec(sys.argv[1])
    print("work:", *sorted(path.name for path in work.iterdir()))
    (work / "shard").write_text("rows")
    Path("results/answers/a").mkdir(parents=True, exist_ok=True)
    Path("results/answers/a/s.json").write_text(json.dumps({"origin": made_from}))
"""


def job(folder: Path, line: str = "pass", *inputs: str) -> tuple[int, str, dict]:
    """Run a job; returns its exit code, its log, and the origin of its output."""
    environment = {**ENV, "PYTHONPATH": str(ROOT / "workflow/scripts"), "TEACHERGRID_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", JOB, line, *inputs], cwd=folder, env=environment, capture_output=True)
    output = folder / "results/answers/a/s.json"
    made_from = json.loads(output.read_text())["origin"] if output.exists() else {}
    return done.returncode, (folder / "results/logs/answer/a/s.log").read_text(), made_from


def test_work_of_other_weights_is_never_resumed(model):
    folder = model.parents[1]
    code, log, made_from = job(folder)
    assert (code, made_from["folders"]) == (0, {"models/m": digest(model)}) and "work:\n" in log
    assert "work: shard\n" in job(folder)[1]
    (model / "model-00001-of-00002.safetensors").write_text("other")
    _, log, made_anew = job(folder)
    assert "work:\n" in log and made_anew["folders"] != made_from["folders"]


def test_the_folder_of_a_students_base_does_not_matter(model):
    folder = model.parents[1]
    student = folder / "results/students/a/student.json"
    student.parent.mkdir(parents=True)
    student.write_text("{}")
    code, _, made_from = job(folder, "pass", "results/students/a/student.json")
    assert code == 0 and set(made_from) == {"rule", "spec", "inputs"}


def test_weights_that_change_while_a_job_runs_make_it_fail(model):
    folder = model.parents[1]
    code, log, _ = job(folder, "Path('models/m/config.json').write_text('{\"changed\": 1}')")
    assert code == 1 and "ERROR: models/m: files of this model folder were changed while the job ran" in log
    assert not [*folder.rglob("shard")]
