"""The weights of students: where they are, whether they are those of student.json, freeing them, what training again costs."""

import json
import os
import shlex
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

from ..errors import BadInput
from ..hub import folders
from ..store.contents import Contents
from ..store.disk import size
from ..store.results import RESULTS
from .storage import HasRows

MODEL, ADAPTER = "*.safetensors", "adapter/*.safetensors"  # in a folder of weights


class Freed(NamedTuple):
    """A student whose weights were freed."""

    student: str
    gpu_hours: float | None  # that its training took; None where unknown


class PlannedJob(TypedDict):
    job: str  # its rule and its cell


def folder(student: str | Path) -> Path | None:
    """Return the folder of a student's weights, or None when they were freed. student: path of its student.json.

    Raises BadInput as `check` does: the weights are those that student.json describes.
    """
    if are_freed(student):
        return None
    weights = Path(student).parent / "weights"
    if Path(student).exists():  # each job that loads a student has it as an input
        check(student, weights)
    return weights


def are_freed(student: str | Path) -> bool:
    """Whether a student's weights were freed. A folder that may not be read was not. student: path of its student.json."""
    try:
        return not present(Path(student).parent / "weights")
    except PermissionError:
        return False


def present(weights: Path) -> list[str]:
    """Return the names of the files of weights in a folder, relative to it and sorted; those of an adapter too.

    Raises PermissionError where a folder may not be read: for `glob` it would be empty.
    """
    names = []
    for folder in (weights, weights / "adapter"):
        try:
            files = os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            continue
        names += [
            str((folder / name).relative_to(weights))
            for name in files
            if folders.is_safetensors(name) or (folders.is_pickled(name) and name.endswith(".bin"))
        ]
    return sorted(names)


def described(weights: Path) -> dict[str, dict[str, str]]:
    """Return {"weights": {file: sha256}, "adapter": the same}, as student.json describes a folder; "adapter" where there is one.

    Digests are remembered in the user's cache, so that large files are read once. Raises PermissionError.
    """
    contents = Contents(weights)
    digests = {name: contents.of(str(weights / name)) for name in present(weights)}
    contents.save()
    adapter = {name: digest for name, digest in digests.items() if "/" in name}
    whole = {name: digest for name, digest in digests.items() if "/" not in name}
    return {"weights": whole} | ({"adapter": adapter} if adapter else {})


def check(student: str | Path, weights: Path) -> None:
    """Check the weights that a job is about to load against those that student.json describes.

    Where only the adapter was kept, it is merged into the base; then the base must be the one that it was trained on.

    Args:
        student: path of its student.json.
        weights: folder of its weights.
    Raises:
        BadInput: a file is missing, is one too many, has other contents or may not be read; or the base's folder changed.
    """
    remedy = f"put the right file back, or train the student again: {training_command([Path(student).parent.name])}"
    try:
        recorded = json.loads(Path(student).read_text())
        made_from, models = recorded["origin"], dict(recorded["weights"])
        adapters, bases = dict(recorded.get("adapter", {})), dict(made_from.get("folders", {}))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{student}: does not describe the student's weights ({error!r}); {remedy}") from error
    try:
        folders.refuse_unreadable(str(weights))
        found = described(weights)
        if found["weights"]:
            refuse_difference(student, weights, models, found["weights"], remedy)
            return
        if adapters:  # older versions did not describe them
            refuse_difference(student, weights, adapters, found.get("adapter", {}), remedy)
        now = {folder: folders.digest(folder, Contents(folder)) for folder in bases}
    except PermissionError as error:
        raise folders.denied(error) from error
    refuse_difference(student, "the base to which the adapter belongs", bases, now, remedy)


def refuse_difference(
    student: str | Path, what: str | Path, recorded: dict[str, str], found: dict[str, str], remedy: str
) -> None:
    """Raise BadInput where {file or folder: digest} is another one than student.json records. what: is compared, for the message."""
    if found != recorded:
        raise BadInput(f"{what}: {folders.differing(recorded, found)} in {student}; {remedy}")


def release(student: str | Path, keep: str) -> int:
    """Delete the part of a student's weights that its recipe does not keep. Return the freed bytes.

    Files outside the weights' folder stay: the training log, and student.json, so that nothing is trained again.

    Args:
        student: path of its student.json.
        keep: `adapter` or `none`.
    Raises:
        BadInput: when an adapter is to be kept and there is none.
    """
    weights = Path(student).parent / "weights"
    before = size(weights) if weights.exists() else 0
    if keep == "none":
        shutil.rmtree(weights, ignore_errors=True)
        return before
    if any(weights.glob(MODEL)) and not any(weights.glob(ADAPTER)):
        raise BadInput(f"{weights}: has no adapter to keep; train the student again, or set `keep` to model or none")
    # `made` says that the complete model is here, so it is deleted first; tokenizer and configs are small and still needed
    for path in (weights / "made", *weights.glob(f"{MODEL}*")):
        path.unlink(missing_ok=True)
    return before - (size(weights) if weights.exists() else 0)


def training_hours(student: str, gpus: int) -> float | None:
    """Return the GPU-hours that a student's training took, or None without its benchmark.

    Without GPUs these are the hours of the process.
    """
    path = Path(RESULTS, f"benchmarks/finetune/{student}.jsonl")
    if not path.exists():
        return None
    return sum(json.loads(line)["s"] for line in path.read_text().splitlines()) * max(gpus, 1) / 3600


def training_command(students: Iterable[str], options: Sequence[str] = ()) -> str:
    """Return the command that trains the same weights again, and nothing else: the answers that exist stay as they are.

    options: Snakemake's.
    """
    paths = [f"{RESULTS}/students/{student}/student.json" for student in students]
    return shlex.join(["teachergrid", "run", *options, "--force", *paths])


def freed_but_needed(jobs: Iterable[PlannedJob], cells: HasRows) -> list[Freed]:
    """Return the students that planned answers and losses need and whose weights were freed, in the order of their names.

    A student that is planned to be trained anyway does not count.

    Args:
        jobs: as planning.graph.described returns them.
    """
    planned: dict[str, set[str]] = {"answer": set(), "loss": set(), "finetune": set()}
    for job in jobs:
        rule, cell = job["job"].split()
        if rule in planned:
            planned[rule].add(cell.split("/")[0])
    rows = cells.rows["finetune"]
    students = sorted(((planned["answer"] | planned["loss"]) & rows.keys()) - planned["finetune"])
    freed = [name for name in students if are_freed(f"{RESULTS}/students/{name}/student.json")]
    return [Freed(name, training_hours(name, rows[name]["gpus"])) for name in freed]


def any_freed() -> bool:
    """Whether the weights of any student were freed."""
    return any(Path(RESULTS, "students").glob("*/freed.json"))


def refusal(freed: Sequence[Freed], options: Sequence[str] = ()) -> str:
    """Return what to tell the user about students whose weights are needed and were freed. options: Snakemake's."""
    known_hours = [hours for _, hours in freed if hours is not None]
    unknown = f" ({len(freed) - len(known_hours)} of them unknown)" if len(known_hours) < len(freed) else ""
    command = training_command([student for student, _ in freed], options)
    return (
        f"answers of {len(freed)} students are to be written, and their weights were freed (`keep` in the recipe). Training "
        f"them again takes about {sum(known_hours):.2g} GPU-hours{unknown} and gives the same weights: {command} (then run again)"
    )
