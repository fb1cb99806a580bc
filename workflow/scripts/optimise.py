"""Let a model improve the method by which it evolves instructions."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from teachergrid.evolution import optimise
from teachergrid.job import context
from teachergrid.spec.settings import costs_of_methods
from teachergrid.store import artifacts, origin, unfinished

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (parts, made_from):
        name, output = snakemake.wildcards.evolution, snakemake.output.method
        settings = costs_of_methods(parts, snakemake.config, name)
        rows = artifacts.read(snakemake.input.instructions[0], artifacts.INSTRUCTIONS).to_pylist()
        ask = optimise.asker(
            settings, unfinished.folder(output, made_from), Path(output).parents[1], f"{snakemake.rule}/{name}"
        )
        found = optimise.optimise(name, rows, settings["optimise"], ask)
        origin.write_beside(output, made_from)
        origin.replace_text(output, json.dumps(found, ensure_ascii=False, indent=1))
