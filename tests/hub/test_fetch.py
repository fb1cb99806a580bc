"""Fetching from a hub on the loopback interface: each failure has its remedy, and what was fetched is enough."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hub_grid import CONFIG, USELESS, WEIGHTS, got, planned
from teachergrid.commands import prefetch
from teachergrid.data import loading
from teachergrid.errors import BadInput
from teachergrid.grid.config import checked
from workspace import ENV, ROOT, setting


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
        "org/small: holds no model that transformers can load (config.json, and safetensors or pytorch_model)",
    ]
    assert hub.fetched() == []


def test_a_gated_model_in_the_cache_needs_no_licence_again(hub):
    prefetch.fetch(planned(), pin=True, dry=False)
    hub.repos["model", "org/big"].gated = True
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
def test_a_prefetched_model_loads_without_a_network(hub, tmp_path):
    """What is fetched is enough: the same logits from the cache of the hub as from the folder."""
    source = ROOT / "workflow/miniworld/models/bs"
    files = {path.name: path.read_bytes() for path in source.iterdir() if path.is_file()}
    repo = hub.add("org/small", files | USELESS)
    prefetch.fetch(planned(setting("grids", "all", "teachers", to=["small"])), pin=True, dry=False)
    program = f"""
import torch
from teachergrid.models import loading as models
talk = {{"template": "own", "template_args": {{}}}}
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
