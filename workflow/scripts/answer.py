"""Let one model answer all tasks of a suite."""

from typing import TYPE_CHECKING

from teachergrid import artifacts, generation, instructions, job, students, work

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


if __name__ == "__main__":
    with job.running(snakemake) as (settings, made_from):
        folder = work.folder(snakemake.output.answers, made_from)
        items = instructions.load_tasks(settings["tasks"], snakemake.input.prompts)
        talk = settings.pop("reference")
        settings |= {"talk": talk, "format": talk["format"]}
        student = snakemake.input.student
        weights = students.existing_weights(student[0], snakemake.resources.gpu) if student else None
        rows = generation.answer(items, settings, folder, weights)
        artifacts.write(snakemake.output.answers, rows, artifacts.ANSWERS, made_from)
