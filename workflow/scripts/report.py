"""Write the page of a grid."""

from typing import TYPE_CHECKING

from teachergrid.analysis import verdicts
from teachergrid.data import loading
from teachergrid.engines import request_log
from teachergrid.evaluation import trust
from teachergrid.job import context
from teachergrid.report import page, read, samples
from teachergrid.store import artifacts, origin
from teachergrid.store.results import RESULTS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (settings, made_from):
        files = snakemake.input
        prompts = loading.load_tasks(settings["tasks"], files.prompts)
        data = read.grid(files, prompts, settings, RESULTS, request_log.paid_by)
        judged = trust.first_hand(files.judged)
        data["trust"] = trust.as_json(trust.of_files(judged))
        data["verdicts"] = samples.with_questions(verdicts.shown(judged), prompts)
        artifacts.write(snakemake.output.contamination, data["contamination"], artifacts.CONTAMINATION, made_from)
        origin.write_beside(snakemake.output.report, made_from)
        origin.replace_text(snakemake.output.report, page.build(data))
