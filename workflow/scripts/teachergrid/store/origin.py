"""The origin of an artifact: its rule, its spec, and the sha256 of each input. It contains no time and no machine.

Tables and student.json hold it inside. Texts that people read have it in a file of its own (x.origin), and so do tables that a
cheap job makes for a GPU job: the same rows chosen by another setting are then the same bytes, and no student is trained again.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

KEY = b"teachergrid"


def sha256(path: str | Path) -> str:
    """Return "sha256:" and the hex digest of a file."""
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def of(rule: str, spec: str, inputs: Iterable[str]) -> dict:
    """Return the origin of what a job makes. inputs: the paths the job declares."""
    return {"rule": rule, "spec": spec, "inputs": {str(path): sha256(path) for path in inputs}}


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
    """Return the origin of a file, from inside or from `{path}.origin`; None where it has none."""
    path, separate = Path(path), Path(f"{path}.origin")
    if separate.exists():
        return json.loads(separate.read_text())
    if path.suffix == ".json":
        return json.loads(path.read_text()).get("origin")
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        content = (pq.read_metadata(path).metadata or {}).get(KEY)
        return json.loads(content) if content else None
    return None
