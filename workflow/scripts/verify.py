"""Check the answers of one model against reference answers."""

from typing import TYPE_CHECKING

from teachergrid import artifacts, instructions, job, judges

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job.running(snakemake) as (settings, made_from):
        items = instructions.load_tasks(settings["tasks"], snakemake.input.prompts)
        answers = artifacts.read(snakemake.input.answers, artifacts.ANSWERS)
        rows = judges.verify_answers(answers, items, settings["tasks"])
        artifacts.write(snakemake.output.scores, rows, artifacts.SCORES, made_from)
