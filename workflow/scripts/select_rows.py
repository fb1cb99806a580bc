"""Choose the rows of a derived corpus."""

from typing import TYPE_CHECKING

from teachergrid import artifacts, corpora, inputs, job, metrics

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job.running(snakemake) as (settings, made_from):
        teachers, wanted = inputs.by_teacher(snakemake.input.responses), metrics.wanted(settings["metrics"])
        base = snakemake.wildcards.scorer
        frames = {name: inputs.of_teacher(snakemake.input, base, name, **wanted) for name in teachers}
        categories = {}
        for path in snakemake.input.instructions:
            table = artifacts.read(path, artifacts.INSTRUCTIONS, ["id", "category"])
            categories |= zip(table["id"].to_pylist(), table["category"].to_pylist(), strict=True)
        rows = corpora.select(settings["corpus"], settings["metrics"], frames, categories)
        corpora.write(snakemake.output.corpus, rows, made_from)
