"""Commits of the models and data sets from the hub: a lock file holds those that the config does not state.

`teachergrid prefetch --pin` writes it, with an entry for each repository; a branch or tag in the config has an entry of its own
(`org/name@v1.1`). Commit the file together with the config. An entry never changes by itself: remove its line to pin again.

    dataset:
      Magpie-Align/Llama-3-Magpie-Air-3M-v0.1: <40 hex digits>
    model:
      Qwen/Qwen2.5-3B: <40 hex digits>
"""

import os
import re
from pathlib import Path

import yaml

from ..errors import BadInput
from ..spec.schema import LOADER
from ..store import origin

LOCK = Path("config/revisions.lock")
HUB = "hub:"
REMEDY = "run `teachergrid prefetch --pin` where there is a network"
_COMMIT = re.compile("[0-9a-f]{40}")
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


def is_commit(revision: str | None) -> bool:
    """Whether a revision is a commit: 40 hex digits."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def on_hub(model: dict) -> bool:
    """Whether a model entry names a hub repository: no endpoint serves it, no folder has this name, and the revision is no folder's digest."""
    if model["repo"] is None:  # an endpoint serves it
        return False
    folder = (model["revision"] or "").startswith("sha256-") or os.path.exists(model["repo"])
    return not folder and _HUB_ID.fullmatch(model["repo"]) is not None


def data_set(source: str) -> tuple[str, str | None]:
    """Return the data set of a source and the file in it: ("org/name", "path/file.jsonl") of `hub:org/name/path/file.jsonl`.

    The file is None where the source is the whole data set. Raises BadInput for a source of another shape.
    """
    parts = source.removeprefix(HUB).split("/", 2)
    if len(parts) < 2 or not all(parts):
        raise BadInput(f"{source}: a data set is {HUB}org/name, one file of it {HUB}org/name/path/file.jsonl")
    return "/".join(parts[:2]), parts[2] if len(parts) == 3 else None


def is_data_set(entry: dict) -> bool:
    """Whether the source of a config entry is a data set of the hub."""
    return (entry["source"] or "").startswith(HUB)


def files(entry: dict) -> list[str]:
    """Return the file that is the source of a config entry; none for a hub data set, which the spec names instead."""
    return [entry["source"]] if entry["source"] and not is_data_set(entry) else []


def answers(entry: dict) -> dict[str | None, str]:
    """Return {category: source} of a reference whose answers were published; None: of all other categories. All are files, or of one
    data set."""
    return {None: entry["source"], **{name: entry["by_category"][name] for name in sorted(entry["by_category"])}}


def entries(config: dict) -> list[tuple[str, str, dict]]:
    """Return (kind, repository, config entry) of all that comes from the hub; kind is `model` or `dataset`."""
    models = [("model", model["repo"], model) for model in config["models"].values() if on_hub(model)]
    sources = [entry for kind in ("instructions", "teachers", "references") for entry in config[kind].values()]
    sets = [entry for entry in sources if is_data_set(entry)]
    return models + [("dataset", data_set(entry["source"])[0], entry) for entry in sets]


def key(repo: str, revision: str | None) -> str:
    """Return the key of a repository in the lock file: `org/name`, or `org/name@v1.1` for a branch or tag."""
    return repo if revision is None else f"{repo}@{revision}"


def read() -> dict[str, dict[str, str]]:
    """Return {kind: {key: commit}} of the lock file; {} without one. Raises BadInput where it is broken."""
    if not LOCK.exists():
        return {}
    try:
        pinned = yaml.load(LOCK.read_text(), Loader=LOADER) or {}
        commits = [commit for by_key in pinned.values() for commit in by_key.values()]
    except (yaml.YAMLError, AttributeError) as error:
        raise BadInput(f"{LOCK}: broken ({error}); restore it from git, or remove it and {REMEDY}") from error
    if wrong := [commit for commit in commits if not is_commit(str(commit))]:
        raise BadInput(f"{LOCK}: '{wrong[0]}' is not a commit of 40 hex digits; remove the line and {REMEDY}")
    return pinned


def add(new: dict[str, dict[str, str]]) -> None:
    """Add {kind: {key: commit}} to the lock file."""
    pinned = read()
    for kind, commits in new.items():
        pinned[kind] = pinned.get(kind, {}) | commits
    head = "# Written by `teachergrid prefetch --pin`; commit it with the config. To pin anew, remove a line.\n"
    origin.replace_text(LOCK, head + yaml.safe_dump(pinned))


def fill(config: dict) -> None:
    """Fill in commits from the lock file where the config has none (no revision, a branch or a tag). Changes the config."""
    pinned = read()
    for kind, repo, entry in entries(config):
        if not is_commit(entry["revision"]):
            entry["revision"] = pinned.get(kind, {}).get(key(repo, entry["revision"]), entry["revision"])


def unpinned(config: dict) -> list[str]:
    """Return what comes from the hub without a commit, such as `Qwen/Qwen2.5-3B` or `org/name@main`.

    config: as grid.config.checked returns it. Such a config can be planned but not run, since the name may mean other weights
    tomorrow.
    """
    return sorted({key(repo, e["revision"]) for _, repo, e in entries(config) if not is_commit(e["revision"])})
