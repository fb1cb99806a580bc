"""Model folders: the files that are loaded from them, and a digest of these that stands for a commit where the config names none."""

import errno
import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch

from ..errors import BadInput
from ..spec.schema import is_without_model
from ..store.contents import MISSING, Contents, signature

# weights, config, tokenizer, templates and code; README files and training states do not change the output
DECISIVE = (
    "*.safetensors *.safetensors.index.json pytorch_model*.bin pytorch_model.bin.index.json config.json "
    "generation_config.json tokenizer* *.model *.tiktoken vocab.* merges.txt added_tokens.json special_tokens_map.json "
    "chat_template* *.py"
)
# read from a folder as well; not fetched from a hub, nor part of the digest that a `revision` states
OF_FOLDERS = ["*_config.json", "*.jinja", "adapter_model.bin"]
TEMPLATES = "additional_chat_templates"  # a folder inside the model's
NOT_READ = "not yet read"
QUICK_BYTES = 2e9  # that a plan reads to show a digest
SHOWN = len("sha256:") + 12


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a file name has one of these patterns."""
    return any(fnmatch(name, pattern) for pattern in patterns)


def loads_model(name: str) -> bool:
    """Whether a file of a model's repository is of a kind that transformers loads."""
    return "/" not in name and not name.startswith("consolidated") and matches(name, DECISIVE.split())


def is_safetensors(name: str) -> bool:
    """Whether a file holds weights in the format that is preferred."""
    return name.endswith(".safetensors")


def is_pickled(name: str) -> bool:
    """Whether a file holds weights in PyTorch's old format, or lists such files."""
    return name.startswith(("pytorch_model", "adapter_model.bin"))


def without_copies(names: Iterable[str]) -> list[str]:
    """Return these files of a model, sorted, without a second copy of the weights that is not loaded."""
    names = sorted(names)
    if any(map(is_safetensors, names)):
        return [name for name in names if not is_pickled(name)]
    return names


def loaded(folder: str) -> list[str]:
    """Return the names, relative to a model folder, of the files that are loaded from it. Raises OSError as os.listdir does."""
    names = os.listdir(folder)
    decisive = [name for name in names if not name.startswith(".") and (loads_model(name) or matches(name, OF_FOLDERS))]
    if TEMPLATES in names:
        decisive += [f"{TEMPLATES}/{name}" for name in os.listdir(f"{folder}/{TEMPLATES}") if name.endswith(".jinja")]
    return without_copies(name for name in decisive if os.path.isfile(f"{folder}/{name}"))


def digest(folder: str, contents: Contents) -> str:
    """Return "sha256:" and the hex digest of a model folder: of the names and contents of the files that are loaded.

    Where the folder lies and whether it is a link does not matter. A folder that does not exist is MISSING.
    Raises OSError where the folder or a file of it may not be read.
    """
    try:
        names = loaded(folder)
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    return contents.of_named({name: f"{folder}/{name}" for name in names})


def unread_bytes(folder: str, contents: Contents) -> int:
    """Return how many bytes `digest` would read, since they are not remembered. Raises OSError as `digest` does."""
    total = 0
    for name in loaded(folder):
        path = f"{folder}/{name}"
        stat = os.stat(path)
        if contents.remembered(path, [signature(stat)]) is None:
            total += stat.st_size
    return total


def unpinned(model: Mapping | None) -> str | None:
    """Return the folder of a model whose `repo` is an existing folder without a `revision`; None for any other model.

    model: its entry in the config, or None.
    """
    return (
        model["repo"]
        if model and model["repo"] and not model.get("revision") and os.path.isdir(model["repo"])
        else None
    )


def of_job(settings: Mapping) -> dict[str, str]:
    """Return {folder: digest} of the model that a job loads, as an origin has it; {} for a model with a revision, or no model.

    The digests of large files are remembered in a cache of the folder itself, so that jobs of several grids share them, and no two
    jobs wait for one file.

    Args:
        settings: the parts of the job's spec.
    Raises:
        BadInput: a file of the model's folder may not be read; also where it has a revision.
    """
    model = settings.get("model")
    if (
        not model
        or is_without_model(settings.get("teacher", {}).get("engine"))
        or not os.path.isdir(model["repo"] or "")
    ):
        return {}
    refuse_unreadable(model["repo"])
    folder = unpinned(model)
    if folder is None:
        return {}
    contents = Contents(folder)
    try:
        return {folder: digest(folder, contents)}
    except PermissionError as error:
        raise denied(error) from error
    finally:
        contents.save()


def refuse_unreadable(folder: str) -> None:
    """Raise BadInput where a file that is loaded from a model folder may not be read: libraries say that there is none."""
    try:
        for path in (f"{folder}/{name}" for name in loaded(folder)):
            if not os.access(path, os.R_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    except PermissionError as error:
        raise denied(error) from error


def denied(error: PermissionError) -> BadInput:
    """Return what to tell a user who may not read a file of a model."""
    return BadInput(
        f"{error.filename}: permission denied; ask its owner for the right to read it (chmod -R g+rX on its folder; `umask 002` "
        "for all who share it)"
    )


# --- for people


def differing(expected: Mapping[str, str], found: Mapping[str, str]) -> str:
    """Return in words the first file in which two {name: digest} differ."""
    name = min(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    if name not in found:
        return f"{name} is missing, which is recorded"
    if name not in expected:
        return f"{name} is one too many: it is not recorded"
    return f"{name} has {found[name][:SHOWN]}, and {expected[name][:SHOWN]} is recorded"


def shown(found: str) -> str:
    """Return a digest as a plan or a report shows it: "folder sha256:abcdef012345"."""
    return f"folder {found[:SHOWN] if found.startswith('sha256:') else found}"


def described(models: Iterable[Mapping], quick: bool = True) -> dict[str, str]:
    """Return {folder: its digest as shown} of those models that are folders without a revision, sorted.

    Args:
        models: entries of the config.
        quick: whether to leave a folder out of which more than QUICK_BYTES would have to be read.
    """
    found = {}
    for folder in sorted({folder for model in models if (folder := unpinned(model))}):
        contents = Contents(folder)
        try:
            is_slow = quick and unread_bytes(folder, contents) > QUICK_BYTES
            found[folder] = shown(NOT_READ if is_slow else digest(folder, contents))
        except OSError as error:
            found[folder] = shown(error.strerror or "cannot be read")
        contents.save()
    return found
