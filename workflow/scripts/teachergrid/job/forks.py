"""Jobs that load a model, as forks of one process with torch and transformers imported.

These imports take seconds, often more than the work of a tiny model. After `share`, Snakemake runs such a job as a fork, by Python's
own fork server, in the place of a new Python. The fork has the same environment and code (the workflow's own is read when the job
starts), and ends in the same way. It dies with the server, and the server with Snakemake.
"""

import ctypes
import importlib.util
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import cache, wraps
from importlib.machinery import ModuleSpec
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from ..spec import canonical
from . import devices

if TYPE_CHECKING:
    from snakemake.script import PythonScript

CONTEXT = multiprocessing.get_context("forkserver")
PACKAGES = str(Path(__file__).parents[2])
NUMBERS_OF_THREADS = ("OMP", "GOTO", "OPENBLAS", "MKL", "NUMEXPR")
TEMPORARY = ("TMPDIR", "TMP", "TEMPDIR", "TEMP")
PR_SET_PDEATHSIG = 1
_starting = threading.Lock()


def share(imported: str) -> None:
    """Patch Snakemake in this process, so that its jobs that load a model are forks. imported: the module that the server imports."""
    from snakemake.script import PythonScript

    CONTEXT.set_forkserver_preload([imported])
    if not hasattr(PythonScript.execute_script, "__wrapped__"):
        PythonScript.execute_script = forked(PythonScript.execute_script)


def forked(usual: Callable) -> Callable:
    """Return PythonScript.execute_script with forks where they are possible. Its argument `name` is the file with the script."""

    @wraps(usual)
    def execute(script: "PythonScript", name: str, edit: bool = False) -> None:
        environment = script.conda_env or script.env_modules or script.container_img
        # with more threads, or an environment of its own, a job has to import the libraries anew
        shares = script.threads == 1 and not environment
        if shares and "model" in canonical.load(script.params.spec) and possible():
            run(script, name)
        else:
            usual(script, name, edit)

    return execute


@cache
def possible() -> bool:
    """Return whether jobs may be forks: not with GPUs or vLLM, which want a fresh process, and whose jobs take minutes."""
    return not (devices.known() or importlib.util.find_spec("vllm"))


def run(script: "PythonScript", name: str) -> None:
    """Run the script in the file `name` as a fork. Raises CalledProcessError, as Snakemake does, with the code that a shell gives."""
    from snakemake.benchmark import benchmarked

    environment = environment_of(script)
    process = started(CONTEXT.Process(target=become, args=(name, environment)), environment)
    # a process of False is not measured
    with benchmarked(process.pid if script.bench_record else False, script.bench_record):
        wait([process.sentinel])
    # a start reads the exit codes of all processes that have ended, and an exit code can be read only once
    with _starting:
        code = process.exitcode
    if code:
        raise subprocess.CalledProcessError(code if code > 0 else 128 - code, f"{sys.executable} {name}")


def environment_of(script: "PythonScript") -> dict[str, str]:
    """Return the environment that Snakemake gives a job."""
    threads = [f"{library}_NUM_THREADS" for library in NUMBERS_OF_THREADS] + ["VECLIB_MAXIMUM_THREADS"]
    folder = script.resources.get("tmpdir")
    return {**os.environ, **dict.fromkeys(threads, "1"), **(dict.fromkeys(TEMPORARY, folder) if folder else {})}


def started(process: BaseProcess, environment: dict[str, str]) -> BaseProcess:
    """Start a fork, and the server before the first one: with this environment, since libraries read it when they are imported."""
    main = sys.modules["__main__"]
    with _starting:
        before, spec = dict(os.environ), main.__spec__
        main.__spec__ = ModuleSpec("__main__", None)  # else each fork imports the main program of Snakemake
        try:
            # for a moment only, since other jobs start meanwhile: the fork waits for the server's imports, and this does not
            os.environ.update(environment, PYTHONPATH=PACKAGES)
            try:
                forkserver.ensure_running()
            finally:
                for name in os.environ.keys() - before:
                    del os.environ[name]
                os.environ.update(before)
            process.start()
        finally:
            main.__spec__ = spec
    return process


def become(name: str, environment: dict[str, str]) -> None:
    """Make this process, a fork, what a new Python would be that runs the script in the file `name`."""
    # die with the server, which ends when all who hold this end of a pipe have ended: only Snakemake is to hold it
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]  # there is no public name
    snakemake = multiprocessing.parent_process()
    if not (snakemake and snakemake.is_alive()):  # the server may have ended before the first line
        os._exit(1)
    os.environ.clear()
    os.environ.update(environment)
    for module in [module for module in sys.modules if module.partition(".")[0] == "teachergrid"]:
        del sys.modules[module]
    sys.argv[:] = [name]
    runpy.run_path(name, run_name="__main__")
