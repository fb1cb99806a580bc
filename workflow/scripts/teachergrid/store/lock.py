"""The lock of a results folder: one run at a time, from whichever checkout (Snakemake's own lock covers one checkout only).

The lock names the process that holds it. It is released for another run only if that process is certainly dead (store.owner).
"""

import json
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

from ..errors import BadInput
from . import origin
from .owner import Owner, described, is_dead, is_mine, is_ours, parsed, start_ticks, this_process, unknown, user_name

LOCK = ".lock"
SCRIPTS = ".snakemake/scripts/"


# --- who holds it


def holder(results: str) -> Owner | None:
    """Return the process that the lock of the results names; None where there is no lock."""
    return _read(Path(results, LOCK))


def _read(path: Path) -> Owner | None:
    """Return what a lock says. An empty one names nobody: the machine went down before it was written."""
    try:
        stat = path.lstat()
    except FileNotFoundError:
        return None
    except OSError:  # in a folder that may not be searched
        return unknown(None, None)
    try:
        content = path.read_text(errors="replace") if path.is_file() else "not a file"  # a fifo would be waited for
    except FileNotFoundError:
        return None
    except OSError:  # it may not be read
        content = "hidden"
    if not content:
        return None
    return parsed(content) or unknown(user_name(stat.st_uid), stat.st_mtime)


# --- jobs of a dead run


def orphaned_jobs(folder: str) -> list[int]:
    """Return the process ids of job scripts of a dead run in a folder. They would write at the same time as a new run's jobs."""
    import psutil

    process_ids = []
    # the folder of another user's process cannot be read, but Snakemake names a script by its whole path
    of_folder = re.compile(rf"(?:^|[\s'\"]){re.escape(folder)}/{re.escape(SCRIPTS)}")
    for process in psutil.process_iter(["cwd", "cmdline"]):
        line = " ".join(process.info["cmdline"] or ())  # None: the process has ended, or /proc hides it
        if SCRIPTS in line and (process.info["cwd"] == folder or of_folder.search(line)):
            process_ids.append(process.pid)
    return sorted(process_ids)


def hides_jobs(owner: Owner) -> bool:
    """Whether local jobs of a dead owner may be alive unseen: they are another user's, and /proc shows our own processes only."""
    if is_mine(owner) or owner["boot"] != this_process()["boot"]:
        return False
    # what /proc tells of another user's process 1 shows that it hides none
    return start_ticks(1) is None or os.stat("/proc/1").st_uid == os.getuid() != 0


# --- the lock itself


def warn_of_another(results: str) -> None:
    """Warn on stderr, before the graph is built, where another run works on the results.

    Its files come and go while Snakemake reads them, which may fail with a confusing message.
    """
    owner = holder(results)
    if owner and not is_ours(owner) and not is_dead(owner):
        print(
            f"{results}: another run works on these results ({described(owner)}): this plan shows the present moment, and may "
            "fail on a file that the run is just writing; then try again",
            file=sys.stderr,
        )


def dead_holder(results: str) -> Owner | None:
    """Return the dead holder of the lock; None where there is no lock, or it is ours.

    Raises BadInput where the holder is alive, or is not proven dead.
    """
    owner = holder(results)
    if owner is None or is_ours(owner):
        return None
    if not is_dead(owner):
        raise BadInput(
            f"{results}: another run works on these results ({described(owner)}); wait for it or stop it. "
            f"If you know that it is gone, and its jobs too, remove {results}/{LOCK}"
        )
    return owner


def refuse_if_held(results: str, take_over: bool = False) -> Owner | None:
    """Return the dead holder of the lock; None where there is no lock, or it is ours.

    Raises BadInput where the holder is alive or not proven dead, has left jobs that still run on this machine, or may have left
    some that we cannot see. take_over: the user knows that there are none.
    """
    owner = dead_holder(results)
    if owner and (alive := orphaned_jobs(owner["folder"] or "")):
        raise BadInput(
            f"{results}: the run of {described(owner)} is dead, but its jobs still work "
            f"(processes {', '.join(map(str, alive))}); wait for them or stop them"
        )
    if owner and hides_jobs(owner) and not take_over:
        raise BadInput(f"{results}: {unseen(owner, 'this machine shows you no processes of other users')}")
    return owner


def unseen(owner: Owner, why: str) -> str:
    """Return the message where jobs of another user's dead run may be alive. why: what hides them."""
    return (
        f"the run of {described(owner)} is dead, but {why}, so its jobs may still work; ask {owner['user']} whether "
        "any is alive, and only if none is: teachergrid run --take-over"
    )


def take(results: str, take_over: bool = False) -> None:
    """Take the lock. Raises BadInput where another run holds it or takes it at the same moment. take_over: see refuse_if_held."""
    path = Path(results, LOCK)
    path.parent.mkdir(parents=True, exist_ok=True)
    refuse_if_held(results, take_over)
    if (owner := holder(results)) and is_ours(owner):
        return
    part = path.with_name(f"{LOCK}.{os.getpid()}")
    try:
        _remove_dead(path, part, owner)
        # a new file: that of a dead run may be another user's
        with origin.create(part) as file:
            file.write(json.dumps(this_process()).encode())
        part.chmod(0o644)  # whatever the umask: others have to see who holds it
        os.link(part, path)  # unlike a rename, this fails where another run was quicker
    except FileExistsError:
        dead_holder(results)
        raise BadInput(f"{results}: another run has just started on these results; wait for it or stop it") from None
    finally:
        part.unlink(missing_ok=True)


def _remove_dead(path: Path, temporary: Path, owner: Owner | None) -> None:
    """Remove the lock of a dead run, but not one that another run has written since. owner: as read; None: it names nobody."""
    with suppress(FileNotFoundError):
        os.rename(path, temporary)
        if _read(temporary) != owner:
            os.link(temporary, path)


def is_held_here(results: str) -> bool:
    """Whether this very process holds the lock, and not its parent."""
    owner = holder(results)
    return bool(owner and owner["pid"] == os.getpid() and is_ours(owner))


def release(results: str) -> None:
    """Release the lock if this process holds it."""
    if is_held_here(results):
        Path(results, LOCK).unlink()
