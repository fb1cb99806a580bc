"""Space of a grid: what it will need, what can go, what went, and what to say when a disk is full."""

import errno
import json
import os
import re
import shlex
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from . import costs, units, work
from .errors import BadInput

RESULTS = "results"
MODEL, ADAPTER = "*.safetensors", "adapter/*.safetensors"  # in a student's weights
# pyarrow and Python raise OSError, safetensors and torch errors of their own; torch names no cause
FULL = re.compile(r"No space left on device|Disk quota exceeded|inline_container.*unexpected pos", re.DOTALL)
OLD_LOG_DAYS = 7

# Bytes a weight: of a student by its recipe's dtype, and of a checkpoint (float32, and two more numbers of Adam's).
SAVED, TRAINED = {"float32": 4, "bfloat16": 2}, 12
# the newest checkpoint may be half written when the power goes, so the one before it stays
CHECKPOINTS = 2
# of a model's weights, at rank 64 on all linear layers
ADAPTER_SHARE = 0.03
SHARE_KEPT = {"model": 1, "adapter": ADAPTER_SHARE, "none": 0}
# Bytes: a row's id and counts; a token's text; its log-probability and rank (measured, compressed).
ROW, TEXT, LIKELIHOOD = 25, 3, 8


# --- what a grid will need


def peak(cells, at_once: int) -> dict[str, int]:
    """Return the bytes that a grid holds at its worst moment: responses, likelihoods, answers, students, checkpoints.

    at_once: jobs that run at the same time. A student that is freed counts as long as it trains or is being examined.
    """
    rows = cells.rows
    tables = {
        "responses": sum(table(row, TEXT) for row in rows["generate"].values()),
        # two text formats; the passes of a job see the tokens several times
        "likelihoods": sum(2 * table(row, LIKELIHOOD / costs.LIKELIHOOD_PASSES) for row in rows["likelihood"].values()),
        "answers": sum(table(row, TEXT) for row in rows["answer"].values()),
    }
    students = rows["finetune"].values()
    stay = sum(saved(row) * SHARE_KEPT[row["keep"]] for row in students)
    passing = sorted(saved(row) * (1 - SHARE_KEPT[row["keep"]]) for row in students)
    checkpoints = sorted(
        CHECKPOINTS * weights(row) * TRAINED * (ADAPTER_SHARE if row["lora"] else 1) for row in students
    )
    return {
        **tables,
        "students": int(stay + sum(passing[-2 * at_once :])),
        "checkpoints": int(sum(checkpoints[-at_once:])),
    }


def table(row: dict, per_token: float) -> int:
    return int(row["rows"] * (ROW + row["tokens"] * per_token))


def weights(row: dict) -> float:
    """Return how many weights a model has."""
    return 1e9 * (costs.UNKNOWN_PARAMETERS if row["parameters"] is None else row["parameters"])


def saved(row: dict) -> float:
    return weights(row) * SAVED[row["dtype"]]


def lacking(cells, at_once: int, results: str = RESULTS) -> str | None:
    """Return a sentence when the disk cannot hold what a grid will need beside what is there, else None."""
    needed = peak(cells, at_once)
    more = sum(needed.values()) - sum(size(path) for path in Path(results).glob("[!.]*"))
    if more <= (room := free_bytes(results)):
        return None
    parts = ", ".join(f"{name} {units.size(n)}" for name, n in sorted(needed.items(), key=lambda item: -item[1]) if n)
    return (
        f"{results} will need up to {units.size(more)} more ({parts}) and has {units.size(room)} free; `keep: none` or "
        "`keep: adapter` in a recipe frees students after their last answer, fewer jobs at once hold fewer checkpoints"
    )


def free_bytes(path) -> int:
    """Return what a user may still write where this path lies, or will lie. A quota does not show."""
    path = Path(path).absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(file.lstat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if not file.is_dir())


# --- what can go, and what went


def what_can_go(results: str = RESULTS) -> list[tuple[Path, int, str]]:
    """Return (path, bytes, why it is no longer needed), the largest first."""
    found = []
    for folder in Path(results, "students").glob("*/weights"):
        suites = sorted(path.stem for path in Path(results, "answers", folder.parent.name).glob("*.parquet"))
        if suites:
            found.append((folder, size(folder), f"its answers to {', '.join(suites)} exist"))
    found += [(path, size(path), "work on an output that is finished") for path in work.finished(results)]
    logs = Path(results, "logs/slurm")
    before = time.time() - OLD_LOG_DAYS * 86400
    if old := [path.stat().st_size for path in logs.rglob("*.log") if path.stat().st_mtime < before]:
        found.append((logs, sum(old), f"{len(old)} SLURM logs older than {OLD_LOG_DAYS} days"))
    return sorted(found, key=lambda item: (-item[1], item[0]))


def student_weights(student: str) -> Path | None:
    """Return the folder of a student's weights, or None when they were freed. student: path of its student.json."""
    folder = Path(student).parent / "weights"
    there = any(folder.glob(MODEL)) or any(folder.glob(ADAPTER))
    return folder if there else None


