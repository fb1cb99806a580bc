"""A student's folder: weights/, training.parquet, proof.html (what it was trained on), and student.json, which describes them."""

import json
import os
from pathlib import Path

from ..cost import weight_files
from ..errors import BadInput
from ..spec.ids import Student
from ..store import artifacts, origin, unfinished
from . import launch, proof
from .training import Training

# a file in weights/ from the end of a training until student.json is written
MADE = "made"


def train_student(folder: Path, training: Training, team: launch.Team, recipe: str, made_from: dict) -> dict:
    """Put weights and training log into a student's folder, and return the facts of the training (training.Trained).

    A training that was finished when its run was killed is not repeated. recipe: its name, for messages.
    """
    if facts := _finished(folder, made_from):
        return facts
    trained = launch.train(training, team, recipe)
    artifacts.write(folder / "training.parquet", trained.log, artifacts.TRAINING_LOG, made_from)
    origin.replace_text(trained.final / MADE, json.dumps({"key": origin.key(made_from), "facts": trained.facts}))
    origin.share(trained.final)
    if (page := training.work / proof.NAME).is_file():
        os.replace(page, folder / proof.NAME)
    unfinished.set_folder_aside(folder / "weights")
    os.replace(trained.final, folder / "weights")
    return trained.facts


def _finished(folder: Path, made_from: dict) -> dict | None:
    """Return the facts of a training that finished from the same inputs, or None."""
    path = folder / "weights" / MADE
    saved = json.loads(path.read_text()) if path.exists() else {}
    return saved["facts"] if saved.get("key") == origin.key(made_from) else None


def write_description(path: Path, student: str, facts: dict, made_from: dict) -> None:
    """Write student.json: the parts of the student's name, facts of its training, hashes of its weights.

    From then on the training counts as done: if the same one is requested again, it is run again.
    """
    names = {"student": student, **Student.parse(student)._asdict()}
    weights = path.parent / "weights"
    content = {**names, **facts, **weight_files.described(weights), "origin": made_from}
    origin.replace_text(path, json.dumps(content, indent=1, sort_keys=True))
    (weights / MADE).unlink(missing_ok=True)


def existing_weights(student: str, gpus: int) -> Path:
    """Return the folder of a student's weights, checked against its student.json.

    Args:
        student: path of its student.json.
        gpus: that its training would take, for the message.
    Raises:
        BadInput: when the weights were freed, may not be read, or are not those that student.json describes.
    """
    if (folder := weight_files.folder(student)) is None:
        name = Path(student).parent.name
        hours = weight_files.training_hours(name, gpus)
        raise BadInput(weight_files.refusal([weight_files.Freed(name, hours)]))
    return folder
