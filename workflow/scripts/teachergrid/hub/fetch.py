"""Look up and download files from the Hugging Face hub; every error message has a remedy."""

import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from functools import partial
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..errors import BadInput
from . import needs, pins
from .needs import Need, Snapshot

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import DatasetInfo, ModelInfo

# age of partial files from which on their download must have been killed: a live one writes all the time
STALE_SECONDS = 3600
Answer = TypeVar("Answer")


class Hub:
    """The hub. Each repository and revision is looked up only once."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str, str | None], ModelInfo | DatasetInfo] = {}

    def info(self, kind: str, repo: str, revision: str | None) -> "ModelInfo | DatasetInfo":
        """Return commit, files and sizes of a repository at a revision. Raises as `ask` does."""
        key = kind, repo, revision
        if key not in self.known:
            self.known[key] = ask(Need(*key), partial(repo_info, *key))
        return self.known[key]

    def commit(self, kind: str, repo: str, revision: str | None) -> str:
        """Return the commit that a branch or tag (None: the main one) is at now. Raises as `ask` does."""
        return str(self.info(kind, repo, revision).sha)

    def snapshot(self, need: Need) -> Snapshot:
        """Return commit, files and sizes of what is needed, as the hub has it now.

        Raises:
            BadInput: where there is no such repository, commit, file or weights, or no right to them.
            ConnectionError: without a network.
        """
        commit = need.revision
        if commit is None or not pins.is_commit(commit):
            raise BadInput(f"{need.name}: no commit is stated; add --pin, which writes it into {pins.LOCK}")
        info = self.info(need.kind, need.repo, commit)
        if info.sha != commit:
            raise BadInput(f"{need.name}: the hub has commit {info.sha} in place of {commit}; fix `revision`")
        files = needs.chosen({file.rfilename: file.size or 0 for file in info.siblings or []}, need)
        snapshot = Snapshot(need, commit, files)
        if info.gated and not all(needs.cached(snapshot, name) for name in files):
            ask(need, lambda api: api.auth_check(need.repo, repo_type=need.kind))
        return snapshot


def repo_info(kind: str, repo: str, revision: str | None, api: "HfApi") -> "ModelInfo | DatasetInfo":
    """Return what the hub knows of a repository at a revision, with the sizes of its files."""
    if kind == "dataset":
        return api.dataset_info(repo, revision=revision, files_metadata=True)
    return api.model_info(repo, revision=revision, files_metadata=True)


def ask(need: Need, question: "Callable[[HfApi], Answer]") -> Answer:
    """Return what `question` returns, called with the hub's API.

    Raises:
        BadInput: the hub refuses or has no answer; the message has the remedy.
        ConnectionError: there is no network.
    """
    from httpx2 import TransportError
    from huggingface_hub import HfApi, constants, errors

    page = f"{constants.ENDPOINT}/{need.name}"
    token = "the account whose token HF_TOKEN holds (or `hf auth login`)"
    try:
        return question(HfApi())
    except errors.GatedRepoError as error:
        raise BadInput(f"{need.name}: gated; accept its licence at {page} with {token}") from error
    except errors.RevisionNotFoundError as error:
        raise BadInput(
            f"{need.name}: the hub has no '{need.revision}'; fix `revision`, or remove its line from {pins.LOCK} and pin again"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise BadInput(f"{need.name}: not on the hub, or private; fix the name, or read it with {token}") from error
    except errors.HfHubHTTPError as error:
        code = error.response.status_code
        remedy = f"look at {page} with {token}" if code in (401, 403) else "try again later"
        raise BadInput(f"{need.name}: the hub answers {code}; {remedy}") from error
    except TransportError as error:
        raise ConnectionError(f"{constants.ENDPOINT}: {error}; run this where there is a network") from error
    except OSError as error:
        raise BadInput(f"{need.name}: {str(error).splitlines()[0]}; run again to continue") from error


def download(snapshot: Snapshot) -> str | None:
    """Download the files that the cache lacks. Return a sentence on what is still missing, or None.

    When it is interrupted, finished files stay in the cache.
    """
    need, commit, patterns = snapshot.need, snapshot.commit, [escape(name) for name in snapshot.files]
    for name in snapshot.files:
        if (path := needs.place(snapshot, name)) and not needs.cached(snapshot, name):
            # the file is cut short, but the library takes any existing file as complete
            path.resolve().unlink()
            path.unlink(missing_ok=True)
    try:
        # progress bars move the cursor, which `teachergrid` takes from all other output
        with redirect_stderr(sys.__stderr__ or sys.stderr):
            ask(
                need,
                lambda api: api.snapshot_download(
                    need.repo, repo_type=need.kind, revision=commit, allow_patterns=patterns
                ),
            )
    except (BadInput, ConnectionError) as error:
        return str(error)
    return needs.lacks(need._replace(revision=commit))


def clear_stale(cache: Path, need: Need) -> None:
    """Remove partial files of killed downloads: they may have 50 GB, and the hub's library never continues them."""
    for part in cache.glob(f"{need.kind}s--{need.repo.replace('/', '--')}/blobs/*.incomplete"):
        if time.time() - part.stat().st_mtime > STALE_SECONDS:
            part.unlink()
