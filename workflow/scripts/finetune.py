"""Fine-tune one student."""

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from teachergrid import artifacts, corpora, inputs, job, launch, origin
from teachergrid import work as unfinished
from teachergrid.ids import Student

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def trained(
    folder: Path, settings: dict, rows: list, work: Path, made_from: dict, team: launch.Team, name: str
) -> dict:
    """Put weights and training log into the student's folder and return the facts of the training."""
    pairs = [row[:2] for row in rows]
    base, model, recipe, seed = (settings[key] for key in ("base", "model", "recipe", "seed"))
    final, facts, log = launch.train(pairs, base, model, recipe, seed, work, team, name)
    artifacts.write(folder / "training.parquet", log, artifacts.TRAINING_LOG, made_from)
    (final / "made").write_text(json.dumps({"key": origin.key(made_from), "facts": facts}))
    shutil.rmtree(folder / "weights", ignore_errors=True)
    os.replace(final, folder / "weights")
    return facts


def finished(folder: Path, made_from: dict) -> dict | None:
    """Return the facts of a training that was finished when its run was killed, or None."""
    made = folder / "weights/made"
    found = json.loads(made.read_text()) if made.exists() else {}
    return found["facts"] if found.get("key") == origin.key(made_from) else None


if __name__ == "__main__":
    with job.running(snakemake) as (settings, made_from):
        student = snakemake.wildcards.student
        folder = Path(snakemake.output.student).parent
        folder.mkdir(parents=True, exist_ok=True)
        work = unfinished.folder(snakemake.output.student, made_from)
        chosen = snakemake.input.corpus[0] if snakemake.input.corpus else None
        teachers = inputs.by_teacher(snakemake.input.responses)
        rows, left_out = corpora.examples(teachers, chosen, snakemake.input.instructions)
        parts = Student.parse(student)
        team = launch.team(snakemake.resources)
        facts = finished(folder, made_from) or trained(folder, settings, rows, work, made_from, team, parts.recipe)
        weights = {path.name: origin.sha256(path) for path in sorted((folder / "weights").glob("*.safetensors"))}
        content = {
            "student": student,
            **parts._asdict(),
            **facts,
            "left_out": left_out,
            "weights": weights,
            "origin": made_from,
        }
        origin.replace_text(snakemake.output.student, json.dumps(content, indent=1, sort_keys=True))
        # it has served: a training that is asked for again is one
        (folder / "weights/made").unlink(missing_ok=True)
        # only the facts are needed from here on, and checkpoints are large
        shutil.rmtree(work)
