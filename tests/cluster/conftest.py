"""Two clusters for all tests of a session; one that runs already (slurm_cluster.py start) is used and left running."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import pyarrow as pa
import pytest
from slurm_cluster import Cluster, given_up, ready
from slurm_grids import Run, SlurmGrid, tables
from slurm_sites import HPC1, PRETENDED, Site

AT_ONCE = 6  # cases; more of them are not done sooner on two cores, and each is late


def pytest_collection_modifyitems(items):
    """Cases are waited for last: the other tests run beside them."""
    items.sort(key=is_case)


def is_case(item) -> bool:
    return "started" in item.fixturenames and hasattr(item, "callspec")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    yield from running(PRETENDED)


@pytest.fixture(scope="session")
def second() -> Iterator[Cluster]:
    """One with other names, and users of its own."""
    yield from running(HPC1)


def running(site: Site) -> Iterator[Cluster]:
    if reason := ready():
        # a skip would read as a pass there
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    found = Cluster(site)
    was_there = found.pid("slurmctld")
    # as Ctrl-C does: what has begun is ended
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if not was_there:
            found.start()
        yield found
    finally:
        if not was_there:
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
def started(request, tmp_path_factory) -> Iterator[dict[Callable, Future]]:
    """All chosen cases that disturb nothing but their own jobs, several at once: they often wait.

    A case is a function (cluster, folder of its own) that a test has as its parameter `case`; a test that names the fixture
    `second` means that cluster.
    """
    chosen = [item for item in request.session.items if is_case(item)]
    wanted = {item.callspec.params["case"]: "second" if "second" in item.fixturenames else "cluster" for item in chosen}
    clusters = {name: request.getfixturevalue(name) for name in sorted({*wanted.values()})}
    # pytest's own folder is closed for the users of the second one
    folders = {"cluster": tmp_path_factory.mktemp("cases").resolve(), "second": Path(HPC1.folder, "grids")}

    def alone(case: Callable) -> SlurmGrid | None:
        own = folders[wanted[case]] / case.__name__
        try:
            return case(clusters[wanted[case]], own)
        finally:
            Run.end_left(own)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            yield {case: pool.submit(alone, case) for case in wanted}
        finally:
            # where the session ends early: after an interrupt, or with -x
            given_up.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for folder in folders.values():
                Run.end_left(folder)
    given_up.clear()


@pytest.fixture
def calm(started, cluster) -> Cluster:
    """The cluster when no case is under way: for a test that takes it down."""
    wait(started.values())
    return cluster
