"""Inputs of a summary over what exists, while some cells are dead."""

import os
from functools import cache

from . import origin


def files(paths, only_made: bool):
    """Return an input function that leaves out what is not made, for a report while some cells are dead.

    A file whose own inputs are gone does not count: what died upstream left it behind.
    """

    @cache
    def made(path: str) -> bool:
        if not os.path.exists(path):
            return False
        made_from = origin.read(path)
        return made_from is None or all(made(name) for name in made_from["inputs"])

    return (lambda wildcards: [path for path in paths(wildcards) if made(path)]) if only_made else paths
