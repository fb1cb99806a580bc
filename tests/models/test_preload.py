"""What the server of job.forks imports."""

import subprocess
import sys

import pytest
from workspace import ENV, ROOT

LOOK = """
import sys
import teachergrid.models.preload
modules = sys.modules
print("torch" in modules, "transformers.generation.utils" in modules, "pyarrow.parquet" in modules, modules["sklearn"])
"""


@pytest.mark.slow
def test_a_fork_finds_the_libraries_imported():
    found = subprocess.check_output([sys.executable, "-c", LOOK], cwd=ROOT, env=ENV, text=True)
    assert found == "True True True None\n"


@pytest.mark.slow
def test_a_library_that_fails_is_left_to_the_job():
    broken = "import sys; sys.modules['torch'] = None; import teachergrid.models.preload; print('no error')"
    assert subprocess.check_output([sys.executable, "-c", broken], cwd=ROOT, env=ENV, text=True) == "no error\n"
