"""What lies outside declared outputs, because Snakemake deletes those before a job: unfinished work, and the results that it replaces.

Unfinished work (shards, checkpoints) is in .work. A result that a run makes again is linked into .aside before its job starts. When
the run ends, it goes back to its place if no new one was made, and else to .replaced, until it is replaced once more. What a job
computes that others would compute in the same way, the rewards of a judge's opponent, is in .opponents.
"""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from . import origin

WORK, ASIDE, REPLACED, OPPONENTS = ".work", ".aside", ".replaced", ".opponents"


def folder(output: str, made_from: dict) -> Path:
    """Return the folder for unfinished work on an output; it is created if needed.

    Its name follows from spec and inputs, so that work with other settings or other rows is never resumed.
    """
    results, *rest = Path(output).parts
    path = Path(results, WORK, *rest, origin.key(made_from))
    path.mkdir(parents=True, exist_ok=True)
    return path


def of_opponent(output: str, made_from: Mapping, inputs: Iterable[str], made_with: str) -> Path:
    """Return the file for the rewards of the answers of a judge's opponent, which all jobs with this opponent share.

    Its name follows from all that decides them. Whoever deletes it loses the time to compute them again.

    Args:
        output: of the job that asks.
        made_from: origin of this output.
        inputs: those of the job that decide the rewards.
        made_with: fingerprint of the code.
    """
    decisive = {path: made_from["inputs"][path] for path in inputs}
    key = origin.key({**made_from, "inputs": decisive, "code": made_with})
    return Path(Path(output).parts[0], OPPONENTS, f"{key}.parquet")


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


# --- results that are made again


def below(top: str, path: str | Path) -> Path:
    """Return where a file of the results lies in one of the folders of this module. top: WORK, ASIDE or REPLACED."""
    results, *rest = Path(path).parts
    return Path(results, top, *rest)


def set_aside(outputs: Iterable[str]) -> None:
    """Link what exists of these outputs into .aside: a name more for the same file, so that it costs nothing and outlives a removal.

    Left out are outputs of unknown origin, which are worth nothing, and those in a linked folder, which are somebody else's: a
    run only reads what is complete there.
    """
    for output in outputs:
        folder = Path(output).parent
        if not Path(output).is_file() or folder.resolve() != Path.cwd() / folder or origin.read(output) is None:
            continue
        target = below(ASIDE, output)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(output, target)
        except OSError:  # a file system without hard links
            shutil.copy2(output, target)


def set_folder_aside(folder: Path) -> None:
    """Move a folder that belongs to an output, such as a student's weights, where the output was set aside; else remove it."""
    target = below(ASIDE, folder)
    if not folder.is_dir():
        return
    if target.parent.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        os.replace(folder, target)
    else:
        shutil.rmtree(folder)


def settle(results: str) -> list[str]:
    """Put back what was set aside and not made again, and keep the rest in .replaced. Return what was put back.

    Call it when no job is alive.
    """
    aside, back = Path(results, ASIDE), []
    for path in sorted(aside.rglob("*")):
        place = Path(results, path.relative_to(aside))
        if not path.is_file():
            continue
        if place.exists() and _is_same(path, place):  # its job did not even begin
            path.unlink()
        elif not place.exists() and not _is_trained_anew(path.relative_to(aside), aside):
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, place)
            back.append(str(place))
    for path in sorted(aside.rglob("*")):
        kept = Path(results, REPLACED, path.relative_to(aside))
        if path.is_dir() and path.parent == aside / "students":
            shutil.rmtree(kept, ignore_errors=True)  # its weights and its description stay together
        if path.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, kept)
    shutil.rmtree(aside, ignore_errors=True)
    return back


def _is_same(path: Path, place: Path) -> bool:
    """Whether a file was set aside from this place and is still there; a copy has its size and time."""
    one, other = path.stat(), place.stat()
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _is_trained_anew(path: Path, aside: Path) -> bool:
    """Whether a path below .aside is of a student whose weights are there: those at its place are new, without a description yet."""
    return path.parts[0] == "students" and (aside / Path(*path.parts[:2]) / "weights").is_dir()
