"""Folders for unfinished work (shards, checkpoints). They lie outside declared outputs, which Snakemake deletes before a retry."""

import os
import shutil
from pathlib import Path

from . import origin

WORK = ".work"


def folder(output: str, made_from: dict) -> Path:
    """Return the folder for unfinished work on an output; it is created if needed.

    Its name follows from spec and inputs, so that work with other settings or other rows is never resumed.
    """
    results, *rest = Path(output).parts
    path = Path(results, WORK, *rest, origin.key(made_from))
    path.mkdir(parents=True, exist_ok=True)
    return path


def leftovers(results: str) -> list[Path]:
    """Return folders of unfinished work that is no longer needed: the output exists and its origin has the key that names the folder."""
    folders = []
    for path in sorted(Path(results, WORK).glob("**/*")):
        output = Path(results, *path.parent.relative_to(Path(results, WORK)).parts)
        if path.is_dir() and output.is_file() and os.access(output, os.R_OK):
            made_from = origin.read(output)
            if made_from is not None and origin.key(made_from) == path.name:
                folders.append(path)
    return folders


def clear(results: str) -> None:
    """Remove the unfinished work on outputs that are finished; all other work can still be resumed."""
    for key in leftovers(results):
        shutil.rmtree(key)
    # deepest first, so that a folder comes after its subfolders
    for path in sorted(Path(results, WORK).glob("**/"), key=lambda path: -len(path.parts)):
        if not any(path.iterdir()):
            path.rmdir()


def has_unfinished(output: str, made_from: dict) -> bool:
    """Whether a job will resume work of a killed one; then its seconds cover only a part of the work."""
    results, *rest = Path(output).parts
    folder = Path(results, WORK, *rest, origin.key(made_from))
    return folder.is_dir() and any(folder.iterdir())
