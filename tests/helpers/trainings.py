"""Trainings of a tiny model in processes of their own."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import tiny
from teachergrid.spec import schema
from teachergrid.store import lock
from workspace import ENV, ROOT

CHAT = {"template": "own", "template_args": {}, "system": None, "plain": "{question}\n"}
ROWS = [([{"role": "user", "content": f"Add {i} and {i}"}], f"Answer: {2 * i}") for i in range(40)]
RECIPE = {
    "learning_rate": 0.01,
    "num_train_epochs": 2,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 1,
    "warmup_steps": 0,
    "packing": False,
    "dtype": "float32",
    "max_length": 64,
}
# rows of several lengths, so that an order by length says something
LENGTHS = [(messages, response + " x" * (i % 7)) for i, (messages, response) in enumerate(ROWS)]
TRAIN_BY_TEAM = """
import json, sys
from pathlib import Path
from teachergrid.training import launch
from teachergrid.training.training import Training
chat, model, recipe, rows, work, team, launcher = json.loads(sys.argv[1])
if launcher:
    launch.torchrun = lambda team, folder, *meeting: [part.format(folder=folder) for part in launcher]
training = Training(rows, chat, model, recipe, 1, Path(work))
final, facts, log = launch.train(training, launch.Team(*team), "sft")
print(json.dumps({"facts": facts, "log": log}))
"""


def tiny_model(folder: Path) -> dict:
    """Make a tiny Llama in a folder, and return it as an entry of the config's models."""
    tiny.make(folder, "llama")
    return schema.filled({"repo": str(folder), "dtype": "float32"}, schema.definition("model"))


def recipe(**changes) -> dict:
    return schema.filled({**RECIPE, **changes}, schema.definition("recipe"))


def start(
    model: dict,
    work: Path,
    processes: int,
    launcher=None,
    seconds: float = 600,
    rows=LENGTHS,
    deepspeed=None,
    cache=None,
    **changes,
):
    """Start a job that trains with so many processes; launcher: a command in place of torchrun; cache: of what it compiles."""
    wanted = recipe(**{"gradient_accumulation_steps": 2, **changes})
    given = json.dumps([CHAT, model, wanted, rows, str(work), [processes, 1, deepspeed], launcher])
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN_BY_TEAM, given],
        cwd=ROOT,
        env=ENV | {"TEACHERGRID_CHECKPOINT_SECONDS": str(seconds), "TEACHERGRID_CACHE": str(cache or work / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(job: subprocess.Popen) -> dict:
    out, err = job.communicate()
    assert job.returncode == 0, err[-3000:]
    return {**json.loads(out.splitlines()[-1]), "said": out}


def losses(found: dict) -> list[float]:
    return [entry["loss"] for entry in found["log"]]


def weights(work: Path) -> str:
    return hashlib.sha256((work / "final/model.safetensors").read_bytes()).hexdigest()


def kill(job: subprocess.Popen, work: Path, step: int) -> set[int]:
    """End a job by kill -9 once its checkpoint of a step is complete. Return the processes that it had started, all ended by then."""
    while not (work / f"checkpoints/checkpoint-{step}/complete").exists():
        assert job.poll() is None, job.communicate()
        time.sleep(0.01)
    started = descendants(job.pid)
    job.send_signal(signal.SIGKILL)
    job.wait()
    end = time.monotonic() + 30
    while left := set(filter(lock.start_ticks, started)):
        assert time.monotonic() < end, left
        time.sleep(0.05)
    return started


def descendants(pid: int) -> set[int]:
    children = set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    return children.union(*map(descendants, children))
