"""prefetch against a hub on the loopback interface: what is needed, what is fetched, and what is said when it cannot be."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import hub as stand_in
import pytest
import yaml
from teachergrid import units
from teachergrid.commands import prefetch
from teachergrid.errors import BadInput
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.hub import model_files, pins
from teachergrid.instructions import loading
from workspace import ENV, ROOT, Grid, copy_code, setting

WEIGHTS = {"config.json": b"{}", "model.safetensors": b"w" * 3000, "tokenizer.json": b"{}", "tokenizer.model": b"t"}
USELESS = {
    "pytorch_model.bin": b"w" * 3000,
    "consolidated.safetensors": b"w" * 3000,
    "original/consolidated.00.pth": b"w" * 3000,
    "onnx/model.safetensors": b"w" * 9,
    "README.md": b"#",
    "modeling_own.py": b"#",
    "tf_model.h5": b"w",
}
CONFIG = """
models:
  small: {repo: org/small}
  big: {repo: org/big}
  own: {repo: org/own, trust_remote_code: true}
  unused: {repo: org/unused}
instructions:
  set: {source: "hub:org/set", sample: 2}
  asked: {source: "hub:org/many/some/asked.jsonl", sample: 1}
teachers:
  small: {model: small}
  big: {model: big}
  there: {model: unused, engine: existing, source: there.jsonl}
bases:
  own: {model: own, template: own}
recipes: {sft: {}}
tasks: {exam: {instructions: asked, checker: {}}}
suites: {exam: {tasks: [exam]}}
metrics: {nll: {formula: nll_mean}}
grids:
  all:
    compare: teacher
    instructions: [set]
    teachers: all
    bases: all
    recipes: [sft]
    seeds: [1]
    suites: [exam]
    performance: [exam/verify]
"""


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub that has all of CONFIG, and an empty cache."""
    from huggingface_hub import constants

    monkeypatch.chdir(tmp_path)
    Path("config").mkdir()
    Path("there.jsonl").write_text('{"instruction": "a", "response": "b"}\n')
    with stand_in.running() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        # in a folder with a dot, as the usual cache
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / ".cache/hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        hub.add("org/small", WEIGHTS | USELESS)
        hub.add(
            "org/big", {"model-1.safetensors": b"1" * 5000, "model-2.safetensors": b"2" * 5000, "config.json": b"{}"}
        )
        hub.add(
            "org/own",
            {"config.json": b"{}", "pytorch_model.bin": b"o" * 70, "modeling_own.py": b"#", "a.tiktoken": b""},
        )
        hub.add("org/unused", WEIGHTS)
        rows = '{"instruction": "first"}\n{"instruction": "second"}\n'
        hub.add("org/set", {"data/train.jsonl": rows.encode(), "README.md": b"# A set"}, kind="dataset")
        many = {"some/asked.jsonl": b'{"prompt": "why"}\n', "some/other.jsonl": b'{"x": 1}', "own.py": b"#"}
        hub.add("org/many", many, kind="dataset")
        yield hub


def planned(change=None) -> list:
    """Return jobs as planning.graph.planned does, as far as they are looked at: all of the grid."""
    config = yaml.safe_load(CONFIG)
    if change:
        change(config)
    config = checked(config)
    cells = Cells(config)
    rows = [row for rows in cells.rows.values() for row in rows.values()]
    rule = SimpleNamespace(workflow=SimpleNamespace(config=config, globals={"cells": cells}))
    return [SimpleNamespace(params=SimpleNamespace(spec=row["spec"]), rule=rule) for row in rows]


def got(name: str, kind: str = "models") -> set[str]:
    snapshots = Path(".cache/hub", f"{kind}--{name.replace('/', '--')}", "snapshots")
    return {"/".join(path.relative_to(snapshots).parts[1:]) for path in snapshots.rglob("*") if path.is_file()}


