"""Let one teacher answer one set of instructions."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from teachergrid.data import generate, notes
from teachergrid.data.files import Notes
from teachergrid.job import context
from teachergrid.spec.settings import costs_of_responses
from teachergrid.store import artifacts, unfinished

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (parts, made_from):
        settings = costs_of_responses(parts, snakemake.config, snakemake.wildcards.responses)
        output = snakemake.output.responses
        instructions = artifacts.read(snakemake.input.instructions[0], artifacts.INSTRUCTIONS)
        source = snakemake.input.files[0] if snakemake.input.files else None
        found: Notes = Counter()
        place = generate.Place(Path(output).parents[1], f"{snakemake.rule}/{snakemake.wildcards.responses}")
        made = generate.respond(instructions, settings, unfinished.folder(output, made_from), source, found, place)
        notes.keep(output, found)
        artifacts.write_beside(f"{output}.cut", made.cut, artifacts.RESPONSES, made_from)
        artifacts.write(output, made.table, artifacts.RESPONSES, made_from, row_groups=made.row_groups)
