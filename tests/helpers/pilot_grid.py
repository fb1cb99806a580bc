"""The small grid with a pilot, and the jobs of its two phases."""

import json

from teachergrid.grid import pilot
from teachergrid.grid.cells import Cells
from workspace import jobs

# in place of the pilot's script: which teachers it keeps stands in a file
CHOICE = """
import json
from teachergrid.job import context as job
from teachergrid.store import origin
with job.running(snakemake) as (settings, made_from):
    kept = json.load(open("choice.json"))
    origin.replace_text(snakemake.output.pilot, json.dumps({"bases": {b: {"kept": t} for b, t in kept.items()}, "origin": made_from}))
"""

ONE_EACH = {"q": ["large"], "w": ["small"]}


def exams(*models: str) -> set[str]:
    return jobs(
        *(f"{{answer,verify}} {model}/{{math,chat}}" for model in models), *(f"judge {m}/chat/wins" for m in models)
    )


def column(teacher: str) -> set[str]:
    """What a pilot asks of one teacher."""
    responses = f"seed.pilot2__{teacher}"
    return jobs(
        f"{{generate,check}} {responses}", f"likelihood {{q,w}}/{responses}", f"reward rm/{responses}", "pilot teachers"
    )


def students(base: str, teacher: str) -> set[str]:
    """What follows for a teacher that is kept for a base, its full set of responses aside."""
    student = f"{base}__seed__{teacher}__sft__s1"
    return jobs(f"likelihood {base}/seed__{teacher}", f"metric {base}/seed__{teacher}", f"finetune {student}") | exams(
        student
    )


def responses(teacher: str) -> set[str]:
    return jobs(f"{{generate,check,gate}} seed__{teacher}", f"reward rm/seed__{teacher}")


PHASE_ONE = jobs("load_instructions seed.pilot2") | column("small") | column("large")

SUMMARY = jobs("{correlate,report} teachers")

PHASE_TWO = (
    jobs("load_instructions seed")
    | responses("large")
    | responses("small")
    | students("q", "large")
    | students("w", "small")
    | exams("q-raw", "w-raw")
    | SUMMARY
)


def with_pilot(config):
    """The small grid's first block alone, without its derived corpus, and with as many rows as its pilot draws."""
    config["corpora"] = {}
    config["instructions"]["seed"]["source"] = "config/several.jsonl"
    config["grids"].pop("instructions")
    config["grids"]["teachers"] |= {"corpora": [], "pilot": {"sample": 2, "by": ["car"], "keep": 1}}


def add_teacher(config):
    config["teachers"]["new"] = {"model": {"repo": "org/new", "revision": "sha256-9"}, "sampling": {"temperature": 1}}


def chose(cells: Cells, kept: dict) -> None:
    """Write a pilot's result as its job would."""
    bases = {base: {"kept": teachers} for base, teachers in kept.items()}
    file = pilot.path("results", "teachers")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"bases": bases, "origin": {"spec": cells.rows["pilot"]["teachers"]["spec"]}}))


def names(cells: Cells) -> set[str]:
    """Return "rule cell" of all jobs."""
    return {f"{rule} {cell}" for rule, rows in cells.rows.items() for cell in rows}
