"""Compare the answers of one model with those of a fixed opponent."""

from typing import TYPE_CHECKING

from teachergrid.data import loading
from teachergrid.evaluation import judge
from teachergrid.job import context, fingerprint
from teachergrid.store import artifacts, unfinished

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (settings, made_from):
        folder = unfinished.folder(snakemake.output.scores, made_from)
        answers = artifacts.read(snakemake.input.answers, artifacts.ANSWERS)
        opponent = snakemake.input.baseline
        baseline = artifacts.read(opponent[0], artifacts.ANSWERS) if opponent else answers
        items = loading.load_tasks(settings["tasks"], snakemake.input.prompts)
        decisive = [*opponent, *snakemake.input.prompts]
        made_with = fingerprint.fingerprint(snakemake.rule)
        kept = unfinished.of_opponent(snakemake.output.scores, made_from, decisive, made_with)
        rows = judge.compare(answers, baseline, items, settings, folder, kept)
        artifacts.write(snakemake.output.scores, rows, artifacts.SCORES, made_from)
