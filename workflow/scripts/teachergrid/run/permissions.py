"""What a user may read and write: what cannot be read is unknown, and is said; a run that may not write is refused before it begins.

What a run has written is open to the group at its end.
"""

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..errors import BadInput
from ..store.history import RECORDS
from ..store.owner import user_name

SNAKEMAKE = ".snakemake"
IN_PLACE = ("logs", "benchmarks", RECORDS, ".jobs")  # below the results: their files are written over, not replaced
# of .snakemake: may hold many files, or, as tmp.*, belong to one Snakemake alone, which closes it for others and may have died
NOT_OURS = re.compile(r"scripts|conda|conda-archive|singularity|log|shadow|tmp\..*")


def refuse_unwritable(results: str) -> None:
    """Raise BadInput where the user may not write what a run writes, in the current folder. Nothing is written to find out.

    Folders that are links, such as a colleague's results, are left out: a run only reads what is complete there.
    """
    denied = next(_denied(results), None)
    if denied is None:
        return
    owner = user_name(os.stat(denied).st_uid)
    if os.statvfs(denied).f_flag & os.ST_RDONLY:
        raise BadInput(f"you may not write {denied}: its file system is read-only")
    folders = [shlex.quote(name) for name in (results, SNAKEMAKE) if os.path.exists(name)]
    raise BadInput(
        f"you may not write {denied}: ask {owner}, who owns it, for `chmod -R g+rwX {' '.join(folders or ['.'])}`, and for "
        "`umask 002` before a run; profiles/slurm/README.md, Sharing, says how a group shares results"
    )


def _denied(results: str) -> Iterator[str]:
    """Yield the files and folders that a run writes and the user may not."""
    for top in (results, SNAKEMAKE):
        # what is not there is made in the folder above
        yield from _not_writable([top if os.path.exists(top) else "."], is_folder=True)
        for folder, folders, files in os.walk(top):
            below = Path(folder).relative_to(top).parts
            if top == SNAKEMAKE and not below:
                folders[:] = [name for name in folders if not NOT_OURS.fullmatch(name)]
            names = [path for name in folders if not os.path.islink(path := os.path.join(folder, name))]
            yield from _not_writable(names, is_folder=True)
            if top == results and below and below[0] in IN_PLACE:
                yield from _not_writable([os.path.join(folder, name) for name in files], is_folder=False)


def _not_writable(paths: list[str], is_folder: bool) -> Iterator[str]:
    mode = os.W_OK | (os.X_OK if is_folder else 0)
    return (path for path in paths if os.path.exists(path) and not os.access(path, mode))


def follow_umask(results: str) -> None:
    """Give Snakemake's records of this user the permissions that the umask asks for: it writes them for the group, never for all."""
    umask = os.umask(0o077)
    os.umask(umask)
    for folder, _, files in os.walk(os.path.join(results, RECORDS)):
        for name in files:
            with suppress(OSError):
                path = os.path.join(folder, name)
                stat = os.lstat(path)
                if stat.st_uid == os.getuid() and stat.st_mode & 0o777 != 0o666 & ~umask:
                    os.chmod(path, 0o666 & ~umask)


def unread(results: str) -> str:
    """Return in words which files may not be read, whose they are and the remedy; "" where all may be."""
    denied: list[str] = []
    for folder, folders, files in os.walk(results):
        paths = [os.path.join(folder, name) for name in files]
        denied += [path for path in paths if os.path.exists(path) and not os.access(path, os.R_OK)]
        subfolders = [os.path.join(folder, name) for name in folders]
        denied += [path for path in subfolders if not os.access(path, os.R_OK | os.X_OK)]
    if not denied:
        return ""
    first = min(denied)
    return (
        f"{len(denied)} files or folders may not be read, such as {first}; a result of which nothing else is known counts as not "
        f"made. Ask {user_name(os.stat(first).st_uid)}, who owns it, for `chmod -R g+rX {results}`"
    )