def test_pins_and_fetches_only_what_jobs_load(hub, capsys):
    assert prefetch.fetch(planned(), pin=True, dry=False) == []
    assert got("org/small") == set(WEIGHTS)
    assert got("org/big") == {"model-1.safetensors", "model-2.safetensors", "config.json"}
    assert got("org/own") == {"config.json", "pytorch_model.bin", "modeling_own.py", "a.tiktoken"}
    assert got("org/set", "datasets") == {"data/train.jsonl", "README.md"}
    assert got("org/many", "datasets") == {"some/asked.jsonl"}
    assert got("org/unused") == set(), "responses that exist need no model"
    pinned = pins.read()
    assert set(pinned["model"]) == {"org/small", "org/big", "org/own", "org/unused"}, "all of the config is pinned"
    assert pinned["dataset"]["org/set"] == hub.repos["dataset", "org/set"].commit
    assert "[1 of 5] datasets/org/many" in capsys.readouterr().out
    # a second time: no file is asked for, and without a network nothing is missing
    hub.asked.clear()
    assert prefetch.fetch(planned(), pin=False, dry=False) == [] and hub.fetched() == []
    hub.shutdown()
    assert prefetch.absent(planned()) == []


def test_a_dry_run_says_sizes_and_writes_nothing(hub, capsys):
    assert prefetch.fetch(planned(), pin=True, dry=True) == []
    said = capsys.readouterr().out
    assert f"org/big at {hub.repos['model', 'org/big'].commit[:12]}: 0.0 GB of 0.0 GB to fetch" in said
    assert not pins.LOCK.exists() and not Path(".cache").exists() and hub.fetched() == []
    assert units.gigabytes(145_400_000_000) == "145.4 GB"


def test_without_pins_the_remedy_is_said(hub):
    assert prefetch.fetch(planned(), pin=False, dry=False) == [
        f"{name}: no commit is stated; add --pin, which writes it into config/revisions.lock"
        for name in ("datasets/org/many", "datasets/org/set", "org/big", "org/own", "org/small")
    ]
    assert hub.asked == []
    assert prefetch.absent(planned())[0] == f"datasets/org/many: no commit is stated; {pins.REMEDY}"


def test_a_branch_is_pinned_as_it_is_now(hub):
    hub.repos["model", "org/big"].refs.add("v2")
    change = setting("models", "big", "revision", to="v2")
    assert prefetch.fetch(planned(change), pin=True, dry=False) == []
    assert pins.read()["model"]["org/big@v2"] == hub.repos["model", "org/big"].commit
    assert prefetch.absent(planned(change)) == []


def test_a_pin_is_not_moved(hub):
    prefetch.fetch(planned(), pin=True, dry=True)
    pins.add({"model": {"org/big": "f" * 40}})
    problems = prefetch.fetch(planned(), pin=True, dry=False)
    assert pins.read()["model"]["org/big"] == "f" * 40
    assert problems == [
        f"org/big: the hub has no '{'f' * 40}'; fix `revision`, or remove its line from config/revisions.lock and pin again"
    ]
    assert got("org/small") == set(WEIGHTS), "the rest is fetched"


def test_another_commit_than_asked_for_is_refused(hub):
    hub.repos["model", "org/big"].says = "e" * 40
    change = setting("models", "big", "revision", to=hub.repos["model", "org/big"].commit)
    problems = prefetch.fetch(planned(change), pin=True, dry=False)
    assert len(problems) == 1 and problems[0].startswith(f"org/big: the hub has commit {'e' * 40} in place of")
    assert got("org/big") == set()


def test_gated_and_missing_are_named_before_anything_is_fetched(hub):
    hub.repos["model", "org/big"].gated = True
    del hub.repos["model", "org/own"]
    hub.repos["dataset", "org/many"].files.pop("some/asked.jsonl")
    hub.add("org/small", USELESS)
    problems = prefetch.fetch(planned(), pin=True, dry=True)
    token = "the account whose token HF_TOKEN holds (or `hf auth login`)"
    assert sorted(problems) == [
        "datasets/org/many: there is no file 'some/asked.jsonl' in it; fix `source`",
        f"org/big: gated; accept its licence at {hub.url}/org/big with {token}",
        f"org/own: not on the hub, or private; fix the name, or read it with {token}",
        "org/small: no model that transformers loads (config.json, and safetensors or pytorch_model)",
    ]
    assert hub.fetched() == []


