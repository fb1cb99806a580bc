"""Compute the likelihoods of one teacher's responses under one model."""

from typing import TYPE_CHECKING

from teachergrid.job import context
from teachergrid.scoring import likelihood
from teachergrid.spec.settings import of_likelihoods
from teachergrid.store import artifacts, unfinished

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (parts, made_from):
        responses = artifacts.read(snakemake.input.responses, artifacts.RESPONSES)
        instructions = artifacts.read(snakemake.input.instructions[0], artifacts.INSTRUCTIONS)
        folder = unfinished.folder(snakemake.output.chat, made_from)
        for text_format, rows in likelihood.score(responses, instructions, of_likelihoods(parts), folder).items():
            artifacts.write(snakemake.output[text_format], rows, artifacts.LIKELIHOODS, made_from)
