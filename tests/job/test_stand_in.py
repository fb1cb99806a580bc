"""What Snakemake calls in the place of Python: which scripts it passes on, and how it ends."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from teachergrid.cost.workload import MODEL_RULES
from teachergrid.job import interpreter, stand_in
from workspace import ROOT


def test_it_knows_the_scripts_that_load_a_model():
    """Those of language models as judges and evolvers mostly ask an endpoint."""
    assert {*stand_in.SCRIPTS} == {f"{rule}.py" for rule in MODEL_RULES if rule not in ("ask", "optimise")}
    assert all((ROOT / "workflow/scripts" / name).is_file() for name in stand_in.SCRIPTS)


@pytest.mark.parametrize("status", [0, 3 << 8, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_as_a_status_says(status):
    code = f"from teachergrid.job import stand_in; stand_in.end_as({int(status)})"
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert ended.returncode == (status >> 8 or -status)


def test_without_a_server_it_is_python(tmp_path):
    script = tmp_path / "tmp1.answer.py"
    script.write_text("import sys; print(sys.argv, sys.flags.isolated); sys.exit(4)")
    command = [sys.executable, "-IS", str(Path(interpreter.STAND_IN)), "nobody-listens-here", str(script)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env={"OMP_NUM_THREADS": "1"})
    assert (ended.stdout, ended.returncode) == (f"['{script}'] 0\n", 4), ended.stderr
