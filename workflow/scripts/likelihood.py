"""Compute the likelihoods of one teacher's responses under one model."""

from typing import TYPE_CHECKING

from teachergrid.job import context
from teachergrid.scoring import likelihood
from teachergrid.spec.settings import of_likelihoods
from teachergrid.store import artifacts, inputs, unfinished

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (parts, made_from):
        responses = artifacts.read(snakemake.input.responses, artifacts.RESPONSES)
        instructions = artifacts.read(snakemake.input.instructions[0], artifacts.INSTRUCTIONS)
        folder = unfinished.folder(snakemake.output.chat, made_from)
        tables = likelihood.score(responses, instructions, of_likelihoods(parts), folder)
        for text_format in likelihood.FORMATS:
            artifacts.write(snakemake.output[text_format], tables[text_format], artifacts.LIKELIHOODS, made_from)
        # no files where the config does not ask for them
        for text_format, path in zip(likelihood.FORMATS, snakemake.output.distributions, strict=False):
            rows = tables[inputs.DISTRIBUTIONS + text_format]
            artifacts.write(path, rows, artifacts.DISTRIBUTIONS, made_from)
