"""Fine-tune one student."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from teachergrid.job import context
from teachergrid.spec.ids import Student
from teachergrid.store import inputs, unfinished
from teachergrid.training import examples, launch, students
from teachergrid.training.training import Training

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (settings, made_from):
        student, output = snakemake.wildcards.student, Path(snakemake.output.student)
        output.parent.mkdir(parents=True, exist_ok=True)
        work = unfinished.folder(snakemake.output.student, made_from)
        corpus = snakemake.input.corpus[0] if snakemake.input.corpus else None
        teachers = inputs.by_teacher(snakemake.input.responses)
        rows, left_out = examples.examples(teachers, corpus, snakemake.input.instructions)
        recipe = settings["recipe"]
        rows, cut = examples.unfinished(rows, teachers, recipe["unfinished"])
        pairs = [(row.messages, row.response) for row in rows]
        base, model, seed = (settings[key] for key in ("base", "model", "seed"))
        training = Training(pairs, base, model, recipe, seed, work, cut.rows, [row.id for row in rows])
        team = launch.team(snakemake.resources)
        facts = students.train_student(output.parent, training, team, Student.parse(student).recipe, made_from)
        counts = {"left_out": left_out | {"unfinished": cut.left_out}, "without_end_token": len(cut.rows)}
        students.write_description(output, student, {**facts, **counts}, made_from)
        # the checkpoints are large and no longer needed
        shutil.rmtree(work)
