"""GPUs by lock, with pretended devices and real processes: no two jobs ever hold one device at the same time."""

import json
import os
import shutil
import signal
import subprocess
import sys
from itertools import combinations

import pytest
from teachergrid.errors import BadInput
from teachergrid.job import devices
from workspace import ENV, ROOT

# takes devices, says so, and keeps them until its standard input ends
WORK = """
import os, sys
from teachergrid.job import devices
with devices.taken(int(sys.argv[1])):
    print("has", os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
    sys.stdin.read()
"""
# a job whose launcher, a program of its own, works on
WITH_LAUNCHER = """
import subprocess, sys
from teachergrid.job import devices
with devices.taken(int(sys.argv[1])):
    launcher = subprocess.Popen(["sleep", "60"], close_fds=False)
    print(launcher.pid, flush=True)
    launcher.wait()
"""
H100 = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5f1c7a0e-0000-0000-0000-000000000000)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-5f1c7a0e-0000-0000-0000-000000000001)
"""
MIG = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa)
  MIG 3g.20gb     Device  0: (UUID: MIG-1111)
  MIG 3g.20gb     Device  1: (UUID: MIG-2222)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb)
"""


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch) -> None:
    """Locks of its own, and nothing that this machine says about devices."""
    for name in (devices.DEVICES, devices.VISIBLE, "SLURM_JOB_ID", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(devices.LOCKS, str(tmp_path / "locks"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "workflow/scripts"))


@pytest.fixture
def start(tmp_path):
    """Starts jobs; what lives at the end is killed."""
    started = []

    def job(n: int, code: str = WORK) -> subprocess.Popen:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": tmp_path}
        started.append(subprocess.Popen([sys.executable, "-c", code, str(n)], **pipes))
        return started[-1]

    yield job
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def shown(job: subprocess.Popen) -> set[str]:
    """Wait until a job has its devices, and return them."""
    lines = iter(job.stdout.readline, "")
    return set(next(line for line in lines if line.startswith("has ")).split()[1].split(","))


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TEACHERGRID_DEVICES": "0, 2,MIG-1111"}, ["0", "2", "MIG-1111"]),
        ({"TEACHERGRID_DEVICES": "1", "CUDA_VISIBLE_DEVICES": "4,5"}, ["1"]),
        ({"CUDA_VISIBLE_DEVICES": "4,5"}, ["4", "5"]),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, []),
        # the login shell's word travelled along
        ({"SLURM_JOB_ID": "7", "TEACHERGRID_DEVICES": "0,1,2,3", "CUDA_VISIBLE_DEVICES": "2"}, ["2"]),
        ({"SLURM_JOB_ID": "7", "TEACHERGRID_DEVICES": "0,1,2,3"}, []),
    ],
)
def test_which_devices_there_are(monkeypatch, variables, expected):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert devices.known() == expected


def test_what_nvidia_smi_says(tmp_path, monkeypatch):
    assert devices.listed(H100) == ["0", "1"]
    assert devices.listed(MIG) == ["MIG-1111", "MIG-2222", "1"]
    monkeypatch.setenv("PATH", str(tmp_path))  # there is none
    assert devices.known() == []


