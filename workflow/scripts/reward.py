"""Score one teacher's responses."""

from typing import TYPE_CHECKING

from teachergrid.data import published
from teachergrid.job import context
from teachergrid.scoring import reward
from teachergrid.store import artifacts, unfinished

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (settings, made_from):
        responses = artifacts.read(snakemake.input.responses, artifacts.RESPONSES)
        instructions = artifacts.read(snakemake.input.instructions[0], artifacts.INSTRUCTIONS)
        entry = settings["reward"]
        if entry["column"] is not None:
            path = snakemake.input.files[0] if snakemake.input.files else None
            values = published.rewards(instructions.to_pylist(), settings["teacher"], path, entry["column"])
            rows = reward.stored(responses, values, entry)
        else:
            work = unfinished.folder(snakemake.output.rewards, made_from)
            rows = reward.score(responses, instructions, settings, work)
        artifacts.write(snakemake.output.rewards, rows, artifacts.REWARDS, made_from)
