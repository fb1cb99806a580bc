"""Rank the teachers of a grid for each base, and say which are kept."""

import json
from typing import TYPE_CHECKING

from teachergrid import job, origin, pilot_ranking

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job.running(snakemake) as (settings, made_from):
        result = pilot_ranking.result(settings, snakemake.input, snakemake.wildcards.grid)
        origin.replace_text(snakemake.output.pilot, json.dumps({**result, "origin": made_from}, indent=1) + "\n")
