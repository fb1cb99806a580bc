"""Fixtures: a small grid that was run once with a stand-in for the work of every job; each test gets its own copy."""

import gc
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import made_grid
import pytest
import yaml
from workspace import ENV, SMALL, Grid, remove_copies

# the collector finds nothing in the millions of objects of libraries and test modules, which stay: it looks less often, and
# never at those
gc.set_threshold(10_000)


def pytest_collection_finish() -> None:
    gc.freeze()


def pytest_unconfigure() -> None:
    remove_copies()


@pytest.fixture
def small(tmp_path, monkeypatch) -> dict:
    """The small grid's config, in a folder with its files."""
    shutil.copytree(SMALL, tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    return yaml.safe_load((SMALL / "config.yaml").read_text())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of the made grid come last: it is made meanwhile."""
    items.sort(key=needs_grid)


def needs_grid(item: pytest.Item) -> bool:
    return "made" in getattr(item, "fixturenames", ())


def shared_folder(tmp_path_factory, worker_id: str) -> Path:
    """Return the folder of all of pytest's worker processes."""
    return tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent


@pytest.fixture(scope="session", autouse=True)
def making(request, tmp_path_factory, worker_id) -> Iterator[None]:
    """Make the grid in the background; a process of its own group, so that none of its jobs outlives the tests."""
    if worker_id not in ("master", "gw0") or not any(map(needs_grid, request.session.items)):
        yield
        return
    command = [sys.executable, "-m", "made_grid", shared_folder(tmp_path_factory, worker_id)]
    env = ENV | {"PYTHONPATH": str(Path(__file__).parent / "helpers")}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}  # an error shows again in the first test
    process = subprocess.Popen(command, env=env, start_new_session=True, **quiet)
    yield
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="session")
def made(tmp_path_factory, worker_id) -> Path:
    """Made once for all of pytest's worker processes."""
    return made_grid.make(shared_folder(tmp_path_factory, worker_id))


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
