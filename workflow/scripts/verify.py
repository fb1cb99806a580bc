"""Check the answers of one model against reference answers."""

from typing import TYPE_CHECKING

from teachergrid.data import loading
from teachergrid.evaluation import judge
from teachergrid.job import context
from teachergrid.store import artifacts

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (settings, made_from):
        items = loading.load_tasks(settings["tasks"], snakemake.input.prompts)
        answers = artifacts.read(snakemake.input.answers, artifacts.ANSWERS)
        rows = judge.verify_answers(answers, items, settings["tasks"])
        artifacts.write(snakemake.output.scores, rows, artifacts.SCORES, made_from)
