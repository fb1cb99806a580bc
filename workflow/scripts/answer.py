"""Let one model answer all tasks of a suite."""

from pathlib import Path
from typing import TYPE_CHECKING

from teachergrid import artifacts, generation, instructions, job, work
from teachergrid.errors import BadInput

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def weights_of(student: str) -> Path:
    """Return the folder of a student's weights."""
    folder = Path(student).parent / "weights"
    if not folder.is_dir():
        raise BadInput(
            f"{folder}: the weights of this student were freed; train it again: snakemake -R finetune {student}"
        )
    return folder


if __name__ == "__main__":
    with job.running(snakemake) as (settings, made_from):
        folder = work.folder(snakemake.output.answers, made_from)
        items = instructions.load_tasks(settings["tasks"], snakemake.input.prompts)
        talk = settings.pop("reference")
        settings |= {"talk": talk, "format": talk["format"]}
        weights = weights_of(snakemake.input.student[0]) if snakemake.input.student else None
        rows = generation.answer(items, settings, folder, weights)
        artifacts.write(snakemake.output.answers, rows, artifacts.ANSWERS, made_from)
