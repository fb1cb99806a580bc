"""Count what is wrong with a teacher's responses."""

from typing import TYPE_CHECKING

from teachergrid.data import health, notes
from teachergrid.job import context
from teachergrid.store import artifacts

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (settings, made_from):
        responses = artifacts.read(snakemake.input.responses, artifacts.RESPONSES)
        instructions = artifacts.read(snakemake.input.instructions[0], artifacts.INSTRUCTIONS)
        rows = health.check(responses, instructions, settings["health"])
        rows += health.reading([notes.kept(path) for path in snakemake.input], responses.num_rows)
        artifacts.write(snakemake.output.health, rows, artifacts.HEALTH, made_from)
