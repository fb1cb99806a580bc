"""Ask a language model for verdicts on the answers of one model."""

from pathlib import Path
from typing import TYPE_CHECKING

from teachergrid.data import loading
from teachergrid.evaluation import asking, cases
from teachergrid.job import context
from teachergrid.spec.settings import costs_of_verdicts
from teachergrid.store import artifacts, unfinished

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (parts, made_from):
        output = snakemake.output.verdicts
        settings = costs_of_verdicts(parts, snakemake.config, snakemake.wildcards.judge)
        answers = artifacts.read(snakemake.input.answers, artifacts.ANSWERS)
        opponent = artifacts.read((*snakemake.input.baseline, snakemake.input.answers)[0], artifacts.ANSWERS)
        items = loading.load_tasks(settings["tasks"], snakemake.input.prompts)
        judged = cases.cases(answers, opponent, items, settings["judge"]["protocol"])
        job = "/".join((snakemake.rule, *snakemake.wildcards))
        rows = asking.ask(judged, settings, unfinished.folder(output, made_from), Path(output).parents[3], job)
        artifacts.write(output, rows, artifacts.VERDICTS, made_from)
