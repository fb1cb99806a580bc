"""Free the weights of one student."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from teachergrid import units
from teachergrid.cost import weight_files
from teachergrid.job import context
from teachergrid.store import origin

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


if __name__ == "__main__":
    with context.running(snakemake) as (settings, made_from):
        student = Path(snakemake.output.freed).with_name("student.json")
        freed = weight_files.release(student, settings["keep"])
        print(f"{units.size(freed)} freed, kept: {settings['keep']}", flush=True)
        origin.replace_text(snakemake.output.freed, json.dumps({"keep": settings["keep"], "origin": made_from}))
