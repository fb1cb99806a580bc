"""Turn the results of a grid's cells into its tables and its recommendation."""

from typing import TYPE_CHECKING

from teachergrid.decisions import summary
from teachergrid.job import context

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (settings, made_from):
        results = summary.read_results(snakemake.input)
        summary.write(snakemake.output, summary.summarise(settings, results), made_from)
