"""Let one model answer all tasks of a suite."""

from pathlib import Path
from typing import TYPE_CHECKING

from teachergrid import answering, artifacts, instructions, job, student_weights, work
from teachergrid.errors import BadInput
from teachergrid.settings import of_answers

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def weights_of(student: str, gpus: int) -> Path:
    """Return the folder of a student's weights. Raises BadInput when they were freed."""
    if (folder := student_weights.folder(student)) is None:
        name = Path(student).parent.name
        hours = student_weights.training_hours(name, gpus)
        raise BadInput(student_weights.refusal([student_weights.Freed(name, hours)]))
    return folder


if __name__ == "__main__":
    with job.running(snakemake) as (parts, made_from):
        folder = work.folder(snakemake.output.answers, made_from)
        settings = of_answers(parts)
        items = instructions.load_tasks(settings["tasks"], snakemake.input.prompts)
        weights = weights_of(snakemake.input.student[0], snakemake.resources.gpu) if snakemake.input.student else None
        rows = answering.answer(items, settings, folder, weights)
        artifacts.write(snakemake.output.answers, rows, artifacts.ANSWERS, made_from)
