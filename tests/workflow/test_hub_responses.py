"""Responses of the hub in the layout of Umean/RSR_data, a file for each teacher: fetched, pinned, and then without a network."""

import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hub as stand_in
import pyarrow.parquet as pq
import pytest
import yaml
from workspace import ENV, ROOT, Grid, copy_code

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs/existing-responses.md").read_text()
TEACHERS = ["qwen3-8b", "gptoss-20b-high"]
LATER = "phi4-reason-plus"
SYSTEM = {"role": "system", "content": "Please reason step by step."}
ROWS = 9


def traces(name: str, without: int) -> bytes:
    """Return a file of chats: a system prompt, a problem, a trace. without: number of the problem that it lacks."""
    rows = [
        [SYSTEM, {"role": "user", "content": f"add {i} and {i + 1}"}, {"role": "assistant", "content": trace(name, i)}]
        for i in range(ROWS)
        if i != without
    ]
    return json.dumps([{"messages": row} for row in rows]).encode()


def trace(name: str, i: int) -> str:
    return f"<think>{i} and {i + 1} {name}</think>{2 * i + 1}"


class Published(Grid):
    """A grid of the page's config, and the cache of the hub beside it. Every command is a process of its own."""

    def __init__(self, folder: Path, url: str):
        super().__init__(folder)
        self.env = ENV | {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": url, "HF_HOME": str(folder.parent / "home")}

    def call(self, *argv: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", *argv, "--configfile", "my.yaml"]
        return subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True)

    def write(self, teachers: list[str]) -> None:
        config = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.S)[-1])
        model = {"repo": "workflow/miniworld/models/bs", "dtype": "float32", "parameters": 0.001}
        config["models"] = {"qwen2.5-3b": model}
        config["bases"]["qwen2.5-3b"]["template"] = "own"
        config["instructions"]["maths"]["sample"] = ROWS - 1
        config["zoos"]["rsr"]["teachers"] = teachers
        config["likelihood"]["max_length"] = 512
        (self.folder / "my.yaml").write_text(yaml.safe_dump(config))

    def of(self, folder: str, name: str) -> list[dict]:
        return pq.read_table(self.folder / "results" / folder / f"maths__{name}.parquet").to_pylist()


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> Iterator[Published]:
    folder = tmp_path_factory.mktemp("rsr")
    copy_code(folder / "grid", stand_in=False)
    (folder / "grid/workflow/miniworld").symlink_to(ROOT / "workflow/miniworld")
    with stand_in.running() as hub:
        files = {
            f"{name}/short-sys_5k_gen1.json": traces(name, without)
            for name, without in zip([*TEACHERS, LATER], (ROWS, 0, 1), strict=True)
        }
        hub.add("Umean/RSR_data", files | {"README.md": b"# Traces"}, kind="dataset", commit="c" * 40)
        made = Published(folder / "grid", hub.url)
        made.write(TEACHERS)
        planned = made.call("teachergrid", "plan", "--jsonl")
        assert planned.returncode == 0 and hub.asked == [], "a plan asks no hub"
        refused = made.call("teachergrid", "run")
        assert (
            refused.returncode == 2
            and "no commit is pinned for Umean/RSR_data; run `teachergrid prefetch" in refused.stderr
        )
        fetched = made.call("teachergrid", "prefetch", "--pin")
        assert fetched.returncode == 0, fetched.stderr
        got = {path for _, path, _ in hub.asked if "/resolve/" in path}
        assert all(any(name in path for name in TEACHERS) for path in got) and len(got) == 2
    # the hub is gone
    made.env["HF_HUB_OFFLINE"] = "1"
    done = made.call("teachergrid", "run")
    assert done.returncode == 0, done.stderr[-3000:]
    yield made


def test_the_pages_config_runs_without_a_network(grid):
    rows = pq.read_table(grid.folder / "results/grids/rsr/metrics.parquet").to_pylist()
    values = {row["unit"]: row["value"] for row in rows if row["entry"] == "rsr"}
    assert values.keys() == set(TEACHERS) and all(map(math.isfinite, values.values()))
    assert len(set(values.values())) == 2
    assert grid.jobs() == set()
    assert grid.call("teachergrid", "prefetch", "--check").returncode == 0


def test_traces_are_those_of_the_files_and_what_joins_is_counted(grid):
    asked = pq.read_table(grid.folder / "results/instructions/maths.parquet").to_pylist()
    numbers = {row["id"]: int(row["messages"][-1]["content"].split()[1]) for row in asked}
    assert all(row["messages"][0] == SYSTEM for row in asked) and len(asked) == ROWS - 1
    for name, without in zip(TEACHERS, (ROWS, 0), strict=True):
        expected = {id: trace(name, i) for id, i in numbers.items() if i != without}
        assert {row["id"]: row["response"] for row in grid.of("responses", name)} == expected
        missing = {row["check"]: row["count"] for row in grid.of("health", name)}["missing"]
        assert missing == len(numbers) - len(expected)
        [log] = grid.folder.glob(f"**/generate/maths__{name}.log")
        there = ROWS - (without < ROWS)
        joined = f"{len(expected)} of {there} rows answer {len(expected)} of {len(numbers)} instructions"
        left = f"{there - len(expected)} rows answer none of them, {missing} instructions have no response"
        assert f"{joined}; {left}" in log.read_text()


def test_a_file_that_was_not_fetched_is_named_with_the_command(grid):
    """Its set is in the cache at this commit, with the files of other teachers."""
    grid.write([*TEACHERS, LATER])
    new = {job for job in grid.jobs() if LATER in job}
    assert {"generate", "check", "likelihood"} <= {job.split()[0] for job in new}
    says = f"datasets/Umean/RSR_data at {'c' * 40}: 1 of 1 files are missing, such as {LATER}/short-sys_5k_gen1.json"
    checked = grid.call("teachergrid", "prefetch", "--check")
    assert checked.returncode == 1 and f"MISSING {says}; run `teachergrid prefetch`" in checked.stderr
    failed = grid.call("teachergrid", "run")
    assert failed.returncode == 1
    [log] = grid.folder.glob(f"**/generate/maths__{LATER}.log")
    assert f"{says}. Without a network, run `teachergrid prefetch`" in log.read_text()
    assert "Traceback" not in log.read_text()
