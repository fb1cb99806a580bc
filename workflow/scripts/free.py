"""Free the weights of one student."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from teachergrid import job, origin, student_weights, units

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


if __name__ == "__main__":
    with job.running(snakemake) as (settings, made_from):
        student = Path(snakemake.output.freed).with_name("student.json")
        freed = student_weights.release(student, settings["keep"])
        print(f"{units.size(freed)} freed, kept: {settings['keep']}", flush=True)
        origin.replace_text(snakemake.output.freed, json.dumps({"keep": settings["keep"], "origin": made_from}))
