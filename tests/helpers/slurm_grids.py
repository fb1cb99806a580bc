"""Grids in folders of their own that are run on the cluster, and what a test asks of them afterwards."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from slurm_cluster import output
from workspace import ENV, Grid, copy_code

HERE = Path(__file__).parent
# quicker than a person would want: see supervise.Patience
PATIENCE = {
    "TEACHERGRID_WATCH": "5",
    "TEACHERGRID_HANG": "60",
    "TEACHERGRID_GRACE": "3",
    "TEACHERGRID_REFUSED": "3",
    "TEACHERGRID_LOST": "15",
}
PROFILE = ("--workflow-profile", "profiles/slurm")


def small(config: dict) -> None:
    """Cut the small grid to one block of three teachers and one base. `whole` fills a node, `q` takes any GPU."""
    for name, gpus, gpu_model in (("small", 1, "h100"), ("large", 2, "a100"), ("whole", 4, "h100"), ("q", 1, None)):
        cost = {"parameters": 0.1, "gpus": gpus, "gpu_model": gpu_model}
        config["models"][name] = {"repo": f"org/{name}", "revision": f"sha256-{name}", **cost}
    config["teachers"] = {name: {"model": name, "sampling": {"temperature": 1}} for name in ("small", "large", "whole")}
    config["bases"] = {"q": config["bases"]["q"]}
    config["references"] = {"rival": {"model": "whole", "base": "q", "role": "instruct"}}
    config["metrics"] = {"length": {"formula": "length"}, "nll": {"formula": "nll_mean"}}
    config["suites"] = {"math": {"tasks": ["gsm"]}}
    block = config["grids"]["teachers"]
    del block["corpora"]
    config["grids"] = {"teachers": block | {"bases": ["q"], "suites": ["math"], "primary": "nll"}}
    for unused in ("corpora", "judges", "rewards"):
        del config[unused]


class Run:
    """`teachergrid run` on the cluster, in a terminal of its own.

    before: words of the command line before it, which let it run as somebody else, elsewhere.
    """

    started: ClassVar[list["Run"]] = []

    def __init__(
        self, folder: Path, *argv: str, env: dict | None = None, before: list[str] | None = None, umask: int = -1
    ):
        self.log = folder / f"run-{len(list(folder.glob('run-*.log'))) + 1}.log"
        self.start = time.time()
        self.process = subprocess.Popen(
            [*(before or []), sys.executable, "-m", "teachergrid", "run", *PROFILE, *argv],
            cwd=folder,
            umask=umask,
            env=ENV | PATIENCE | (env or {}),
            stdin=subprocess.DEVNULL,
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.started.append(self)

    def ends(self, seconds: float) -> int:
        """Return the exit code. Raises TimeoutExpired when the run is not over in time."""
        return self.process.wait(max(0, self.start + seconds - time.time()))

    def interrupt(self) -> None:
        """Ctrl-C: the terminal sends it to all processes in the foreground."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kill(self) -> None:
        """kill -9 of the main process and what it has started on this machine."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @classmethod
    def end_left(cls, folder: Path) -> None:
        """End the runs under a folder that a failed test has left, and their jobs, which would disturb the tests after it."""
        for run in cls.started:
            if folder in run.log.parents and run.process.poll() is None:
                run.interrupt()
                try:
                    run.process.wait(60)
                except subprocess.TimeoutExpired:
                    run.kill()

    def text(self) -> str:
        return self.log.read_text()

    def story(self) -> str:
        """What a test prints that expected another end: the run's words, and the end of each log that SLURM wrote for it."""
        logs = sorted(self.log.parent.glob("results/logs/slurm/**/*.log"))
        recent = [path for path in logs if path.stat().st_mtime > self.start]
        return "\n".join([self.text(), *(f"--- {path}\n{path.read_text()[-2000:]}" for path in recent)])


