"""One cluster for all tests of a session; one that runs already (cluster.py start) is used and left running."""

import os
from pathlib import Path

import pyarrow as pa
import pytest

from slurm.cluster import Cluster, ready
from slurm.grids import SlurmGrid, tables


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


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> dict[str, pa.Table]:
    """The tables of the stand-in grid as one machine makes them, without a fault."""
    grid = SlurmGrid(Path(tmp_path_factory.mktemp("slurm"), "local"))
    grid.run()
    return tables(grid.folder)
