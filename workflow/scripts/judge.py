"""Compare the answers of one model with those of a fixed opponent."""

from typing import TYPE_CHECKING

from teachergrid import artifacts, instructions, job, judges, work

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job.running(snakemake) as (settings, made_from):
        folder = work.folder(snakemake.output.scores, made_from)
        answers = artifacts.read(snakemake.input.answers, artifacts.ANSWERS)
        opponent = snakemake.input.baseline
        baseline = artifacts.read(opponent[0], artifacts.ANSWERS) if opponent else answers
        items = instructions.load_tasks(settings["tasks"], snakemake.input.prompts)
        rows = judges.compare(answers, baseline, items, settings, folder)
        artifacts.write(snakemake.output.scores, rows, artifacts.SCORES, made_from)
