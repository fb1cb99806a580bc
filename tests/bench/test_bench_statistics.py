"""The bench of the statistics runs, and what it draws keeps its promise; the whole of it is `make bench-statistics`."""

import subprocess
import sys

import pytest
from workspace import ENV, ROOT


@pytest.mark.slow
def test_a_small_bench():
    bench = [
        sys.executable,
        ROOT / "tests/bench/bench_statistics.py",
        "--grids",
        "100",
        "--only",
        "equality",
        "components",
    ]
    done = subprocess.run(bench, cwd=ROOT, env=ENV, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "equivalence at the limit" in done.stdout and "component family share" in done.stdout
    assert done.stdout.endswith("0 figures outside\n")
