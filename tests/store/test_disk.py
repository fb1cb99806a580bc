"""A full disk, for real, and what is named then: what can go without loss."""

import errno
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from teachergrid.store import disk, origin, unfinished
from workspace import ENV, ROOT, file_of_size


def test_what_can_go(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file_of_size(Path("results/students/a__b__c__s1/weights/model.safetensors"), 3000)
    file_of_size(Path("results/students/d__e__f__s1/weights/model.safetensors"), 9000)  # not examined yet
    file_of_size(Path("results/answers/a__b__c__s1/math.parquet"), 1)
    made_from = {"rule": "finetune", "spec": "{}", "inputs": {}}
    for output in ("results/done.json", "results/begun.json"):
        file_of_size(unfinished.folder(output, made_from) / "shard", 2000)
    origin.replace_text("results/done.json", json.dumps({"origin": made_from}))
    old = file_of_size(Path("results/logs/slurm/rule_x/1.log"), 1000)
    os.utime(old, (time.time() - 8 * 86400,) * 2)
    file_of_size(Path("results/logs/slurm/rule_x/2.log"), 5000)
    assert disk.what_can_go() == [
        (Path("results/students/a__b__c__s1/weights"), 3000, "its answers to math exist"),
        (Path("results/.work/done.json", origin.key(made_from)), 2000, "work on an output that is finished"),
        (Path("results/logs/slurm"), 1000, "1 SLURM logs older than 7 days"),
    ]


# --- a full disk, for real


JOB = """
import sys
from pathlib import Path
from types import SimpleNamespace
from teachergrid.store import artifacts
from teachergrid.job import context as job

outputs = ["results/responses/seed__t.parquet"]
cell = SimpleNamespace(
    rule="generate", log=["results/logs/generate/seed__t.log"], output=outputs, input=[], resources={}, wildcards=["seed__t"],
    params=SimpleNamespace(spec="{}"),
)
with job.running(cell) as (settings, made_from):
    Path("results/responses").mkdir()
    numbers = __import__("numpy").random.default_rng(0).random(1_000_000)
    exec(sys.argv[1])
"""
WRITERS = {
    "pyarrow": "import pyarrow as pa\n"
    "schema = pa.schema([('x', pa.float64())])\n"
    "artifacts.write(outputs[0], pa.table({'x': numbers}), schema, made_from)",
    "safetensors": "from safetensors.numpy import save_file\nsave_file({'x': numbers}, outputs[0] + '.part')",
    "plain, reported as another error": "try:\n    open(outputs[0] + '.part', 'wb').write(numbers.tobytes())\n"
    "except OSError as error:\n    raise ValueError('no shard') from error",
}


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """A results folder on a disk of 3 MB."""
    (tmp_path / "results").mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(tmp_path / "results")], capture_output=True
    )
    if mount.returncode:
        pytest.skip(f"needs root, to mount a small disk: {mount.stderr.decode().strip()}")
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "results"
    monkeypatch.undo()
    subprocess.run(["umount", str(tmp_path / "results")], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_names_what_can_go(small_disk, writer):
    file_of_size(small_disk / "students/a__b__c__s1/weights/model.safetensors", 1_000_000)
    file_of_size(small_disk / "answers/a__b__c__s1/math.parquet", 1)
    environment = {**ENV, "PYTHONPATH": str(ROOT / "workflow/scripts")}
    done = subprocess.run(
        [sys.executable, "-c", JOB, WRITERS[writer]],
        cwd=small_disk.parent,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    message = done.stderr.splitlines()[-1]
    assert re.match(
        r"ERROR: disk full: No space left on device at results/responses/seed__t.parquet \(.* free\)"
        r"(, [12]\.\d MB of results/responses/seed__t.parquet were written)?; 1.0 MB can be deleted, the largest: "
        r"results/students/a__b__c__s1/weights \(1.0 MB, its answers to math exist\). Delete some, then run again",
        message,
    ), message
    # the half-written file made room for it
    assert (small_disk / "logs/generate/seed__t.log").read_text().splitlines()[-1] == message
    assert not [*small_disk.glob("responses/*")]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "disk full: Disk quota exceeded at results/x.parquet"),
        (OSError(errno.ENOSPC, "No space left on device", "/tmp/y"), "disk full: No space left on device at /tmp/y"),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"), "disk full: No space"),
        (OSError(errno.EACCES, os.strerror(errno.EACCES)), None),
    ],
)
def test_which_errors_are_a_full_disk(tmp_path, monkeypatch, error, expected):
    monkeypatch.chdir(tmp_path)
    said = disk.full(error, ["results/x.parquet"])
    assert said is None if expected is None else said.startswith(expected)
    assert said is None or said.endswith(
        "nothing of these results can be deleted: free space elsewhere, then run again"
    )
