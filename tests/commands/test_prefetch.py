"""prefetch against a hub on the loopback interface: what is needed, what is fetched, and what is said when it cannot be."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub_grid import CONFIG, WEIGHTS, got, planned
from teachergrid import units
from teachergrid.commands import prefetch
from teachergrid.errors import BadInput
from teachergrid.hub import folders, pins
from teachergrid.store.contents import Contents
from workspace import ENV, Grid, copy_code, setting

OWN_FOLDER = setting("models", "big", "repo", to="models/big")


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


@pytest.mark.parametrize(
    "command", [lambda: prefetch.absent(planned(OWN_FOLDER)), lambda: prefetch.fetch(planned(OWN_FOLDER), False, True)]
)
def test_a_model_folder_without_a_revision_is_shown_by_its_digest(hub, capsys, monkeypatch, command):
    """Both by --check and by a fetch, as a commit is shown."""
    monkeypatch.setenv("TEACHERGRID_CACHE", str(Path("cache").resolve()))
    Path("models/big").mkdir(parents=True)
    Path("models/big/model.safetensors").write_text("weights")
    Path("models/big/config.json").write_text('{"model_type": "llama"}')
    Path("models/big/tokenizer_config.json").write_text('{"chat_template": "{{ messages[0].content }}"}')
    command()
    digest = folders.digest("models/big", Contents("models/big"))
    assert f"models/big: folder {digest[:19]}, no `revision` in the config\n" in capsys.readouterr().out


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


def test_without_a_network(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:9: .*run this where there is a network"):
        prefetch.fetch(planned(), pin=True, dry=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BadInput, match="HF_HUB_OFFLINE is set"):
        prefetch.fetch(planned(), pin=True, dry=False)


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