class SlurmGrid(Grid):
    """A folder with the workflow, the profile for SLURM, and entry scripts that fail as the test asks.

    faults: see slurm_stand_in.py. resources: rule -> what this site's profile sets for it.
    """

    def __init__(self, folder: Path, faults: dict | None = None, resources: dict | None = None):
        super().__init__(folder.resolve())
        folder.mkdir(parents=True)
        copy_code(folder, stand_in=False)
        for script in (folder / "workflow/scripts").glob("*.py"):
            shutil.copy2(HERE / "slurm_stand_in.py", script)
        self.edit(small)
        (folder / "faults.json").write_text(json.dumps(faults or {}))
        self.profile(resources or {})

    def profile(self, resources: dict) -> None:
        """A site's profile: looks for finished jobs a little more often, and knows some rules better."""
        path = self.folder / "profiles/slurm/profile.yaml"
        profile = yaml.safe_load(path.read_text())
        profile["slurm-init-seconds-before-status-checks"] = 10
        if resources:
            profile["set-resources"] = resources
        path.write_text(yaml.safe_dump(profile, sort_keys=False))

    def go(self, *cells: str) -> None:
        """Let the stand-ins of these cells go on, which wait."""
        for cell in cells:
            rule, wildcards = cell.split(" ")
            path = self.folder / "go" / rule / wildcards.replace("/", ",")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def run_on_cluster(self, *argv: str) -> Run:
        return Run(self.folder, *argv)

    def tries(self, cell: str) -> list[dict]:
        return tries(self.folder, cell)

    def shards(self, output: str) -> list[Path]:
        """Return the shards of the unfinished work on an output."""
        return sorted((self.folder / "results/.work" / output).glob("*/*.parquet"))

    def log(self, cell: str) -> str:
        rule, wildcards = cell.split(" ")
        return (self.folder / "results/logs" / rule / f"{wildcards}.log").read_text()

    def states(self, cell: str) -> list[str]:
        return states(self.folder, cell)


def accounting(folder: Path) -> list[dict]:
    """Return what sacct knows of a folder's jobs, one dict per start: id, cell, state, node, start and end (seconds), tres."""
    fields = "JobIDRaw,State,NodeList,Start,End,AllocTRES,Comment,WorkDir"
    argv = ["sacct", "-nXDP", "--starttime=now-2hours", "--endtime=now", f"--format={fields}"]
    rows = []
    for line in output("env", "SLURM_TIME_FORMAT=%s", *argv).splitlines():
        id, state, node, start, end, tres, comment, where = line.split("|", 7)
        if Path(where) == folder and start.isdigit():
            rule, _, wildcards = comment.removeprefix("rule_").partition("_wildcards_")
            # one _ joins wildcards, two belong to a name
            cell = f"{rule} {re.sub('(?<!_)_(?!_)', '/', wildcards)}"
            seconds = {"start": int(start), "end": int(end) if end.isdigit() else time.time()}
            found = dict(part.split("=") for part in tres.split(",") if part)
            rows.append({"id": id, "cell": cell, "state": state.split()[0], "node": node, **seconds, "tres": found})
    return sorted(rows, key=lambda row: row["start"])


def states(folder: Path, cell: str) -> list[str]:
    """Return the states that the accounting knows of a cell's jobs, in the order of their starts."""
    return [row["state"] for row in accounting(folder) if row["cell"] == cell]


def tries(folder: Path, cell: str) -> list[dict]:
    """Return what each try of `rule wildcard/wildcard` by a stand-in was, with `begin` and `end`, its last sign of life."""
    rule, wildcards = cell.split(" ")
    paths = (folder / "tries" / rule / wildcards.replace("/", ",")).glob("*.json")
    found = [json.loads(path.read_text()) | {"end": path.stat().st_mtime} for path in paths]
    return sorted(found, key=lambda row: row["begin"])


def overlapping(intervals: list[tuple[float, float]]) -> bool:
    ordered = sorted(intervals)
    return any(second[0] < first[1] for first, second in pairwise(ordered))


def at_the_same_time(folder: Path) -> set[str]:
    """Return the cells that two jobs worked on at once, by the accounting (whole seconds) and the stand-ins' signs of life."""
    intervals = defaultdict(list)
    for row in accounting(folder):
        intervals[row["cell"]].append((row["start"], max(row["start"], row["end"] - 1)))
    found = {cell for cell, spans in intervals.items() if overlapping(spans)}
    for path in (folder / "tries").glob("*/*"):
        cell = f"{path.parent.name} {path.name.replace(',', '/')}"
        if overlapping([(one["begin"], one["end"]) for one in tries(folder, cell)]):
            found.add(cell)
    return found


def tables(folder: Path) -> dict[str, pa.Table]:
    """Return every table that the workflow made, unfinished work aside."""
    found = (path for path in (folder / "results").rglob("*.parquet") if ".work" not in path.parts)
    return {str(path.relative_to(folder)): pq.read_table(path) for path in found}


def differing(one: dict[str, pa.Table], other: dict[str, pa.Table]) -> set[str]:
    """Return the names of tables that are not in both, or not equal: rows, columns, and what they were made from."""
    return {
        name
        for name in one.keys() | other.keys()
        if name not in one or name not in other or not one[name].equals(other[name], check_metadata=True)
    }
