"""Measure one corpus for one base."""

from typing import TYPE_CHECKING

from teachergrid import artifacts, frames, job, metrics
from teachergrid.seeds import derived_seed

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job.running(snakemake) as (settings, made_from):
        base, corpus = snakemake.wildcards.base, snakemake.wildcards.corpus
        chosen = snakemake.input.corpus[0] if snakemake.input.corpus else None
        extras = metrics.extras(settings["metrics"])
        rows = frames.join_files(snakemake.input, base, chosen, snakemake.input.instructions, **extras)
        # the intervals' seed depends on the cell alone, so that another grid that shares it draws the same
        measured = metrics.measure(settings["metrics"], rows, derived_seed(0, f"{base}/{corpus}"))
        artifacts.write(snakemake.output.metrics, measured, artifacts.METRICS, made_from)
