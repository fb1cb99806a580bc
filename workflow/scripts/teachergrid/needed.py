"""What jobs take from the hub, and what of it is in the cache. Nothing here needs a network."""

from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from . import canonical, models, pilot, pins
from .errors import BadInput

REMEDY = "run `teachergrid prefetch` where there is a network"


class Need(NamedTuple):
    kind: str  # model or dataset
    repo: str
    revision: str | None
    file: str | None = None  # of a data set: this one alone
    code: bool = False  # of a model: with its own Python code

    @property
    def name(self) -> str:
        return ("datasets/" if self.kind == "dataset" else "") + self.repo


class Found(NamedTuple):
    need: Need
    commit: str
    files: dict[str, int]  # the needed ones with their sizes in bytes


def specs(jobs: list) -> set[str]:
    """Return the specs of jobs of plan.planned, and of what may follow when a pilot has chosen: by then nobody sits at the
    login node."""
    if not jobs:
        return set()
    later = pilot.upper_bound(jobs[0].rule.workflow.globals["cells"])
    return {job.params.spec for job in jobs} | {row["spec"] for _, _, row in later}


def needs(texts: set[str]) -> tuple[list[Need], list[dict]]:
    """Return what jobs with these specs take from the hub, and the models among theirs that are folders."""
    found, folders = set(), {}
    for text in texts:
        parts = canonical.load(text)
        model, source = parts.get("model"), parts.get("instructions", {}).get("source", "")
        if source.startswith(pins.HUB):
            repo, file = pins.data_set(source)
            found.add(Need("dataset", repo, parts["instructions"]["revision"], file))
        # responses that exist already need no model
        if model and parts.get("teacher", {}).get("engine") != "existing":
            if pins.on_hub(model):
                found.add(Need("model", model["repo"], model["revision"], code=model["trust_remote_code"]))
            else:
                folders[model["repo"]] = model
    return sorted(found, key=str), [folders[repo] for repo in sorted(folders)]


def chosen(files: dict[str, int], need: Need) -> dict[str, int]:
    """Return which of a repository's files are needed: all of a data set or one, of a model what loads it.

    Not needed of a model are folders (the same weights for other programs), a second copy of the weights, and code
    unless the config lets it run. Raises BadInput where the one file, config.json or all weights are missing.
    """
    if need.file and need.file not in files:
        raise BadInput(f"{need.name}: there is no file '{need.file}' in it; mend `source`")
    if need.kind == "dataset":
        return {name: size for name, size in files.items() if need.file in (None, name)}
    top = {name for name in files if "/" not in name and not name.startswith("consolidated")}
    kept = {name for name in top if any(fnmatch(name, pattern) for pattern in models.DECISIVE.split())}
    whole = {name for name in kept if name.endswith(".safetensors")}
    old = {name for name in kept if name.startswith("pytorch_model")}
    if "config.json" not in kept or not whole | old:
        raise BadInput(f"{need.name}: no model that transformers loads (config.json, and safetensors or pytorch_model)")
    drop = (old if whole else set()) | (set() if need.code else {name for name in kept if name.endswith(".py")})
    return {name: files[name] for name in sorted(kept - drop)}


def absent(jobs: list) -> list[str]:
    """Return what these jobs need and the cache lacks, each with its remedy. Asks no hub and reads no weights."""
    wanted, folders = needs(specs(jobs))
    problems = [*map(lacks, wanted), *(wrong_folder(model, digest=False) for model in folders)]
    return [problem for problem in problems if problem]


def lacks(need: Need) -> str | None:
    """Return what is missing in the cache of what is needed, by the list of files that every download leaves there."""
    from huggingface_hub import errors, get_cached_repo_tree

    if not pins.is_commit(need.revision):
        return f"{need.name}: no commit is stated; {pins.REMEDY}"
    try:
        tree = get_cached_repo_tree(need.repo, repo_type=need.kind, revision=need.revision)
    except errors.CachedRepoTreeNotFoundError:
        return f"{need.name} at {need.revision}: not in the cache; {REMEDY}"
    found = Found(need, need.revision, chosen({file.path: file.size for file in tree}, need))
    gone = [name for name in found.files if not cached(found, name)]
    if not gone:
        return None
    return f"{need.name} at {need.revision}: {len(gone)} of {len(found.files)} files are missing, such as {gone[0]}; {REMEDY}"


def place(one: Found, name: str) -> Path | None:
    """Return where a file lies in the cache, whole or not; None where it is not there."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(one.need.repo, name, revision=one.commit, repo_type=one.need.kind)
    return Path(path) if isinstance(path, str) else None


def cached(one: Found, name: str) -> bool:
    """Whether a file is in the cache with its whole size."""
    path = place(one, name)
    return path is not None and path.stat().st_size == one.files[name]


def wrong_folder(model: dict, digest: bool) -> str | None:
    """Return what is wrong with a model that is a folder; with `digest` its bytes are read."""
    try:
        if digest or not Path(model["repo"]).is_dir():
            models.check_revision(model)
    except BadInput as error:
        return str(error)
    return None
