"""Turn the results of a grid's cells into its tables and its recommendation."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from teachergrid import artifacts, job, origin, summary

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def by_id(paths, depth: int) -> dict:
    """{("q-raw", "math", "verify"): path}: the last `depth` parts of a path name its cell."""
    parts = {path: Path(path).with_suffix("").parts[-depth:] for path in paths}
    return {key if depth > 1 else key[0]: path for path, key in parts.items()}


if __name__ == "__main__":
    with job.running(snakemake) as (settings, made_from):
        given, made = snakemake.input, snakemake.output
        students = {Path(path).parent.name: json.loads(Path(path).read_text()) for path in given.students}
        found = summary.summarise(
            settings,
            by_id([*given.verified, *given.judged], 3),
            by_id(given.metrics, 2),
            students,
            by_id(given.health, 1),
        )
        artifacts.write(made.performance, found.performance, artifacts.PERFORMANCE, made_from)
        artifacts.write(made.metrics, found.metrics, artifacts.GRID_METRICS, made_from)
        artifacts.write(made.correlations, found.correlations, artifacts.CORRELATIONS, made_from)
        artifacts.write(made.effects, found.effects, artifacts.EFFECTS, made_from)
        artifacts.write(made.lineage, found.lineage, artifacts.LINEAGE, made_from)
        text = yaml.safe_dump(found.recommendation, sort_keys=False, allow_unicode=True, width=120)
        origin.write_beside(made.recommendation, made_from)
        origin.replace_text(made.recommendation, text)
