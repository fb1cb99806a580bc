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
        corpus = snakemake.output.corpus
        # origin and reasons beside: the same rows chosen by another setting must train no student again
        artifacts.write(f"{corpus}.why", rows, artifacts.CORPUS, made_from)
        artifacts.write(corpus, rows, artifacts.CORPUS_ROWS, made_from, beside=True)
