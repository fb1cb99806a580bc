"""What was read in another way than it is written: said in the log, and kept beside the table for the health checks."""

import json
from collections import Counter
from pathlib import Path

from .. import units
from ..store import origin
from .files import Notes

KEPT = ".reading"  # after the name of the table
UNJOINED = "answers none of the instructions, not read"  # rows of published responses


def say(name: str, notes: Notes) -> None:
    """Print each note with its number of rows."""
    for note, rows in sorted(notes.items()):
        print(f"{name}: {described(note, rows)}")


def described(note: str, rows: int) -> str:
    """Return a note with its number of rows."""
    return f"{note} ({units.count(rows)} row{'s' * (rows != 1)})"


def keep(table: str | Path, notes: Notes) -> None:
    """Write the notes about a table beside it, so that the table itself stays the same; without any, remove earlier ones."""
    path = f"{table}{KEPT}"
    if notes:
        origin.replace_text(path, json.dumps(dict(sorted(notes.items())), ensure_ascii=False))
    else:
        Path(path).unlink(missing_ok=True)


def kept(table: str | Path) -> Notes:
    """Return the notes about a table."""
    path = Path(f"{table}{KEPT}")
    return Counter(json.loads(path.read_text())) if path.exists() else Counter()
