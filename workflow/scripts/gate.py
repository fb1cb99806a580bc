"""Fail where a teacher's responses are too broken to train on."""

from typing import TYPE_CHECKING

from teachergrid.data import health
from teachergrid.errors import BadInput
from teachergrid.job import context
from teachergrid.store import artifacts, origin

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (_, made_from):
        rows = artifacts.read(snakemake.input.health, artifacts.HEALTH).to_pylist()
        # the limits are in the config and not in the spec: a new limit must not repeat trainings whose responses still pass
        if failed := health.gate(health.limited(rows, snakemake.config["health"]["gates"])):
            raise BadInput(
                f"gated: {'; '.join(failed)} (config.health.gates; the counts are in {snakemake.input.health})"
            )
        # origin in a file of its own, so that `passed` has the same bytes whatever the counts are
        origin.write_beside(snakemake.output.passed, made_from)
        origin.replace_text(snakemake.output.passed, "passed\n")
