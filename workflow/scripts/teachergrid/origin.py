"""Every artifact says what it was made from: rule, spec, and the sha256 of each input. Nothing in it hangs on time or machine.

Kept in tables and student.json. It lies beside (x.origin) texts that people read, and what a cheap job makes for a GPU job:
the same rows chosen under another setting are then the same bytes, and no student is trained again.
"""

import hashlib
import json
import os
from pathlib import Path

KEY = b"teachergrid"


def sha256(path) -> str:
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def of(rule: str, spec: str, inputs) -> dict:
    """Return the origin of what a job makes. inputs: the paths the job declares."""
    return {"rule": rule, "spec": spec, "inputs": {str(path): sha256(path) for path in inputs}}


def key(made_from: dict) -> str:
    """Return 16 hex digits that name this work: the same spec on the same inputs, wherever they lie."""
    return hashlib.sha256(text(made_from).encode()).hexdigest()[:16]


def text(made_from: dict) -> str:
    return json.dumps(made_from, sort_keys=True, ensure_ascii=False)


def replace_text(path, content: str) -> None:
    """Write a text file under a temporary name and rename it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(content, encoding="utf-8")
    os.replace(part, path)


def write_beside(path, made_from: dict) -> None:
    replace_text(f"{path}.origin", text(made_from))


def read(path) -> dict | None:
    """Return the origin a file carries, or None."""
    path, beside = Path(path), Path(f"{path}.origin")
    if beside.exists():
        return json.loads(beside.read_text())
    if path.suffix == ".json":
        return json.loads(path.read_text()).get("origin")
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        found = (pq.read_metadata(path).metadata or {}).get(KEY)
        return json.loads(found) if found else None
    return None
