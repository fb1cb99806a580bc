"""A real endpoint: a small grid whose teacher a vLLM server on this machine serves, over HTTP."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import vllm_job
import workspace
import yaml
from teachergrid.engines import request_log
from teachergrid.engines.vllm_copy import ENVIRONMENT, ON_CPU

pytestmark = pytest.mark.vllm
API = "demo-teacher"


def teacher() -> tuple[dict, dict]:
    """Return a greedy teacher of the demo, and its model."""
    entry = vllm_job.CONFIG["teachers"][vllm_job.TEACHERS[0]]
    model = vllm_job.CONFIG["models"][entry["model"]]
    return entry, {key: value for key, value in model.items() if key != "parent"}


class Server(NamedTuple):
    """A server, and what it writes."""

    url: str
    process: subprocess.Popen
    log: Path

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:
            return answer.read().decode()

    def is_up(self) -> bool:
        try:
            self.get("/health")
        except OSError:
            return False
        return True

    def finished(self) -> int:
        """Return how many requests it has answered since it began."""
        numbers = re.findall(r"^vllm:request_success_total\{.*\} (\S+)$", self.get("/metrics"), re.MULTILINE)
        return round(sum(map(float, numbers)))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    _, model = teacher()
    port, log = free_port(), tmp_path_factory.mktemp("server") / "log"
    command = [
        *[str(Path(sys.executable).with_name("vllm")), "serve", str(workspace.ROOT / model["repo"])],
        *["--host", "127.0.0.1", "--port", str(port), "--served-model-name", API, "--dtype", model["dtype"]],
        # without these a vendor's settings for sampling count, and compiling takes longer than it saves
        *["--generation-config", "vllm", "--enforce-eager", "--max-num-seqs", "32"],
    ]
    with log.open("w") as file:
        process = subprocess.Popen(
            command,
            env={**os.environ, **ENVIRONMENT, **ON_CPU, "OMP_NUM_THREADS": "1"},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # its engine is a process of its own
        )
    started = Server(f"http://127.0.0.1:{port}", process, log)
    try:
        end = time.monotonic() + 240
        while not started.is_up():
            assert process.poll() is None and time.monotonic() < end, log.read_text()[-3000:]
            time.sleep(1)
        yield started
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def grid(folder: Path, url: str) -> None:
    """Write a grid of one model as two teachers: behind the endpoint, and loaded by this machine's jobs."""
    workspace.copy_code(folder, stand_in=False)
    (folder / "workflow/miniworld").symlink_to(workspace.ROOT / "workflow/miniworld")
    entry, model = teacher()
    shared = {key: value for key, value in entry.items() if key != "model"}
    config = {
        "seed": 1,
        "models": {"near": model, "far": {"api": API, "endpoint": "own"}},
        "endpoints": {"own": {"base_url": f"{url}/v1", "usd_in": 0, "usd_out": 0, "at_once": 8}},
        "instructions": {"pool": {"source": vllm_job.CONFIG["instructions"]["pool"]["source"], "sample": 40}},
        "teachers": {
            "near": shared | {"model": "near"},
            "far": {"model": "far", "engine": "openai", "sampling": shared["sampling"]},
        },
        "bases": {"near": {"model": "near", "template": "own"}},
        "metrics": {"length": {"formula": "length"}},
        "grids": {
            "g": {
                "compare": "teacher",
                "instructions": ["pool"],
                "teachers": ["near", "far"],
                "bases": ["near"],
                "metrics": ["length"],
            }
        },
    }
    (folder / "served.yaml").write_text(yaml.safe_dump(config))


def run(folder: Path, *argv: str) -> str:
    env = workspace.ENV | {"PYTHONPATH": str(folder / "workflow/scripts")}
    command = [sys.executable, "-m", "teachergrid", *argv, "--configfile", "served.yaml", "--until", "generate"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rows_of(folder: Path, teacher: str) -> dict:
    import pyarrow.parquet as pq

    table = pq.read_table(folder / f"results/responses/pool__{teacher}.parquet")
    columns = ["id", "response", "finish_reason", "prompt_tokens", "response_tokens"]
    return {row.pop("id"): row for row in table.select(columns).to_pylist()}


def test_a_real_server_answers_a_grid_once_and_as_the_model_itself_does(tmp_path, server):
    grid(tmp_path, server.url)
    run(tmp_path, "run", "--cores", "1")
    assert server.finished() == 40
    far, near = (rows_of(tmp_path, teacher) for teacher in ("far", "near"))
    assert len(far) == 40 and far.keys() == near.keys()
    assert {i: row["response"] for i, row in far.items()} == {i: row["response"] for i, row in near.items()}
    assert [row["finish_reason"] for row in far.values()] == [near[i]["finish_reason"] for i in far]
    assert all(row["prompt_tokens"] == near[i]["prompt_tokens"] for i, row in far.items())
    lines = list(request_log.lines(request_log.folder_of(tmp_path / "results", API)))
    assert {line["answered_by"] for line in lines} == {API} and len(lines) == 40
    # what is lost is made again from what was answered
    first = (tmp_path / "results/responses/pool__far.parquet").read_bytes()
    (tmp_path / "results/responses/pool__far.parquet").unlink()
    jobs = json.loads(run(tmp_path, "plan", "--json"))["jobs"]
    assert [job["asks"]["requests"] for job in jobs if "asks" in job] == [0]
    run(tmp_path, "run", "--cores", "1")
    assert server.finished() == 40
    assert (tmp_path / "results/responses/pool__far.parquet").read_bytes() == first
