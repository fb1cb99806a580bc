"""Which input file of a job is what: its path says so."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from .ids import Responses


def by_teacher(paths: Iterable[str | Path]) -> dict[str, str]:
    """Return {teacher: path}, such as {"concise-s": "results/.../pool__concise-s.parquet"}."""
    return {Responses.parse(Path(path).stem).teacher: str(path) for path in paths}


def by_folder(paths: Iterable[str | Path], up: int = 1) -> dict[str, dict[str, str]]:
    """Return {folder: {teacher: path}}, such as {"rm": {"concise-s": path}}, by the folder `up` levels above a file."""
    groups = defaultdict(list)
    for path in paths:
        groups[Path(path).parts[-1 - up]].append(path)
    return {name: by_teacher(group) for name, group in groups.items()}


def likelihoods(chat: Iterable[str | Path], plain: Iterable[str | Path]) -> dict[tuple[str, str], dict[str, str]]:
    """Return {(scorer, format): {teacher: path}}. chat, plain: paths of likelihoods in each format."""
    return {
        (scorer, text_format): files
        for text_format, paths in (("chat", chat), ("plain", plain))
        for scorer, files in by_folder(paths, up=2).items()
    }
