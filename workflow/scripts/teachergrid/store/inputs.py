"""Input paths of jobs: grouped by teacher or scorer, and reduced to the existing ones for a partial report."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..spec.ids import Responses
from . import origin

if TYPE_CHECKING:
    from snakemake.io import Wildcards


def by_teacher(paths: Iterable[str | Path]) -> dict[str, str]:
    """Return {teacher: path}, such as {"concise-s": "results/.../pool__concise-s.parquet"}."""
    return {Responses.parse(Path(path).stem).teacher: str(path) for path in paths}


def by_folder(paths: Iterable[str | Path], up: int = 1) -> dict[str, dict[str, str]]:
    """Return {folder: {teacher: path}}, such as {"rm": {"concise-s": path}}, by the folder `up` levels above a file."""
    groups = defaultdict(list)
    for path in paths:
        groups[Path(path).parts[-1 - up]].append(path)
    return {name: by_teacher(group) for name, group in groups.items()}


DISTRIBUTIONS = "distributions of "  # before a format: the other table of the same pass


def likelihoods(
    chat: Iterable[str | Path], plain: Iterable[str | Path], distributions: Iterable[str | Path] = ()
) -> dict[tuple[str, str], dict[str, str]]:
    """Return {(scorer, format): {teacher: path}}, and the same of distributions under (scorer, DISTRIBUTIONS + format).

    chat, plain: paths of likelihoods in each format. distributions: paths, in both formats.
    """
    groups = defaultdict(list)
    for path in distributions:
        groups[Path(path).parts[-3], DISTRIBUTIONS + Path(path).parts[-2]].append(path)
    return {key: by_teacher(group) for key, group in groups.items()} | {
        (scorer, text_format): files
        for text_format, paths in (("chat", chat), ("plain", plain))
        for scorer, files in by_folder(paths, up=2).items()
    }


Paths = Callable[["Wildcards"], list[str]]


def existing(paths: Paths, only_made: bool) -> Paths:
    """Return an input function for a rule: `paths` itself, or with `only_made` one that leaves out files that are not made.

    A file whose own inputs do not exist is left out, too: it is out of date, since a job that makes one of them has failed.
    """

    @cache
    def is_made(path: str) -> bool:
        if not os.path.exists(path):
            return False
        made_from = origin.read(path)
        return made_from is None or all(is_made(name) for name in made_from["inputs"])

    return (lambda wildcards: [path for path in paths(wildcards) if is_made(path)]) if only_made else paths
