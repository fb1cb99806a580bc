"""Read what a language model said about the answers of one model, and score them; derived judges hold length or style fixed."""

from typing import TYPE_CHECKING

from teachergrid.data import loading
from teachergrid.evaluation import controls
from teachergrid.job import context
from teachergrid.store import artifacts

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (settings, made_from):
        answers = artifacts.read(snakemake.input.answers, artifacts.ANSWERS)
        opponent = artifacts.read((*snakemake.input.baseline, snakemake.input.answers)[0], artifacts.ANSWERS)
        verdicts = artifacts.read(snakemake.input.verdicts[0], artifacts.VERDICTS)
        items = loading.load_tasks(settings["tasks"], snakemake.input.prompts)
        made = controls.scored(answers, opponent, items, verdicts, settings["judge"], *snakemake.input.files)
        controls.write_fit(f"{snakemake.output.scores}.fit", made.fit)
        artifacts.write(snakemake.output.scores, made.table, artifacts.SCORES, made_from)
