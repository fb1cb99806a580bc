"""Earlier tries of a cell that did not end well: their records, and their logs, which the next try would overwrite.

They lie next to the log of the last try: `{cell}~1.log`, `{cell}~2.log` ..., and the records in `{cell}~tries.json`. The last KEPT
are kept, also when a later try succeeds; the next one replaces the oldest. No name of ours contains a `~`.
"""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from ..store import origin
from .failures import Record, load, record_path

KEPT = 3
SUFFIX = "~tries.json"
REQUEUED = "put back into the queue"  # by SLURM: a try that ended without a record


def path(results: str, rule: str, cell: str) -> Path:
    """Return the file of the records of a cell's earlier tries."""
    return Path(results, "logs", rule, f"{cell}{SUFFIX}")


def read(results: str, rule: str, cell: str) -> list[Record]:
    """Return the records of a cell's earlier tries, the oldest first; [] where the file is missing or damaged."""
    try:
        return [Record(**entry) for entry in json.loads(path(results, rule, cell).read_text())]
    except (OSError, ValueError, TypeError):
        return []


def keep(results: str, rule: str, cell: str, environment: Mapping[str, str] | None = None) -> None:
    """Put record and log of the last try aside, if it failed or SLURM put it back into the queue.

    Both the job that starts and the run that tries it again call this; the second call finds nothing to do. A full disk raises
    no error. environment: of a job that starts.
    """
    log = Path(results, "logs", rule, f"{cell}.log")
    current = record_path(results, rule, cell)
    with suppress(OSError):
        record = load(current) or requeued(rule, cell, log, environment or {})
        if record is None:
            return
        if log.exists():
            aside = put_aside(log)
            if record.log in (None, str(log)):
                record = replace(record, log=str(aside))
        current.unlink(missing_ok=True)
        kept = [*read(results, rule, cell), record][-KEPT:]
        text = json.dumps([asdict(one) for one in kept], indent=1)
        origin.replace_text(path(results, rule, cell), f"{text}\n")


def put_aside(log: Path) -> Path:
    """Rename a log so that the next try does not overwrite it, and remove all but the last KEPT. Return its new path."""
    numbered: dict[int, Path] = {}
    for old in log.parent.glob(f"{log.stem}~*.log"):
        if (text := old.stem.removeprefix(f"{log.stem}~")).isdigit():
            numbered[int(text)] = old
    n = max(numbered, default=0) + 1
    aside = log.with_name(f"{log.stem}~{n}.log")
    os.replace(log, aside)
    for number, old in numbered.items():
        if number <= n - KEPT:
            old.unlink(missing_ok=True)
    return aside


def requeued(rule: str, cell: str, log: Path, environment: Mapping[str, str]) -> Record | None:
    """Return a record of a job's start before SLURM put it back; None for a first start."""
    count = environment.get("SLURM_RESTART_COUNT", "0")
    if count == "0" or not log.exists():
        return None
    line = f"SLURM put the job back into the queue, {count} times so far: it was preempted, or its node died"
    return Record(rule, cell, REQUEUED, line, log=str(log), slurm=environment.get("SLURM_JOB_ID"))


def shown(records: Iterable[Record]) -> list[dict]:
    """Return what is shown of earlier tries."""
    return [
        {
            "kind": record.kind,
            "line": record.line,
            "node": record.node,
            "slurm": record.slurm,
            "resources": record.resources,
            "log": record.log,
            "time": record.time,
        }
        for record in records
    ]
