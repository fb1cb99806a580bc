"""Choose the rows of a derived corpus."""

from typing import TYPE_CHECKING

from teachergrid import artifacts, corpora, inputs, job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job.running(snakemake) as (settings, made_from):
        teachers = inputs.by_teacher(snakemake.input.responses)
        frames = {name: inputs.of_teacher(snakemake.input, snakemake.wildcards.scorer, name) for name in teachers}
        categories = {}
        for path in snakemake.input.instructions:
            table = artifacts.read(path, artifacts.INSTRUCTIONS, ["id", "category"])
            categories |= zip(table["id"].to_pylist(), table["category"].to_pylist(), strict=True)
        rows = corpora.select(settings["corpus"], settings["metrics"], frames, categories)
        corpora.write(snakemake.output.corpus, rows, made_from)
