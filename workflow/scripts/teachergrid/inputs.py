"""Which input file of a job is what: its path says so."""

from collections import defaultdict
from pathlib import Path

from .frames import Frame, frame
from .ids import Responses


def by_teacher(paths) -> dict[str, str]:
    """{"concise-s": "results/.../pool__concise-s.parquet"}"""
    return {Responses.parse(Path(path).stem).teacher: str(path) for path in paths}


def by_folder(paths, up: int = 1) -> dict[str, dict[str, str]]:
    """{"rm": {teacher: path}} by the folder that lies `up` levels above a file."""
    found = defaultdict(list)
    for path in paths:
        found[Path(path).parts[-1 - up]].append(path)
    return {name: by_teacher(group) for name, group in found.items()}


def likelihoods(chat, plain, base: str) -> dict[tuple[str, str], dict[str, str]]:
    """{(scorer, format): {teacher: path}}; the base at hand stands under its name and under `self`."""
    found = {}
    for text_format, paths in (("chat", chat), ("plain", plain)):
        for scorer, files in by_folder(paths, up=2).items():
            for name in [scorer] + ["self"] * (scorer == base):
                found[name, text_format] = files
    return found


def joined(files, base: str, corpus=None, **wanted) -> Frame:
    """Return the rows of a corpus with all that scored them.

    files: a job's inputs responses, rewards, chat and plain; corpus: path of a derived corpus, or None. wanted: of metrics.wanted.
    """
    scored = likelihoods(files.chat, files.plain, base)
    return frame(by_teacher(files.responses), by_folder(files.rewards), scored, corpus, **wanted)


def of_teacher(files, base: str, teacher: str, **wanted) -> Frame:
    """Return the rows of one teacher's responses with all that scored them. wanted: of metrics.wanted."""
    rewards = {name: {teacher: paths[teacher]} for name, paths in by_folder(files.rewards).items()}
    scored = {key: {teacher: paths[teacher]} for key, paths in likelihoods(files.chat, files.plain, base).items()}
    return frame({teacher: by_teacher(files.responses)[teacher]}, rewards, scored, **wanted)
