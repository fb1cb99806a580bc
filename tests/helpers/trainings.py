"""Trainings of a tiny model in processes of their own."""

import json
import subprocess
import sys
from pathlib import Path

import tiny
from teachergrid.spec import schema
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


def start(model: dict, work: Path, processes: int, launcher=None, seconds: float = 600, rows=LENGTHS, **changes):
    """Start a job that trains with so many processes; launcher: a command in place of torchrun."""
    wanted = recipe(**{"gradient_accumulation_steps": 2, **changes})
    given = json.dumps([CHAT, model, wanted, rows, str(work), [processes], launcher])
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN_BY_TEAM, given],
        cwd=ROOT,
        env=ENV | {"TEACHERGRID_CHECKPOINT_SECONDS": str(seconds), "TEACHERGRID_CACHE": str(work / "cache")},
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
