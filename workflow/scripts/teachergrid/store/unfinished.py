"""Unfinished work: shards and checkpoints, outside every declared output (Snakemake deletes those before a retry)."""

import shutil
from pathlib import Path

from . import origin

WORK = ".work"


def folder(output: str, made_from: dict) -> Path:
    """Return where a job keeps the unfinished work on an output.

    Named by spec and inputs, so that work under another setting, or on other rows, is never resumed.
    """
    results, *rest = Path(output).parts
    path = Path(results, WORK, *rest, origin.key(made_from))
    path.mkdir(parents=True, exist_ok=True)
    return path


def leftovers(results: str) -> list[Path]:
    """Return folders of unfinished work that is no longer needed: the output exists and its origin has the folder's key."""
    found = []
    for key in sorted(Path(results, WORK).glob("**/*")):
        output = Path(results, *key.parent.relative_to(Path(results, WORK)).parts)
        if key.is_dir() and output.is_file():
            made_from = origin.read(output)
            if made_from is not None and origin.key(made_from) == key.name:
                found.append(key)
    return found


def clear(results: str) -> None:
    """Remove the work on finished outputs; the rest waits to be resumed."""
    for key in leftovers(results):
        shutil.rmtree(key)
    # deepest first, so that a folder is seen after what it held
    for path in sorted(Path(results, WORK).glob("**/"), key=lambda path: -len(path.parts)):
        if not any(path.iterdir()):
            path.rmdir()


def has_unfinished(output: str, made_from: dict) -> bool:
    """Whether a job resumes what a killed one left; its seconds are then not those of all its work."""
    results, *rest = Path(output).parts
    folder = Path(results, WORK, *rest, origin.key(made_from))
    return folder.is_dir() and any(folder.iterdir())
