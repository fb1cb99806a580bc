"""Fail where a teacher's responses are too broken to train on."""

from typing import TYPE_CHECKING

from teachergrid import artifacts, health, job, origin
from teachergrid.errors import BadInput

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job.running(snakemake) as (_, made_from):
        failed = health.gate(artifacts.read(snakemake.input.health, artifacts.HEALTH).to_pylist())
        if failed:
            raise BadInput(f"gated: {'; '.join(failed)} (config.health; the table is {snakemake.input.health})")
        origin.replace_text(snakemake.output.passed, origin.line(made_from, "# "))
