"""Compare the answers of one model with those of a fixed opponent."""

from typing import TYPE_CHECKING

from teachergrid import artifacts, instructions, job, judges, work

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job.running(snakemake) as (settings, made_from):
        folder = work.folder(snakemake.output.scores, made_from)
        answers, baseline = (
            artifacts.read(path, artifacts.ANSWERS) for path in (snakemake.input.answers, snakemake.input.baseline[0])
        )
        items = instructions.load_tasks(settings["tasks"], snakemake.input.prompts)
        rows = judges.compare(answers, baseline, items, settings, folder)
        artifacts.write(snakemake.output.scores, rows, artifacts.SCORES, made_from)
