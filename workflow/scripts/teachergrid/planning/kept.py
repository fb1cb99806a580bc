"""Plans that are kept beside the results, so that a later one can be held against them, and plan files."""

import gzip
import json
from pathlib import Path

from ..errors import BadInput
from ..results import RESULTS

FORMAT = 1  # of a plan document
FOLDER = ".plans"


def keep(document: dict, results: str = RESULTS, most: int = 20) -> Path:
    """Keep a plan, so that a later one can be held against it. Return its file; the oldest beyond `most` go."""
    folder = Path(results, FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{document['hash']}.json.gz"
    path.write_bytes(gzip.compress(json.dumps(document).encode(), compresslevel=1))
    for old in sorted(folder.glob("*.json.gz"), key=lambda file: file.stat().st_mtime)[:-most]:
        old.unlink()
    return path


def find(word: str, results: str = RESULTS) -> Path | None:
    """Return the file of a kept plan by its hash, or of the one before now by `last`."""
    files = sorted(Path(results, FOLDER).glob("*.json.gz"), key=lambda file: file.stat().st_mtime)
    if word == "last":
        return files[-1] if files else None
    return next((file for file in files if file.name == f"{word}.json.gz"), None)


def read(path) -> dict:
    """Return a plan document. Raises BadInput for one that is none, or of a newer version."""
    try:
        data = Path(path).read_bytes()
        document = json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
        version = document["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: is no plan ({error}); `teachergrid plan --json > plan.json` writes one") from error
    if version != FORMAT:
        raise BadInput(f"{path}: a plan of format {version}, and this version reads {FORMAT}; plan again with this one")
    return document
