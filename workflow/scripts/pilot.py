"""Rank the teachers of a grid for each base, and say which are kept."""

import json
from typing import TYPE_CHECKING

from teachergrid.analysis import pilot
from teachergrid.job import context
from teachergrid.store import origin

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (settings, made_from):
        result = pilot.result(settings, snakemake.input, snakemake.wildcards.grid)
        origin.replace_text(snakemake.output.pilot, json.dumps({**result, "origin": made_from}, indent=1) + "\n")
