"""Read one set of instructions, or make it from other sets and what models answered to them."""

from pathlib import Path
from typing import TYPE_CHECKING

from teachergrid.data import contamination, loading, notes
from teachergrid.evolution import make
from teachergrid.job import context
from teachergrid.store import artifacts, unfinished

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with context.running(snakemake) as (settings, made_from):
        given = snakemake.input
        name, output = snakemake.wildcards.instructions, snakemake.output.instructions
        tasks = loading.load_tasks(settings.get("tasks", {}), given.prompts)
        if "made" in settings:
            step = {**settings["made"], "work": unfinished.folder(output, made_from)}
            loaded, lineage = make.make(name, step, given.sets, given.responses, given.tables, given.files)
            artifacts.write(f"{output}.lineage", lineage, artifacts.EVOLVED, made_from)
            artifacts.write_beside(f"{output}.yields", make.yields(lineage), make.YIELDS, made_from)
        else:
            loaded = loading.read(given.files[0] if given.files else None, settings["instructions"], name)
        rows, removed, found = contamination.clean(tasks, loaded, settings["instructions"], name)
        if tasks:
            removed = [{"instructions": name, "removed": True, **row} for row in removed]
            artifacts.write(f"{output}.removed", removed, artifacts.CONTAMINATION, made_from)
        else:
            Path(f"{output}.removed").unlink(missing_ok=True)
        notes.keep(output, found)
        # origin in a file of its own, so that no teacher answers again when another source gives the same instructions
        artifacts.write(output, rows, artifacts.INSTRUCTIONS, made_from, beside=True)
