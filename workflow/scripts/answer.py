"""Let one model answer all tasks of a suite."""

from typing import TYPE_CHECKING

from teachergrid import answering, artifacts, instructions, job, students, work
from teachergrid.settings import of_answers

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


if __name__ == "__main__":
    with job.running(snakemake) as (parts, made_from):
        folder = work.folder(snakemake.output.answers, made_from)
        settings = of_answers(parts)
        items = instructions.load_tasks(settings["tasks"], snakemake.input.prompts)
        student = snakemake.input.student
        weights = students.existing_weights(student[0], snakemake.resources.gpu) if student else None
        rows = answering.answer(items, settings, folder, weights)
        artifacts.write(snakemake.output.answers, rows, artifacts.ANSWERS, made_from)