@pytest.mark.parametrize(
    ("n", "variables", "expected"),
    [
        (1, {}, None),  # no GPU: on the CPU, as before
        (0, {"TEACHERGRID_DEVICES": "0,1"}, ""),  # asked for none: must not meet another job's
        (2, {"TEACHERGRID_DEVICES": "0,1,2"}, "0,1"),
        (1, {"TEACHERGRID_DEVICES": "MIG-GPU-1/2/0"}, "MIG-GPU-1/2/0"),
        (2, {"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "2,3"}, "2,3"),  # assigned
        (4, {"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "2,3"}, "2,3"),  # two more on another node
        (1, {"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "2,3"}, "2"),  # one of several jobs inside an allocation
        (0, {"SLURM_JOB_ID": "7"}, None),
    ],
)
def test_what_a_job_sees(tmp_path, monkeypatch, n, variables, expected):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with devices.taken(n):
        assert os.environ.get(devices.VISIBLE) == expected
    after = {name: value for name, value in os.environ.items() if name != "CUDA_DEVICE_ORDER"}
    assert after == before


def test_more_than_there_are(monkeypatch):
    monkeypatch.setenv(devices.DEVICES, "0,1")
    with pytest.raises(BadInput, match=r"asks for 3 GPUs and there are 2 \(0,1\): lower `gpus`"), devices.taken(3):
        pass


def test_two_jobs_at_a_time(monkeypatch, start):
    monkeypatch.setenv(devices.DEVICES, "0,1,2,3")
    jobs = [start(2), start(2)]
    first, second = map(shown, jobs)
    assert first | second == {"0", "1", "2", "3"} and not first & second


def test_a_killed_job_frees_its_devices(monkeypatch, start):
    monkeypatch.setenv(devices.DEVICES, "0,1")
    first = start(2)
    assert shown(first) == {"0", "1"}
    second = start(1)
    assert second.stdout.readline() == "waiting for 1 of the devices 0,1: other jobs have them\n"
    first.kill()
    assert shown(second) == {"0"}


def test_a_launcher_that_outlives_its_job_keeps_its_devices(monkeypatch, start):
    monkeypatch.setenv(devices.DEVICES, "0,1")
    job = start(1, code=WITH_LAUNCHER)
    assert job.stdout.readline() == "devices 0 of 2\n"
    launcher = int(job.stdout.readline())
    job.kill()
    job.wait()
    assert shown(start(1)) == {"1"}
    os.kill(launcher, signal.SIGKILL)
    assert shown(start(1)) == {"0"}


def test_all_or_nothing_and_in_turn(monkeypatch, start):
    monkeypatch.setenv(devices.DEVICES, "0,1")
    first = start(1)
    assert shown(first) == {"0"}
    both = start(2)
    assert both.stdout.readline().startswith("waiting for 2")
    late = start(1)
    # device 1 is free, but those who need many would never get them
    assert late.stdout.readline().startswith("waiting for 1")
    first.stdin.close()
    assert shown(both) == {"0", "1"}
    both.stdin.close()
    assert shown(late) == {"0"}


SNAKEFILE = """
import sys
sys.path.insert(0, "scripts")

rule all:
    input: expand("results/{n}.{gpu}.json", zip, n=range(5), gpu=[1, 2, 1, 3, 2])

rule gate:
    output: "results/{n}.{gpu}.json"
    log: "results/{n}.{gpu}.log"
    resources: gpu=lambda wildcards: int(wildcards.gpu)
    params: spec="{}"
    script: "work.py"
"""
SCRIPT = """
import json, os, time
from teachergrid.job import context as job

with job.running(snakemake):
    start, devices = time.monotonic(), os.environ["CUDA_VISIBLE_DEVICES"].split(",")
    time.sleep(0.5)
    held = {"start": start, "end": time.monotonic(), "devices": devices}
    with open(snakemake.output[0], "w") as file:
        json.dump(held, file)
"""


@pytest.mark.slow
def test_two_checkouts_on_one_workstation(tmp_path, monkeypatch):
    """One Snakemake counts GPUs, but nobody counts those of two."""
    monkeypatch.setenv(devices.DEVICES, "0,1,2,3")
    runs = []
    for name in ("mine", "yours"):
        folder = tmp_path / name
        shutil.copytree(ROOT / "profiles/workstation", folder / "profiles/workstation")
        (folder / "Snakefile").write_text(SNAKEFILE)
        (folder / "work.py").write_text(SCRIPT)
        command = [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/workstation", "--cores", "8"]
        environment = {**ENV, **os.environ}
        runs.append(subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True))
    for run in runs:
        errors = run.communicate()[1]
        assert run.returncode == 0, errors
    held = {path: json.loads(path.read_text()) for path in tmp_path.glob("*/results/*.json")}
    assert len(held) == 10
    for path, job in held.items():
        assert len(job["devices"]) == int(path.name.split(".")[1])
        assert f"devices {','.join(job['devices'])} of 4\n" in path.with_suffix(".log").read_text()
    together = 0
    for one, other in combinations(held.values(), 2):
        if one["start"] < other["end"] and other["start"] < one["end"]:
            together += 1
            assert not set(one["devices"]) & set(other["devices"])
    assert together, "no two jobs ran at the same time: nothing was shown"
