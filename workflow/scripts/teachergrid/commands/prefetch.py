"""`teachergrid prefetch`: fetch what the planned jobs need from the hub, on a machine with a network.

Jobs then run with HF_HUB_OFFLINE=1. Only what remaining jobs need is fetched, and of a model only the files that are loaded.
"""

import os
import sys
from argparse import Namespace
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..evaluation import judge_prompts
from ..grid import phases
from ..hub import folders as model_folders
from ..hub import github, pins
from ..hub import needs as hub_needs
from ..hub.fetch import Hub, clear_stale, download
from ..hub.needs import Need, Snapshot
from ..store import disk
from ..units import gigabytes

if TYPE_CHECKING:
    from snakemake.jobs import Job


def main(own: Namespace, argv: list[str]) -> int:
    """Fetch or check, and return the exit code: 0 nothing is missing, 1 something is missing, 2 not started.

    own: our options; argv: Snakemake's.
    """
    # progress bars on a terminal, although models.loading switches them off; read when the hub's library is imported
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "0" if sys.stderr.isatty() else "1"
    try:
        jobs = planned_jobs(argv)
        problems = absent(jobs) if own.check else fetch(jobs, pin=own.pin, dry=own.dry_run)
    except (BadInput, ConnectionError) as error:
        print(f"not started: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; finished files are kept, run again to continue", file=sys.stderr)
        return 130
    for problem in problems:
        print(f"MISSING {problem}", file=sys.stderr)
    if not problems and not own.dry_run:
        print("all that the planned jobs need from the hub is in the cache")
    return int(bool(problems))


def planned_jobs(argv: list[str]) -> "list[Job]":
    """Return the jobs that Snakemake would run. argv: its options."""
    from ..planning.graph import planned

    with redirect_stdout(sys.stderr):  # Snakemake prints its summary
        return planned(argv)


def specs(jobs: "list[Job]") -> set[str]:
    """Return the specs of planned jobs, and of those that may follow once a pilot has chosen teachers.

    Those start by themselves in the same run, on nodes that may have no network.
    """
    if not jobs:
        return set()
    later = phases.upper_bound(jobs[0].rule.workflow.globals["cells"])
    return {job.params.spec for job in jobs} | {row["spec"] for _, _, row in later}


def absent(jobs: "list[Job]") -> list[str]:
    """Return what these jobs need and the cache lacks, each with its remedy. Uses no network and reads no weights."""
    texts = specs(jobs)
    needs, folders = hub_needs.needs(texts)
    show(folders)
    problems = [*map(hub_needs.lacks, needs), *map(github.lacks, judge_prompts.needed(texts))]
    problems += [hub_needs.wrong_folder(model, digest=False) for model in folders]
    return [problem for problem in problems if problem]


def show(models: list[dict]) -> None:
    """Print the digest of each model folder that has no revision: nothing else says which weights will be used."""
    for folder, digest in model_folders.described(models).items():
        print(f"{folder}: {digest}, no `revision` in the config", flush=True)


def fetch(jobs: "list[Job]", pin: bool, dry: bool) -> list[str]:
    """Fetch what these jobs need, and return a sentence with its remedy for each thing that could not be fetched.

    Args:
        pin: first write missing commits into the lock file.
        dry: only print what would be fetched.
    Raises, before the first byte is fetched:
        BadInput: the file system of the cache is too small.
        ConnectionError: the hub cannot be reached.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise BadInput("HF_HUB_OFFLINE is set: unset it here, and set it for the jobs alone")
    hub, cache = Hub(), Path(constants.HF_HUB_CACHE)
    texts = specs(jobs)
    needs, folders = hub_needs.needs(texts)
    show(folders)
    problems = [problem for model in folders if (problem := hub_needs.wrong_folder(model, digest=True))]
    if pin and jobs:
        commits, unpinned = pin_config(jobs[0].rule.workflow.config, hub, write=not dry)
        problems += unpinned
        needs = [need._replace(revision=commits.get(need[:3], need.revision)) for need in needs]
        needs = [need for need in needs if pins.is_commit(need.revision)]
    snapshots, unavailable = plan_downloads(needs, hub)
    problems += unavailable
    if not dry:
        for snapshot in snapshots:
            clear_stale(cache, snapshot.need)
    refuse_small_disk(snapshots, cache)
    prompts = [file for file in judge_prompts.needed(texts) if github.lacks(file)]
    for file in prompts:
        print(f"{file.name}: to fetch", flush=True)
    if not dry:
        for number, snapshot in enumerate(snapshots, 1):
            print(f"[{number} of {len(snapshots)}] {snapshot.need.name}", flush=True)
            if problem := download(snapshot):
                problems.append(problem)
        problems += filter(None, map(github.fetch, prompts))
    return list(dict.fromkeys(problems))


def plan_downloads(needs: list[Need], hub: Hub) -> tuple[list[Snapshot], list[str]]:
    """Return what can be fetched, and a sentence with its remedy for each need that cannot. Raises ConnectionError."""
    snapshots, problems = [], []
    for need in needs:
        try:
            snapshots.append(hub.snapshot(need))
        except BadInput as error:
            problems.append(str(error))
    return snapshots, problems


def refuse_small_disk(snapshots: list[Snapshot], cache: Path) -> None:
    """Print how much is to be fetched. Raises BadInput where the cache's file system has less free space."""
    total, free = 0, disk.free_bytes(cache)
    for snapshot in snapshots:
        missing = sum(size for name, size in snapshot.files.items() if not hub_needs.cached(snapshot, name))
        total += missing
        size = f"{gigabytes(missing)} of {gigabytes(sum(snapshot.files.values()))}"
        print(f"{snapshot.need.name} at {snapshot.commit[:12]}: {size} to fetch")
    print(f"{gigabytes(total)} to fetch, {gigabytes(free)} free in {cache}", flush=True)
    if total > free:
        raise BadInput(
            f"{cache}: {gigabytes(total)} are needed and {gigabytes(free)} free; make room there, or name another file "
            "system in HF_HOME, for the jobs too"
        )


def pin_config(config: dict, hub: Hub, write: bool) -> tuple[dict[tuple, str], list[str]]:
    """Look up a commit for each model and data set of the config without one; with `write` add it to the lock file.

    Returns: {(kind, repository, revision): commit}, and a sentence for each that the hub does not have.
    """
    commits: dict[tuple, str] = {}
    problems = []
    lock: dict[str, dict[str, str]] = {}
    for kind, repo, entry in pins.entries(config):
        revision = entry["revision"]
        if pins.is_commit(revision):
            continue
        try:
            commit = hub.commit(kind, repo, revision)
        except BadInput as error:
            problems.append(str(error))
            continue
        commits[kind, repo, revision] = commit
        lock.setdefault(kind, {})[pins.key(repo, revision)] = commit
    if lock and write:
        pins.add(lock)
        print(f"{len(commits)} commits written into {pins.LOCK}")
    return commits, problems
