"""Existing inputs: what a summary reads while some cells are dead."""

import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from . import origin

if TYPE_CHECKING:
    from snakemake.io import Wildcards

Paths = Callable[["Wildcards"], list[str]]


def existing(paths: Paths, only_made: bool) -> Paths:
    """Return an input function for a rule: `paths` as it is, or with `only_made` without the files that are not made.

    A file whose own inputs are gone does not count: it is left from before a job that it depends on died.
    """

    @cache
    def is_made(path: str) -> bool:
        if not os.path.exists(path):
            return False
        made_from = origin.read(path)
        return made_from is None or all(is_made(name) for name in made_from["inputs"])

    return (lambda wildcards: [path for path in paths(wildcards) if is_made(path)]) if only_made else paths
