"""Score one teacher's responses."""

from typing import TYPE_CHECKING

from teachergrid import artifacts, job, rewards, work

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job.running(snakemake) as (settings, made_from):
        responses = artifacts.read(snakemake.input.responses, artifacts.RESPONSES)
        instructions = artifacts.read(snakemake.input.instructions[0], artifacts.INSTRUCTIONS)
        rows = rewards.score(responses, instructions, settings, work.folder(snakemake.output.rewards, made_from))
        artifacts.write(snakemake.output.rewards, rows, artifacts.REWARDS, made_from)
