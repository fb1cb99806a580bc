"""The origin of an artifact: its rule, its spec, and the sha256 of each input. It contains no time and no machine.

Tables and student.json hold it inside. Texts that people read have it in a file of its own (x.origin), and so do tables that a
cheap job makes for a GPU job: the same rows chosen by another setting are then the same bytes, and no student is trained again.

Here is also how every file of the results is written: as a new file, which follows no link, with the mode that the umask gives.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from .results import RESULTS

KEY = b"teachergrid"
TRIES = 100  # to make a temporary file whose name another process uses at the same moment


def sha256(path: str | Path) -> str:
    """Return "sha256:" and the hex digest of a file."""
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def of(rule: str, spec: str, inputs: Iterable[str], folders: Mapping[str, str] | None = None) -> dict:
    """Return the origin of what a job makes.

    Where several inputs lie outside the results, the origin also holds their order: which prompts are those of which task.

    Args:
        inputs: the paths the job declares.
        folders: {model folder without a revision: its digest} of the models that the job loads. Without one the key is left out,
            so that all other origins stay as they are.
    """
    paths = list(map(str, inputs))
    made_from: dict = {"rule": rule, "spec": spec, "inputs": {path: sha256(path) for path in paths}}
    files = [path for path in paths if not path.startswith(f"{RESULTS}/")]
    made_from |= {"files": files} if len(files) > 1 else {}
    return made_from | ({"folders": dict(folders)} if folders else {})


def key(made_from: dict) -> str:
    """Return 16 hex digits that identify an origin: its spec, and the paths and contents of inputs and model folders."""
    return hashlib.sha256(text(made_from).encode()).hexdigest()[:16]


def text(made_from: dict) -> str:
    """Return an origin as canonical JSON."""
    return json.dumps(made_from, sort_keys=True, ensure_ascii=False)


def replace_text(path: str | Path, content: str) -> None:
    """Write a text file under a temporary name, then rename it: readers never see half a file."""
    replace_bytes(path, content.encode())


def replace_bytes(path: str | Path, content: bytes) -> None:
    """Write a file under a temporary name, then rename it: readers never see half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with create(part) as file:
        file.write(content)
    os.replace(part, path)


def create(path: str | Path) -> BinaryIO:
    """Remove what has this name, and return a new file, open for writing.

    A link is never followed: in a shared folder another user may have laid one out under a name that is easily guessed.
    """
    for _ in range(TRIES):
        with suppress(FileNotFoundError):
            os.unlink(path)
        with suppress(FileExistsError):  # O_EXCL fails on a link, too
            return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666), "wb")
    raise FileExistsError(f"{path}: another process makes this file again and again")


def opened(path: str | Path, how: int) -> int:
    """Return a file descriptor to write a log with. A file that is there stays the same one, for those who follow it (tail -f).

    What is no plain file is removed first: a link would let this write elsewhere, and a fifo would wait for a reader without end.

    Args:
        how: os.O_TRUNC empties the file, os.O_APPEND adds to it.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(path).st_mode):
            os.unlink(path)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | how, 0o666)


# --- modes


def umask() -> int:
    """Return the umask of this process. Read from /proc, since setting it for a moment would concern all threads."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def share(path: str | Path) -> None:
    """Give a file, or a folder with all in it, the mode that the umask gives to new files.

    Libraries write weights for the owner alone (0600), whatever the umask; a colleague could then not use a student.
    Links are not followed.
    """
    mask = umask()
    _give_mode(path, mask)
    for folder, folders, files in os.walk(path):
        for name in folders + files:
            _give_mode(os.path.join(folder, name), mask)


def _give_mode(path: str | Path, mask: int) -> None:
    present = os.lstat(path).st_mode
    if stat.S_ISLNK(present):
        return
    # setgid of a shared folder stays
    full = 0o777 | (present & stat.S_ISGID) if stat.S_ISDIR(present) else 0o666
    mode = full & ~mask
    if mode != stat.S_IMODE(present):  # a new mode changes the file's ctime, and it would be read again
        os.chmod(path, mode)


def write_beside(path: str | Path, made_from: dict) -> None:
    """Write an origin to `{path}.origin`."""
    replace_text(f"{path}.origin", text(made_from))


def read(path: str | Path) -> dict | None:
    """Return the origin of a file, from inside or from `{path}.origin`; None where it has none, or a damaged one."""
    try:
        return stated(path)
    except (OSError, ValueError):
        return None


def stated(path: str | Path) -> dict | None:
    """Return the origin of a file, from inside or from `{path}.origin`; None where it has none.

    Raises:
        OSError: a file is gone, may not be read, or is not a regular file (reading a fifo would never end).
        ValueError: a file is damaged, or what it states is not an origin.
    """
    path, separate = Path(path), Path(f"{path}.origin")
    if separate.exists() or separate.is_symlink():
        return sound(_json(separate), separate)
    if path.suffix == ".json":
        content = _json(path)
        made_from = content.get("origin") if isinstance(content, dict) else content
        return None if made_from is None else sound(made_from, path)
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        _refuse_irregular(path)
        text = (pq.read_metadata(path).metadata or {}).get(KEY)
        return None if text is None else sound(_parsed(text), path)
    return None


def _refuse_irregular(path: Path) -> None:
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(f"{path} is not a regular file")


def _json(path: Path) -> Any:
    _refuse_irregular(path)
    return _parsed(path.read_bytes())


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def sound(made_from: Any, path: Path) -> dict:
    """Return an origin if it has the keys and types of one. Raises ValueError."""
    if not isinstance(made_from, dict):
        raise ValueError(f"{path}: what it was made from is not stated")
    rule, spec, inputs = (made_from.get(name) for name in ("rule", "spec", "inputs"))
    folders, files = made_from.get("folders", {}), made_from.get("files", [])
    if not isinstance(inputs, dict) or not isinstance(folders, dict) or not isinstance(files, list):
        raise ValueError(f"{path}: it does not name what it was made from")
    texts = [rule, spec, *inputs.values(), *folders.values(), *files]
    if not all(isinstance(text, str) for text in texts) or not set(files) <= set(inputs):
        raise ValueError(f"{path}: it does not name what it was made from")
    if not isinstance(_parsed(str(spec).encode()), dict):
        raise ValueError(f"{path}: its spec is not an object")
    return made_from
