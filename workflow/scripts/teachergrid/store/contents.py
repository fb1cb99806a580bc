"""The sha256 of files and folders, remembered outside the results so that an unchanged file is read once.

A file counts as unchanged while its inode, size and both times stay the same. The time of change (ctime) cannot be set by a
program, so a file that is replaced by an older one, or edited and dated back, is read again.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

MISSING = "missing"
# a file changed so recently might change again within the same tick of the file system's clock: it is not remembered
YOUNG_NS = 2_000_000_000
Signature = tuple[int, int, int, int]


def cache_folder() -> Path:
    """Return the folder of all caches: `$TEACHERGRID_CACHE`, by default ~/.cache/teachergrid."""
    return Path(os.environ.get("TEACHERGRID_CACHE", "~/.cache/teachergrid")).expanduser()


def signature(stat: os.stat_result) -> Signature:
    """Return what tells a changed file: inode, size, time of modification and time of change (ns)."""
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


class Contents:
    """Digests of files, kept in one file of the user's cache for each folder that commands start in.

    It writes nothing in that folder, so it serves results that one may only read. A cache that cannot be read or written costs
    time but changes nothing.
    """

    def __init__(self, folder: str | Path = ".") -> None:
        name = hashlib.sha256(str(Path(folder).resolve()).encode()).hexdigest()[:32]
        self.file = cache_folder() / "contents" / f"{name}.json"
        self.known: dict[str, list] = {}  # {name: [signatures, value]}
        self.now: dict[str, str] = {}
        self.changed = False
        with suppress(OSError, ValueError, RecursionError):  # no cache, or a damaged one
            stored = json.loads(self.file.read_text())
            self.known = stored if isinstance(stored, dict) else {}

    # --- values by the signatures of files

    def remembered(self, name: str, signatures: list[Signature]) -> Any:
        """Return the value that was remembered under a name for files of these signatures; None where there is none."""
        known = self.known.get(name)
        # lists, since JSON has no tuples; something else where the cache is damaged
        is_same = isinstance(known, list) and known[:1] == [[list(signature) for signature in signatures]]
        return known[1] if is_same else None

    def remember(self, name: str, signatures: list[Signature], value: Any) -> None:
        """Remember a value that follows from the contents of files with these signatures. value: as JSON."""
        if time.time_ns() - max(max(signature[2:]) for signature in signatures) > YOUNG_NS:
            self.known[name], self.changed = [[list(signature) for signature in signatures], value], True

    # --- digests

    def of(self, path: str) -> str:
        """Return "sha256:" and the hex digest of a file as it is now, or MISSING where there is no regular file.

        A fifo or a device is MISSING, too: reading it might never end. Raises OSError where the file may not be read.
        """
        if path not in self.now:
            self.now[path] = self._digest(path)
        return self.now[path]

    def _digest(self, path: str) -> str:
        try:
            stat = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return MISSING
        if not os.path.isfile(path):
            return MISSING
        present = [signature(stat)]
        if known := self.remembered(path, present):
            return known
        with open(path, "rb") as file:
            digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        self.remember(path, present, digest)
        return digest

    def of_all(self, paths: Iterable[str]) -> str:
        """Return one digest of several files: of their names and contents."""
        lines = [f"{path}\t{self.of(path)}" for path in sorted(paths)]
        return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def save(self) -> None:
        """Remember the digests for the next command, where the cache can be written."""
        if not self.changed:
            return
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            part = self.file.with_name(f"{self.file.name}.{os.getpid()}")
            part.write_text(json.dumps(self.known, separators=(",", ":")))
            os.replace(part, self.file)
            self.changed = False
