"""Fail where a teacher's responses are too broken to train on."""

from typing import TYPE_CHECKING

from teachergrid.errors import BadInput
from teachergrid.job import context
from teachergrid.responses import health
from teachergrid.store import artifacts, origin

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (_, made_from):
        rows = artifacts.read(snakemake.input.health, artifacts.HEALTH).to_pylist()
        # from the config and not from the spec: a new limit must not train again on what has passed
        if failed := health.gate(health.limited(rows, snakemake.config["health"]["gates"])):
            raise BadInput(
                f"gated: {'; '.join(failed)} (config.health.gates; the counts are in {snakemake.input.health})"
            )
        # origin in a file of its own: what passes has the same bytes whatever was counted
        origin.write_beside(snakemake.output.passed, made_from)
        origin.replace_text(snakemake.output.passed, "passed\n")
