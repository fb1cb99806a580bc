"""The Snakemake inside a job: what it asks, and what ends it. In a job of a real SLURM: tests/cluster."""

import subprocess
import sys
from pathlib import Path

import pytest
from teachergrid.slurm import inside
from workspace import ENV, ROOT

WORKFLOW = """
rule signalled:
    output: "done"
    # the shell, and the Snakemake above it
    shell: "kill -USR1 $$ $PPID; sleep 0.2; echo went on > {output}"
"""
ARGV = ["--cores", "1", "--snakefile", "Snakefile", "--force-use-threads"]


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with a workflow, and a SLURM that notes what it is asked."""
    (tmp_path / "Snakefile").write_text(WORKFLOW)
    (tmp_path / "bin").mkdir()
    for name in ("sinfo", "squeue", "sacct", "scontrol"):
        command = tmp_path / "bin" / name
        command.write_text(f"#!/bin/sh\necho {name} $* >> {tmp_path}/asked\n")
        command.chmod(0o755)
    return tmp_path


def called(module: str, folder: Path) -> tuple[int, str]:
    """Run a module as a job does. Return its exit code, and what SLURM was asked."""
    env = {**ENV, "PYTHONPATH": str(ROOT / "workflow/scripts"), "PATH": f"{folder}/bin:{ENV['PATH']}"}
    done = subprocess.run([sys.executable, "-m", module, *ARGV], cwd=folder, env=env, capture_output=True)
    asked = folder / "asked"
    return done.returncode, asked.read_text() if asked.exists() else ""


@pytest.mark.slow
def test_it_asks_nothing_and_outlives_the_signal(folder):
    assert called("teachergrid.slurm.inside", folder) == (0, "")
    assert (folder / "done").read_text() == "went on\n"


@pytest.mark.slow
def test_snakemake_itself_asks_for_the_whole_configuration_and_is_ended(folder):
    """Else this module is no longer needed."""
    code, asked = called("snakemake", folder)
    assert asked == "scontrol show config\n" and code != 0


def test_only_a_call_of_snakemake_is_changed():
    before = "cd /x && python -m snakemake --snakefile S --executor slurm-jobstep"
    assert inside.command(before) == before.replace("-m snakemake", "-m teachergrid.slurm.inside")
    for other in ("python -m other", f"{before}; {before}"):
        with pytest.raises(ValueError, match="not a call of Snakemake"):
            inside.command(other)