def test_a_gated_model_in_the_cache_needs_no_licence_again(hub):
    prefetch.fetch(planned(), pin=True, dry=False)
    hub.repos["model", "org/big"].gated = True
    assert prefetch.fetch(planned(), pin=False, dry=False) == []


def test_a_disk_too_small_is_said_first(hub, monkeypatch):
    usage = SimpleNamespace(free=12_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(BadInput, match=r"hub: 0\.0 GB are needed and 0\.0 GB free; make room there.*HF_HOME"):
        prefetch.fetch(planned(), pin=True, dry=False)
    assert hub.fetched() == []
    # 10,002 bytes are of this teacher: once they are there, the rest needs less
    usage.free = 10**12
    prefetch.fetch(planned(setting("grids", "all", "teachers", to=["big"])), pin=False, dry=False)
    usage.free = 12_000
    assert prefetch.fetch(planned(), pin=False, dry=False) == []


def test_a_broken_line_is_taken_up_again(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the library's pause before it goes on
    hub.repos["model", "org/big"].drop["model-2.safetensors"] = 2000
    assert prefetch.fetch(planned(), pin=True, dry=False) == []
    ranges = [part for method, path, part in hub.asked if method == "GET" and path.endswith("model-2.safetensors")]
    assert ranges == [None, "bytes=2000-"], "the rest alone"
    [path] = Path(".cache/hub/models--org--big").glob("snapshots/*/model-2.safetensors")
    assert path.read_bytes() == b"2" * 5000


def test_what_was_fetched_before_a_failure_stays(hub, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    big = hub.repos["model", "org/big"]
    big.dead = {"model-2.safetensors"}
    [problem] = prefetch.fetch(planned(), pin=True, dry=False)
    assert problem.startswith((f"{hub.url}: ", "org/big: ")) and "model-1" not in problem
    assert got("org/small") == set(WEIGHTS), "the others are fetched"
    [said] = prefetch.absent(planned())
    assert "of 3 files are missing, such as model-2.safetensors; run `teachergrid prefetch`" in said
    stale = next(Path(".cache/hub/models--org--big").glob("blobs")) / "x.1.incomplete"
    stale.write_text("left by a kill")
    os.utime(stale, (0, 0))
    big.dead = set()
    hub.asked.clear()
    assert prefetch.fetch(planned(), pin=False, dry=False) == []
    assert "model-2.safetensors" in hub.fetched() and not {"model.safetensors", "asked.jsonl"} & set(hub.fetched())
    assert not stale.exists()


def test_without_a_network(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:9: .*run this where there is a network"):
        prefetch.fetch(planned(), pin=True, dry=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BadInput, match="HF_HUB_OFFLINE is set"):
        prefetch.fetch(planned(), pin=True, dry=False)


@pytest.mark.parametrize("harm", ["lost", "cut", "unknown"])
def test_check_sees_what_is_not_whole(hub, harm):
    prefetch.fetch(planned(), pin=True, dry=False)
    folder = Path(".cache/hub/models--org--small")
    [path] = folder.glob("snapshots/*/model.safetensors")
    if harm == "lost":
        path.unlink()
    elif harm == "cut":
        path.resolve().write_bytes(b"w" * 2999)
    else:
        shutil.rmtree(folder)
        # the library keeps lists of files in memory too: another process has none
        from huggingface_hub import _tree_cache

        _tree_cache._IN_MEMORY_TREE_CACHE.clear()
    [said] = prefetch.absent(planned())
    assert said.startswith("org/small at ") and said.endswith("run `teachergrid prefetch` where there is a network")
    assert ("not in the cache" if harm == "unknown" else "1 of 4 files are missing, such as model.safetensors") in said
    assert prefetch.fetch(planned(), pin=False, dry=False) == [] == prefetch.absent(planned())


def test_a_folder_is_checked_by_its_digest(hub):
    Path("own").mkdir()
    Path("own/model.safetensors").write_text("weights")
    right = setting("models", "big", to={"repo": "./own", "revision": model_files.digest("own")})
    assert prefetch.fetch(planned(right), pin=True, dry=False) == [] == prefetch.absent(planned(right))
    Path("own/model.safetensors").write_text("other weights")
    [said] = prefetch.fetch(planned(right), pin=True, dry=True)
    assert said.startswith("./own: the folder's revision is sha256-")
    shutil.rmtree("own")
    [said] = prefetch.absent(planned(right))
    assert said.startswith("./own: no such folder")


def test_instructions_of_the_hub_are_read_without_a_network(hub, monkeypatch):
    from huggingface_hub import constants

    jobs = planned()
    prefetch.fetch(jobs, pin=True, dry=False)
    config = checked(yaml.safe_load(CONFIG))
    hub.shutdown()
    hub.server_close()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    found = loading.load(None, config["instructions"]["set"], "set")
    assert [turns[0]["content"] for turns in found["messages"].to_pylist()] == ["first", "second"]
    asked = loading.load(None, config["instructions"]["asked"], "asked")
    assert asked["messages"][0].as_py()[0]["content"] == "why"
    shutil.rmtree(".cache")
    with pytest.raises(BadInput, match=r"hub:org/set, revision .*run `teachergrid prefetch` where there is one"):
        loading.load(None, config["instructions"]["set"], "set")


@pytest.mark.slow
def test_the_command(hub, tmp_path):
    """Through Snakemake's own options, in a process of its own; no token is ever said."""
    copy_code(tmp_path / "grid")
    grid = Grid(tmp_path / "grid")
    (grid.folder / "config/config.yaml").write_text(CONFIG)
    shutil.copy2("there.jsonl", grid.folder)
    hub.repos["model", "org/big"].gated = True
    secret = "hf_" + "s" * 34
    env = ENV | {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": secret}

    def call(*argv, **more):
        return subprocess.run(
            [sys.executable, "-m", "teachergrid", "prefetch", *argv], cwd=grid.folder, env=env | more, capture_output=True, text=True
        )  # fmt: skip

    done = call("--pin", "--config", "seed=2")
    assert done.returncode == 1, done.stderr
    assert "MISSING org/big: gated; accept its licence" in done.stderr and "6 commits written" in done.stdout
    assert secret not in done.stderr + done.stdout + json.dumps(hub.asked)
    done = call("--check", HF_HUB_OFFLINE="1")
    assert done.returncode == 1 and done.stderr.count("MISSING") == 1 and "org/big at" in done.stderr


@pytest.mark.slow
def test_a_prefetched_model_loads_without_a_network(hub, tmp_path):
    """What is fetched is enough: the same logits from the cache of the hub as from the folder."""
    source = ROOT / "workflow/miniworld/models/bs"
    files = {path.name: path.read_bytes() for path in source.iterdir() if path.is_file()}
    repo = hub.add("org/small", files | USELESS)
    prefetch.fetch(planned(setting("grids", "all", "teachers", to=["small"])), pin=True, dry=False)
    program = f"""
import torch
from teachergrid.models import loading as models
talk = {{"template": "own"}}
entry = {{"revision": "{repo.commit}", "dtype": "float32", "attention": "sdpa", "trust_remote_code": False}}
found = []
for place in ("org/small", "{source}"):
    model = entry | {{"repo": place}} | ({{"revision": None}} if place != "org/small" else {{}})
    tokenizer = models.load_tokenizer(model, talk)
    text = tokenizer.apply_chat_template([{{"role": "user", "content": "hello"}}], tokenize=False)
    found.append(models.load_model(model)(**tokenizer(text, return_tensors="pt")).logits)
assert torch.equal(*found)
"""
    hub.shutdown()
    env = ENV | {
        "PYTHONPATH": str(ROOT / "workflow/scripts"),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_CACHE": str(tmp_path / ".cache/hub"),
    }
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
