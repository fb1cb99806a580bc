"""Choose the rows of a derived corpus."""

from typing import TYPE_CHECKING

from teachergrid import artifacts, corpora, frames, inputs, job, metrics

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job.running(snakemake) as (settings, made_from):
        teachers, extras = inputs.by_teacher(snakemake.input.responses), metrics.extras(settings["metrics"])
        base = snakemake.wildcards.scorer
        rows_of = {name: frames.join_teacher(snakemake.input, base, name, **extras) for name in teachers}
        categories = {}
        for path in snakemake.input.instructions:
            table = artifacts.read(path, artifacts.INSTRUCTIONS, ["id", "category"])
            categories |= zip(table["id"].to_pylist(), table["category"].to_pylist(), strict=True)
        rows = corpora.select(settings["corpus"], settings["metrics"], rows_of, categories)
        corpora.write(snakemake.output.corpus, rows, made_from)
