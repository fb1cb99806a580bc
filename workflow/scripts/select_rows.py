"""Choose the rows of a derived corpus."""

from typing import TYPE_CHECKING

from teachergrid.job import context
from teachergrid.metrics import join, measure
from teachergrid.store import artifacts, inputs
from teachergrid.training import pairs, select

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (settings, made_from):
        teachers, extras = inputs.by_teacher(snakemake.input.responses), measure.extras(settings["metrics"])
        base = snakemake.wildcards.scorer
        rows_of = {name: join.join_teacher(snakemake.input, base, name, **extras) for name in teachers}
        categories: dict[str, str | None] = {}
        for path in snakemake.input.instructions:
            table = artifacts.read(path, artifacts.INSTRUCTIONS, ["id", "category"])
            categories |= zip(table["id"].to_pylist(), table["category"].to_pylist(), strict=True)
        rows = select.select(settings["corpus"], settings["metrics"], rows_of, categories)
        found = pairs.paired(settings["corpus"], settings["metrics"], rows_of)
        pairs.write(snakemake.output.corpus, found, snakemake.input.instructions, teachers, made_from)
        select.write(snakemake.output.corpus, rows, made_from)
