"""The origin of an artifact: its rule, its spec, and the sha256 of each input. It contains no time and no machine.

Tables and student.json hold it inside. Texts that people read have it in a file of its own (x.origin), and so do tables that a
cheap job makes for a GPU job: the same rows chosen by another setting are then the same bytes, and no student is trained again.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .results import RESULTS

KEY = b"teachergrid"


def sha256(path: str | Path) -> str:
    """Return "sha256:" and the hex digest of a file."""
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def of(rule: str, spec: str, inputs: Iterable[str]) -> dict:
    """Return the origin of what a job makes. inputs: the paths the job declares.

    Where several of them lie outside the results, the origin also holds their order: which prompts are those of which task.
    """
    paths = list(map(str, inputs))
    made_from = {"rule": rule, "spec": spec, "inputs": {path: sha256(path) for path in paths}}
    files = [path for path in paths if not path.startswith(f"{RESULTS}/")]
    return made_from | ({"files": files} if len(files) > 1 else {})


def key(made_from: dict) -> str:
    """Return 16 hex digits that identify a spec and its inputs (their paths and contents). made_from: an origin."""
    return hashlib.sha256(text(made_from).encode()).hexdigest()[:16]


def text(made_from: dict) -> str:
    """Return an origin as canonical JSON."""
    return json.dumps(made_from, sort_keys=True, ensure_ascii=False)


def replace_text(path: str | Path, content: str) -> None:
    """Write a text file under a temporary name, then rename it: readers never see half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(content, encoding="utf-8")
    os.replace(part, path)


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
