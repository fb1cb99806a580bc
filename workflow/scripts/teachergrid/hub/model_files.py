"""A digest of the files that decide a model folder's output, which serves as its revision; what a revision must be."""

import hashlib
from pathlib import Path

from ..errors import BadInput
from . import pins
from .folders import DECISIVE


def digest(folder: Path | str) -> str:
    """Return `sha256-` and 64 hex digits over the names and bytes of the files that match DECISIVE."""
    files = sorted({path for pattern in DECISIVE.split() for path in Path(folder).glob(pattern)})
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            total.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return f"sha256-{total.hexdigest()}"


def check_revision(model: dict) -> None:
    """Check that the revision of a config's model entry names exactly one set of files.

    A folder with a revision must have this digest. A model on the hub must have a commit.

    Raises:
        BadInput: the digest differs, the commit is missing, or `repo` is neither a folder nor a hub id.
    """
    repo, revision = model["repo"], model["revision"]
    if Path(repo).is_dir():
        if revision is not None and revision != (actual := digest(repo)):
            raise BadInput(f"{repo}: the folder's revision is {actual}, the config says {revision}; correct `revision`")
    elif (revision or "").startswith("sha256-"):
        raise BadInput(f"{repo}: no such folder, and `revision` of a hub model is a commit, not {revision[:15]}...")
    elif not pins.on_hub(model):
        raise BadInput(
            f"{repo}: no such folder (relative to where the workflow runs), and not a hub id such as org/name"
        )
    elif not pins.is_commit(revision):
        raise BadInput(f"{repo}: no commit is stated, `revision` is {revision}; {pins.REMEDY}")