def release(student: str, keep: str) -> int:
    """Delete what a recipe does not keep of a student's weights, and return the bytes that this freed.

    keep: adapter, or none. What lies beside the weights stays: student.json, from which nothing is trained again, and the
    training log. Raises BadInput when an adapter is to stay and there is none beside the weights.
    """
    folder = Path(student).parent / "weights"
    before = size(folder) if folder.exists() else 0
    if keep == "none":
        shutil.rmtree(folder, ignore_errors=True)
        return before
    if any(folder.glob(MODEL)) and not any(folder.glob(ADAPTER)):
        raise BadInput(f"{folder}: has no adapter to keep; train the student again, or set `keep` to model or none")
    # `made` says that the whole model lies here, so it goes first; tokenizer and configs are small and still needed
    for path in (folder / "made", *folder.glob(f"{MODEL}*")):
        path.unlink(missing_ok=True)
    return before - (size(folder) if folder.exists() else 0)


def cost(student: str, gpus: int, results: str = RESULTS) -> float | None:
    """Return the GPU-hours that a student's training took (hours of a process without GPUs), if its benchmark is there."""
    path = Path(results, f"benchmarks/finetune/{student}.jsonl")
    if not path.exists():
        return None
    return sum(json.loads(line)["s"] for line in path.read_text().splitlines()) * max(gpus, 1) / 3600


def training_command(students: list[str], options=(), results: str = RESULTS) -> str:
    """Return what makes the same weights again, and nothing else: the answers that exist stay as they are."""
    paths = [f"{results}/students/{student}/student.json" for student in students]
    return shlex.join(["teachergrid", "run", *options, "--force", *paths])


def freed_but_needed(jobs: list[dict], cells, options=(), results: str = RESULTS) -> list[tuple]:
    """Return (student, GPU-hours or None, command) of students that planned answers need and whose weights were freed.

    jobs: as `planning.graph.plan` returns them; a student that is planned to be trained anyway does not count. options: Snakemake's,
    for the command.
    """
    planned = {"answer": set(), "finetune": set()}
    for job in jobs:
        rule, cell = job["job"].split()
        if rule in planned:
            planned[rule].add(cell.split("/")[0])
    rows = cells.rows["finetune"]
    students = sorted((planned["answer"] & rows.keys()) - planned["finetune"])
    freed = [name for name in students if not student_weights(f"{results}/students/{name}/student.json")]
    return [
        (name, cost(name, rows[name]["gpus"], results), training_command([name], options, results)) for name in freed
    ]


def refusal(freed: list[tuple], options=(), results: str = RESULTS) -> str:
    """Return what to tell the user about the students that `freed_but_needed` found."""
    known = [hours for _, hours, *_ in freed if hours is not None]
    unknown = f" ({len(freed) - len(known)} of them unknown)" if len(known) < len(freed) else ""
    command = training_command([student for student, *_ in freed], options, results)
    return (
        f"answers of {len(freed)} students are to be written, and their weights were freed (`keep` in the recipe). Training "
        f"them again takes about {sum(known):.2g} GPU-hours{unknown} and gives the same weights: {command} (then run again)"
    )


# --- when a disk is full


def full(error: BaseException, outputs) -> str | None:
    """Return what to tell the user when a full disk or quota is behind an error, else None.

    Deletes the half-written files of the outputs: they are of no use, and the log needs room for this very message.
    """
    chain = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    found = next((match[0] for e in chain if (match := FULL.search(str(e)))), None)
    if found is None:
        return None
    halves = [path for output in outputs if (path := Path(f"{output}.part")).exists()]
    written = sum(map(size, halves))
    # libraries rarely tell where they wrote; a full disk shows, a quota does not
    quota = "quota" in found
    places = [outputs[0]] if quota else [outputs[0], tempfile.gettempdir(), os.environ.get("HF_HOME", Path.home())]
    place = next((e.filename for e in chain if getattr(e, "filename", None)), min(places, key=free_bytes))
    room = free_bytes(place)
    for path in halves:
        path.unlink()
    return (
        f"disk full: {'Disk quota exceeded' if quota else 'No space left on device'} at {place} ({units.size(room)} free)"
        f"{f', {units.size(written)} of {outputs[0]} were written' if written else ''}; {_advice(Path(outputs[0]).parts[0])}"
    )


def _advice(results: str) -> str:
    can_go = what_can_go(results)
    if not can_go:
        return "nothing of these results can go: make room, then run again"
    largest = "; ".join(f"{path} ({units.size(n)}, {why})" for path, n, why in can_go[:3])
    total = units.size(sum(n for _, n, _ in can_go))
    return f"{total} can go, the largest: {largest}. Delete some, then run again"


@contextmanager
def spared():
    """Leave out a write for which there is no space."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def filled(folder) -> bool:
    """Whether a log of a few lines has no place in a folder."""
    return os.path.exists(folder) and shutil.disk_usage(folder).free < 65_536
