"""What jobs need from the hub, and whether the local cache has it. Nothing here uses a network."""

from pathlib import Path
from typing import NamedTuple

from ..errors import BadInput
from ..spec import canonical
from ..spec.schema import is_without_model
from . import folders as model_folders
from . import model_files, pins

REMEDY = "run `teachergrid prefetch` where there is a network"


class Need(NamedTuple):
    """A model, or a data set or one file of it, on the hub."""

    kind: str  # model or dataset
    repo: str
    revision: str | None
    file: str | None = None  # of a data set: only this file
    code: bool = False  # of a model: including its own Python code

    @property
    def name(self) -> str:
        return ("datasets/" if self.kind == "dataset" else "") + self.repo


class Snapshot(NamedTuple):
    """The needed files of a repository at one commit."""

    need: Need
    commit: str
    files: dict[str, int]  # {needed file: bytes}


def needs(specs: set[str]) -> tuple[list[Need], list[dict]]:
    """Return what jobs with these specs need from the hub, and the config entries of their models that are folders."""
    from_hub: set[Need] = set()
    folders: dict[str, dict] = {}
    for text in specs:
        parts = canonical.load(text)
        model = parts.get("model")
        # instructions, responses that exist already, published answers
        for entry in (parts.get(name, {}) for name in ("instructions", "teacher", "reference")):
            for source in (entry.get("source") or "", *entry.get("by_category", {}).values()):
                if source.startswith(pins.HUB):
                    repo, file = pins.data_set(source)
                    from_hub.add(Need("dataset", repo, entry["revision"], file))
        if gamed := parts.get("judge", {}).get("gamed"):  # a file; those that are no data set's stay out of specs
            repo, file = pins.data_set(gamed)
            from_hub.add(Need("dataset", repo, parts["judge"]["gamed_revision"], file))
        if model and model["repo"] and not is_without_model(parts.get("teacher", {}).get("engine")):
            if pins.on_hub(model):
                from_hub.add(Need("model", model["repo"], model["revision"], code=model["trust_remote_code"]))
            else:
                folders[model["repo"]] = model
    return sorted(from_hub, key=str), [folders[repo] for repo in sorted(folders)]


def chosen(files: dict[str, int], need: Need) -> dict[str, int]:
    """Return {needed file: bytes} of a repository: one or all files of a data set, the files that load a model.

    Of a model these are without subfolders (the same weights for other programs), without a second copy of the weights, and without
    code unless the config lets it run.

    Args:
        files: {name: bytes}, of the whole repository.
    Raises:
        BadInput: the one file, config.json or all weights are missing.
    """
    if need.file and need.file not in files:
        raise BadInput(f"{need.name}: there is no file '{need.file}' in it; fix `source`")
    if need.kind == "dataset":
        return {name: size for name, size in files.items() if need.file in (None, name)}
    names = model_folders.without_copies(filter(model_folders.loads_model, files))
    if "config.json" not in names or not any(
        model_folders.is_safetensors(name) or model_folders.is_pickled(name) for name in names
    ):
        raise BadInput(
            f"{need.name}: holds no model that transformers can load (config.json, and safetensors or pytorch_model)"
        )
    if not need.code:
        names = [name for name in names if not is_code(name)]
    return {name: files[name] for name in names}


def is_code(name: str) -> bool:
    """Whether a file is Python code."""
    return name.endswith(".py")


def lacks(need: Need) -> str | None:
    """Return a sentence on what the cache lacks of a need; None where it has all of it.

    Each download leaves the list of the repository's files in the cache, with which this compares.
    """
    from huggingface_hub import errors, get_cached_repo_tree

    commit = need.revision
    if commit is None or not pins.is_commit(commit):
        return f"{need.name}: no commit is stated; {pins.REMEDY}"
    try:
        tree = get_cached_repo_tree(need.repo, repo_type=need.kind, revision=commit)
    except errors.CachedRepoTreeNotFoundError:
        return f"{need.name} at {commit}: not in the cache; {REMEDY}"
    snapshot = Snapshot(need, commit, chosen({file.path: file.size for file in tree}, need))
    missing = [name for name in snapshot.files if not cached(snapshot, name)]
    if not missing:
        return None
    return f"{need.name} at {commit}: {len(missing)} of {len(snapshot.files)} files are missing, such as {missing[0]}; {REMEDY}"


def place(snapshot: Snapshot, name: str) -> Path | None:
    """Return the path of a file in the cache, complete or not; None where the cache does not have it."""
    from huggingface_hub import try_to_load_from_cache

    need = snapshot.need
    path = try_to_load_from_cache(need.repo, name, revision=snapshot.commit, repo_type=need.kind)
    return Path(path) if isinstance(path, str) else None


def file_of(source: str, revision: str) -> Path:
    """Return the path of one file of a data set, hub:org/name/file, in the cache. Raises BadInput where the cache lacks it."""
    repo, name = pins.data_set(source)
    need = Need("dataset", repo, revision, name)
    if lack := lacks(need):
        raise BadInput(lack)
    path = place(Snapshot(need, revision, {}), name or "")
    assert path is not None, "the cache has it"
    return path


def cached(snapshot: Snapshot, name: str) -> bool:
    """Whether a file is in the cache with its full size."""
    path = place(snapshot, name)
    return path is not None and path.stat().st_size == snapshot.files[name]


def wrong_folder(model: dict, digest: bool) -> str | None:
    """Return a sentence on what is wrong with a model folder, else None. digest: whether to compare its bytes, too."""
    try:
        if digest or not Path(model["repo"]).is_dir():
            model_files.check_revision(model)
    except BadInput as error:
        return str(error)
    return None
