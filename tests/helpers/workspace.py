"""The checkout under test, and copies of its workflow with a small grid that was run with stand-ins."""

import atexit
import compileall
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path

import preloaded
import yaml

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "tests/small"
WORKFLOW = ("rules", "report", "schemas", "evolution", "scripts")
PARTS = ["Snakefile", *(f"workflow/{part}" for part in WORKFLOW), "profiles", "envs"]
# one thread a process, and none of the checkout's own package
ENV = {**os.environ, "PYTHONPATH": "workflow/scripts", "OMP_NUM_THREADS": "1"}

# in a process of its own: here the package would be the checkout's
_FINGERPRINTS = """
from teachergrid.job.fingerprint import ENTRIES, SCRIPTS, fingerprint

rules = {script: rule for rule, script in ENTRIES.items()}
for path in SCRIPTS.glob("*.py"):
    fingerprint(rules.get(path.stem, path.stem))
"""
_COPIES: list[Path] = []
_ONE_AT_A_TIME = threading.Lock()  # tests of the cluster are threads: each would make the copy for itself


def copy_code(to: Path, stand_in: bool = True) -> None:
    """Copy the workflow with the small grid; with a stand-in each entry script is replaced by it."""
    with _ONE_AT_A_TIME:
        code = _code(stand_in)
    shutil.copytree(code, to, dirs_exist_ok=True)


@atexit.register
def remove_copies() -> None:
    """Remove what copy_code copies from. For pytest to call: its worker processes end without Python's exit functions."""
    while _COPIES:
        shutil.rmtree(_COPIES.pop(), ignore_errors=True)
    _code.cache_clear()


@cache
def _code(stand_in: bool) -> Path:
    """Return what copy_code copies, with all that Python and the fingerprints would otherwise compute anew in each copy."""
    to = Path(tempfile.mkdtemp(prefix="teachergrid-code-"))
    _COPIES.append(to)
    for part in PARTS:
        source, target = ROOT / part, to / part
        target.parent.mkdir(parents=True, exist_ok=True)
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, ignore=ignore) if source.is_dir() else shutil.copy2(source, target)
    (to / "config").mkdir()
    shutil.copytree(ROOT / "config/recipes", to / "config/recipes")
    for path in [ROOT / "config/machines.yaml", SMALL / "config.yaml", *SMALL.glob("*.jsonl")]:
        shutil.copy2(path, to / "config" / path.name)
    if stand_in:
        for script in (to / "workflow/scripts").glob("*.py"):
            shutil.copy2(SMALL / "stand_in.py", script)
        all_are_forks(to / "workflow/scripts/teachergrid")
    compileall.compile_dir(to / "workflow/scripts", quiet=2)
    subprocess.run([sys.executable, "-c", _FINGERPRINTS], cwd=to, env=ENV, check=True)
    return to


def all_are_forks(package: Path) -> None:
    """Have every job be a fork, also those that load no model, of a server with what a stand-in imports in the place of torch."""
    forks, only = package / "job/forks.py", ' and "model" in canonical.load(script.params.spec)'
    assert only in forks.read_text()
    forks.write_text(forks.read_text().replace(only, ""))
    (package / "models/preload.py").write_text("import pyarrow.parquet, snakemake.logging, yaml\n")


def braces(text: str) -> set[str]:
    """score {q,w}/math -> score q/math, score w/math"""
    if not (found := re.search(r"\{([^{}]*)\}", text)):
        return {text}
    parts = (braces(text[: found.start()] + part + text[found.end() :]) for part in found[1].split(","))
    return set().union(*parts)


def jobs(*lines: str) -> set[str]:
    return set().union(*map(braces, lines))


class Grid:
    """A folder with the workflow and its results."""

    def __init__(self, folder: Path):
        self.folder = folder

    def call(self, *argv: str) -> subprocess.CompletedProcess:
        return preloaded.run(argv, self.folder, ENV)

    def run(self, *argv: str, ok: bool = True) -> str:
        done = self.call("snakemake", *argv, "--quiet", "rules")
        assert (done.returncode == 0) is ok, done.stderr + done.stdout
        return done.stderr + done.stdout

    def plan(self, *argv: str) -> list[dict]:
        done = self.call("teachergrid", "plan", "--jsonl", *argv)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def jobs(self, *argv: str) -> set[str]:
        return {job["job"] for job in self.plan(*argv)}

    def edit(self, change) -> None:
        path = self.folder / "config/config.yaml"
        config = yaml.safe_load(path.read_text())
        change(config)
        path.write_text(yaml.safe_dump(config))

    def replace(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))


def setting(*path, to):
    """Return a change of the config that sets one key."""

    def change(config):
        for key in path[:-1]:
            config = config[key]
        config[path[-1]] = to

    return change


def one_base(config: dict) -> None:
    """Cut the small grid to its base q, where a test runs it whole."""
    config["bases"].pop("w")
    config["references"].pop("w-raw")
    config["grids"]["teachers"]["bases"] = ["q"]


def file_of_size(path: Path, size: int) -> Path:
    """Write a file of so many bytes, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return path
