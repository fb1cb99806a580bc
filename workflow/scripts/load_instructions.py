"""Read one set of instructions."""

from typing import TYPE_CHECKING

from teachergrid import artifacts, instructions, job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job.running(snakemake) as (settings, made_from):
        path = snakemake.input.files[0] if snakemake.input.files else None
        rows = instructions.load(path, settings["instructions"], snakemake.wildcards.instructions)
        # beside: the same instructions from another source must not make every teacher answer again
        artifacts.write(snakemake.output.instructions, rows, artifacts.INSTRUCTIONS, made_from, beside=True)
