"""Fixtures: a small grid that was run once with a stand-in for the work of every job; each test gets its own copy."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from workspace import ENV, SMALL, Grid, copy_code


@pytest.fixture
def small(tmp_path, monkeypatch) -> dict:
    """The small grid's config, in a folder with its files."""
    shutil.copytree(SMALL, tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    return yaml.safe_load((SMALL / "config.yaml").read_text())


@pytest.fixture(scope="session")
def made(tmp_path_factory, worker_id) -> Path:
    """Made once for all of pytest's worker processes."""
    shared = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    folder = shared / "made"
    with FileLock(shared / "made.lock"):
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            copy_code(folder)
            Grid(folder).run()
            (folder / "done").touch()
    return folder


@pytest.fixture
def grid(made, tmp_path) -> Grid:
    """The made grid with its file times, as if nothing had happened since."""
    shutil.copytree(made, tmp_path / "grid", symlinks=True)
    return Grid(tmp_path / "grid")


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator:
    """A hub on the loopback interface (hub.Hub) that has all of hub_grid.CONFIG, and an empty cache."""
    import hub_grid

    with hub_grid.serving(tmp_path, monkeypatch) as hub:
        yield hub


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory) -> Iterator[None]:
    """Tests leave no caches in the home of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEACHERGRID_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def no_cluster(request, monkeypatch):
    """Other tests are the same on a machine with a SLURM, whose commands read this variable before any file.

    With an empty file they fail at once; for one that is missing, they wait a minute.
    """
    if not {"slurm", "slurm_long"} & {mark.name for mark in request.node.iter_markers()}:
        monkeypatch.setenv("SLURM_CONF", os.devnull)
        monkeypatch.setitem(ENV, "SLURM_CONF", os.devnull)
