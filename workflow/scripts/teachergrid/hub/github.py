"""Files of public repositories on GitHub, at a commit: `prefetch` fetches them once into the hub's cache. Their digests are known."""

import hashlib
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from ..errors import BadInput
from ..store import origin
from .needs import REMEDY

ADDRESS = "https://raw.githubusercontent.com"
TIMEOUT = 60  # seconds


class File(NamedTuple):
    """A file. sha256: of its bytes."""

    repository: str  # owner/name
    commit: str
    path: str
    sha256: str

    @property
    def name(self) -> str:
        return f"github.com/{self.repository}, {self.path} at {self.commit[:12]}"


def place(file: File) -> Path:
    """Return where a file lies in the cache, or would."""
    from huggingface_hub import constants

    folder = f"github--{file.repository.replace('/', '--')}"
    return Path(constants.HF_HUB_CACHE, folder, file.commit, file.path)


def lacks(file: File) -> str | None:
    """Return a sentence, with its remedy, where the cache has not this file; None where it has. Uses no network."""
    try:
        content = place(file).read_bytes()
    except OSError:
        return f"{file.name}: not in the cache; {REMEDY}"
    if hashlib.sha256(content).hexdigest() != file.sha256:
        return f"{file.name}: {place(file)} is another file; remove it, and {REMEDY}"
    return None


def read(file: File) -> str:
    """Return the text of a file in the cache. Raises BadInput, with the remedy, where it is not there."""
    if lack := lacks(file):
        raise BadInput(lack)
    return place(file).read_text(encoding="utf-8")


def fetch(file: File, address: str = ADDRESS) -> str | None:
    """Fetch a file that the cache lacks. Return a sentence on what went wrong, with its remedy, or None."""
    if lacks(file) is None:
        return None
    url = f"{address}/{file.repository}/{file.commit}/{file.path}"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            content = answer.read()
    except urllib.error.HTTPError as error:
        return f"{file.name}: {url} answers {error.code}; try again later, or write the text into a file and name that"
    except OSError as error:
        return f"{file.name}: {url} cannot be reached ({error}); run this where there is a network"
    if hashlib.sha256(content).hexdigest() != file.sha256:
        return f"{file.name}: {url} sent another file than this version knows; it is not used"
    place(file).parent.mkdir(parents=True, exist_ok=True)
    origin.replace_bytes(place(file), content)
    return None
