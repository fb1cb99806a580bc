"""Run `python -m ...` in a fork of a process that has Snakemake imported: half the time of a dry run is its imports.

Only libraries are imported beforehand; the workflow's own package is each folder's. Exit codes, signals and output are those
of a process of its own.
"""

import multiprocessing
import multiprocessing.reduction
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_OF_SNAKEMAKE = ("snakemake.cli", "snakemake.report.html_reporter", "snakemake.storage")
_CONTEXT.set_forkserver_preload([*_OF_SNAKEMAKE, "pyarrow.parquet", "jsonschema", "yaml"])


def run(argv: tuple[str, ...], cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess:
    """As subprocess.run([python, "-m", *argv], cwd=cwd, env=env, capture_output=True, text=True)."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        files = [multiprocessing.reduction.DupFd(file.fileno()) for file in (out, err)]
        process = _CONTEXT.Process(target=_main, args=(argv, str(cwd), env, files))
        process.start()
        process.join()
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(argv, process.exitcode, out.read().decode(), err.read().decode())


def _main(argv: tuple[str, ...], cwd: str, env: dict[str, str], files: list) -> None:
    # a fork imports the program that asked for it, with all that this imports
    assert "teachergrid" not in sys.modules, "the code of another folder is imported"
    for number, file in enumerate(files, 1):
        os.dup2(file.detach(), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[:0] = [cwd, *(str(Path(cwd, path)) for path in env.get("PYTHONPATH", "").split(os.pathsep) if path)]
    sys.argv = list(argv)
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
