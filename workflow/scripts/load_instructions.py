"""Read one set of instructions."""

from pathlib import Path
from typing import TYPE_CHECKING

from teachergrid import artifacts, instructions, job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with job.running(snakemake) as (settings, made_from):
        path = snakemake.input.files[0] if snakemake.input.files else None
        name, made = snakemake.wildcards.instructions, snakemake.output.instructions
        tasks = instructions.load_tasks(settings.get("tasks", {}), snakemake.input.prompts)
        rows, removed = instructions.load_without(tasks, path, settings["instructions"], name)
        if tasks:
            found = [{"instructions": name, "removed": True, **row} for row in removed]
            artifacts.write(f"{made}.removed", found, artifacts.CONTAMINATION, made_from)
        else:
            Path(f"{made}.removed").unlink(missing_ok=True)
        # beside: the same instructions from another source must not make every teacher answer again
        artifacts.write(made, rows, artifacts.INSTRUCTIONS, made_from, beside=True)
