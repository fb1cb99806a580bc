"""Read one set of instructions."""

from pathlib import Path
from typing import TYPE_CHECKING

from teachergrid.instructions import contamination, loading, notes
from teachergrid.job import context
from teachergrid.store import artifacts

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (settings, made_from):
        path = snakemake.input.files[0] if snakemake.input.files else None
        name, output = snakemake.wildcards.instructions, snakemake.output.instructions
        tasks = loading.load_tasks(settings.get("tasks", {}), snakemake.input.prompts)
        rows, removed, found = contamination.load_clean(tasks, path, settings["instructions"], name)
        if tasks:
            removed = [{"instructions": name, "removed": True, **row} for row in removed]
            artifacts.write(f"{output}.removed", removed, artifacts.CONTAMINATION, made_from)
        else:
            Path(f"{output}.removed").unlink(missing_ok=True)
        notes.keep(output, found)
        # origin in a file of its own, so that no teacher answers again when another source gives the same instructions
        artifacts.write(output, rows, artifacts.INSTRUCTIONS, made_from, beside=True)
