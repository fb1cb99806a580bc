"""Choose the rows of a derived corpus."""

from typing import TYPE_CHECKING

from teachergrid import artifacts, corpora, inputs, job, metrics

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job.running(snakemake) as (settings, made_from):
        entry, (metric,) = settings["corpus"], settings["metrics"].values()
        teachers, wanted = inputs.by_teacher(snakemake.input.responses), metrics.wanted(settings["metrics"])
        base = snakemake.wildcards.scorer
        frames = {name: inputs.of_teacher(snakemake.input, base, name, **wanted) for name in teachers}
        rows = corpora.select(entry, metric, frames, entry["seed"])
        # beside: the same rows chosen by another setting must train no student again
        artifacts.write(snakemake.output.corpus, rows, artifacts.CORPUS, made_from, beside=True)
