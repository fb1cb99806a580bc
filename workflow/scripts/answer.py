"""Let one model answer all tasks of a suite, or read the answers that it gave elsewhere."""

from typing import TYPE_CHECKING

from teachergrid.data import loading
from teachergrid.evaluation import answer, prompting
from teachergrid.job import context
from teachergrid.spec.settings import costs_of_answers, of_answers
from teachergrid.store import artifacts, unfinished
from teachergrid.training import students

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


if __name__ == "__main__":
    with context.running(snakemake) as (parts, made_from):
        output = snakemake.output.answers
        paths = snakemake.input.prompts  # of the tasks, then of their examples
        items = loading.load_tasks(parts["tasks"], paths[: len(parts["tasks"])])
        if parts["reference"]["engine"] is not None:
            rows, cut = answer.read(items, parts["reference"], snakemake.input.files), artifacts.ANSWERS.empty_table()
        else:
            folder = unfinished.folder(output, made_from)
            settings = of_answers(costs_of_answers(parts, snakemake.config, *snakemake.wildcards))
            examples = prompting.examples_of(settings["tasks"], paths[len(items) :], settings["format"])
            student = snakemake.input.student
            weights = students.existing_weights(student[0], snakemake.resources.gpu) if student else None
            rows, cut = answer.answer(items, settings, folder, weights, examples)
        artifacts.write_beside(f"{output}.cut", cut, artifacts.ANSWERS, made_from)
        artifacts.write(output, rows, artifacts.ANSWERS, made_from)
