"""What a worker refuses: it never trains alone, nor twice."""

import json
import subprocess
import sys

import pytest
from workspace import ENV, ROOT


@pytest.mark.parametrize(
    "environment, error",
    [({}, "1 processes were started, 2 were asked for"), ({"RANK": "1", "WORLD_SIZE": "2"}, "rank-1")],
    ids=["alone", "twice"],
)
def test_a_worker_refuses_to_run_alone_or_twice(tmp_path, environment, error):
    (tmp_path / "settings.json").write_text(json.dumps({"processes": 2}))
    (tmp_path / "rank-1").touch()
    argv = [sys.executable, "-m", "teachergrid.training.worker", "rank", str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, env=ENV | environment, capture_output=True, text=True)
    assert done.returncode == 1 and error in done.stderr
    (found,) = tmp_path.glob("error-*")
    assert error in json.loads(found.read_text())["message"]
