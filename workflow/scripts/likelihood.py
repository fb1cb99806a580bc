"""Take the likelihoods of one teacher's responses under one model."""

from typing import TYPE_CHECKING

from teachergrid import artifacts, job, likelihood, work

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job.running(snakemake) as (settings, made_from):
        responses = artifacts.read(snakemake.input.responses, artifacts.RESPONSES)
        instructions = artifacts.read(snakemake.input.instructions[0], artifacts.INSTRUCTIONS)
        folder = work.folder(snakemake.output.chat, made_from)
        settings["scorer"] = settings.pop("base")
        for text_format, rows in likelihood.score(responses, instructions, settings, folder).items():
            artifacts.write(snakemake.output[text_format], rows, artifacts.LIKELIHOODS, made_from)
