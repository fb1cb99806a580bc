"""Measure one corpus for one base."""

from typing import TYPE_CHECKING

from teachergrid.job import context
from teachergrid.metrics import join, measure
from teachergrid.spec.seeds import derived_seed
from teachergrid.store import artifacts

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (settings, made_from):
        base, corpus = snakemake.wildcards.base, snakemake.wildcards.corpus
        corpus_rows = snakemake.input.corpus[0] if snakemake.input.corpus else None
        extras = measure.extras(settings["metrics"])
        rows = join.join_files(snakemake.input, base, corpus_rows, snakemake.input.instructions, **extras)
        # the intervals' seed depends on the cell alone, so that another grid that shares it draws the same
        metric_rows = measure.measure(settings["metrics"], rows, derived_seed(0, f"{base}/{corpus}"))
        artifacts.write(snakemake.output.metrics, metric_rows, artifacts.METRICS, made_from)
