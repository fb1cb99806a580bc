"""Compute one model's loss of the reference answers of a suite."""

from typing import TYPE_CHECKING

from teachergrid.data import loading
from teachergrid.evaluation import judge
from teachergrid.job import context
from teachergrid.spec.settings import of_likelihoods
from teachergrid.store import artifacts, unfinished
from teachergrid.training import students

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (parts, made_from):
        output, student = snakemake.output.scores, snakemake.input.student
        items = loading.load_tasks(parts["tasks"], snakemake.input.prompts)
        settings = of_likelihoods(parts) if "model" in parts else None
        weights = students.existing_weights(student[0], snakemake.resources.gpu) if student else None
        scores = judge.losses(items, settings, unfinished.folder(output, made_from), weights)
        artifacts.write(output, scores, artifacts.SCORES, made_from)
