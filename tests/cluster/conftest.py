"""One cluster for all tests of a session; one that runs already (cluster.py start) is used and left running."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import pyarrow as pa
import pytest
from slurm_cluster import Cluster, ready
from slurm_grids import Run, SlurmGrid, tables


def pytest_collection_modifyitems(items):
    """Cases are waited for last: the other tests run beside them."""
    items.sort(key=is_case)


def is_case(item) -> bool:
    return "started" in item.fixturenames and hasattr(item, "callspec")


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    if reason := ready():
        # a skip would read as a pass there
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    found = Cluster()
    running = found.pid("slurmctld")
    if not running:
        found.start()
    yield found
    if not running:
        found.stop()


@pytest.fixture(autouse=True)
def nothing_left(tmp_path):
    yield
    Run.end_left(tmp_path.resolve())


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> dict[str, pa.Table]:
    """The tables of the stand-in grid as one machine makes them, without a fault."""
    grid = SlurmGrid(Path(tmp_path_factory.mktemp("slurm"), "local"))
    grid.run()
    return tables(grid.folder)


@pytest.fixture(scope="session")
def started(request, cluster, tmp_path_factory) -> dict[Callable, Future]:
    """All chosen cases that disturb nothing but their own jobs, started at once: they mostly wait.

    A case is a function (cluster, folder of its own) that a test has as its parameter `case`.
    """
    cases = [item.callspec.params["case"] for item in request.session.items if is_case(item)]
    folder = tmp_path_factory.mktemp("cases").resolve()

    def alone(case: Callable) -> SlurmGrid | None:
        own = folder / case.__name__
        try:
            return case(cluster, own)
        finally:
            Run.end_left(own)

    with ThreadPoolExecutor(len(cases) or 1) as pool:
        yield {case: pool.submit(alone, case) for case in cases}


@pytest.fixture
def calm(started, cluster) -> Cluster:
    """The cluster when no case is under way: for a test that takes it down."""
    wait(started.values())
    return cluster
