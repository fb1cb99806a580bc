"""Fetch what the planned jobs need from the hub, where there is a network; jobs then run with HF_HUB_OFFLINE=1.

teachergrid prefetch [--pin] [--dry-run] [--check] [Snakemake's options]

--pin       write the commit of every model and data set of the config that has none into config/revisions.lock
--dry-run   say what would be fetched, its size and the free space; fetch and write nothing
--check     only say what the cache lacks, without a network

Only jobs still to be done count, and of a model only the files that load it. Exit code 0: all there; 1: something is
missing, named with its remedy; 2: not started.
"""

import os
import shutil
import sys
import time
from contextlib import redirect_stdout
from functools import cache
from glob import escape
from pathlib import Path

from . import needed, pins
from .errors import BadInput
from .needed import Found, Need
from .units import gigabytes

OPTIONS = ("--pin", "--dry-run", "--check")
# partial files of a download that was killed; one that is alive writes all the time
STALE_SECONDS = 3600


def main(argv: list[str]) -> int:
    if {"-h", "--help"} & set(argv):
        print(__doc__.strip())
        return 0
    options = [arg for arg in argv if arg in OPTIONS]
    # bars for people, against what models.py sets; read when the hub's library is imported
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "0" if sys.stderr.isatty() else "1"
    try:
        jobs = _planned([arg for arg in argv if arg not in OPTIONS])
        if "--check" in options:
            problems = needed.absent(jobs)
        else:
            problems = fetch(jobs, pin="--pin" in options, dry="--dry-run" in options)
    except (BadInput, ConnectionError) as error:
        print(f"not started: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; finished files are kept, run again to go on", file=sys.stderr)
        return 130
    for problem in problems:
        print(f"MISSING {problem}", file=sys.stderr)
    if not problems and "--dry-run" not in options:
        print("all that the planned jobs take from the hub is in the cache")
    return int(bool(problems))


def _planned(argv: list[str]) -> list:
    from .planning.graph import planned

    with redirect_stdout(sys.stderr):  # Snakemake prints its summary
        return planned(argv)


def fetch(jobs: list, pin: bool, dry: bool) -> list[str]:
    """Fetch what these jobs need and say what could not be had, each with its remedy; with `pin` pin the config first.

    Raises, before the first byte, BadInput when the file system of the cache is too small, ConnectionError when the hub is out
    of reach.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise BadInput("HF_HUB_OFFLINE is set: unset it here, and set it for the jobs alone")
    wanted, folders = needed.needs(needed.specs(jobs))
    problems = [problem for model in folders if (problem := needed.wrong_folder(model, digest=True))]
    if pin and jobs:
        commits, unpinned = _pin(jobs[0].rule.workflow.config, write=not dry)
        problems += unpinned
        wanted = [n._replace(revision=commits.get((n.kind, n.repo, n.revision), n.revision)) for n in wanted]
        wanted = [need for need in wanted if pins.is_commit(need.revision)]
    found = []
    for need in wanted:
        try:
            found.append(look_up(need))
        except BadInput as error:
            problems.append(str(error))
    place = Path(constants.HF_HUB_CACHE)
    for one in found if not dry else ():
        _clear_stale(place, one.need)
    missing = {one.need: sum(size for name, size in one.files.items() if not needed.cached(one, name)) for one in found}
    total, free = sum(missing.values()), _free(place)
    for one in found:
        size = f"{gigabytes(missing[one.need])} of {gigabytes(sum(one.files.values()))}"
        print(f"{one.need.name} at {one.commit[:12]}: {size} to fetch")
    print(f"{gigabytes(total)} to fetch, {gigabytes(free)} free in {place}", flush=True)
    if total > free:
        raise BadInput(
            f"{place}: {gigabytes(total)} are needed and {gigabytes(free)} free; make room there, or name another file "
            "system in HF_HOME, for the jobs too"
        )
    for number, one in enumerate(found, 1):
        if not dry:
            print(f"[{number} of {len(found)}] {one.need.name}", flush=True)
            problems += _download(one)
    return list(dict.fromkeys(problems))


def look_up(need: Need) -> Found:
    """Return commit, files and sizes of what is needed, as the hub has it now.

    Raises BadInput where there is no such repository, commit, file or weights, or no right to them.
    """
    if not pins.is_commit(need.revision):
        raise BadInput(f"{need.name}: no commit is stated; add --pin, which writes it into {pins.LOCK}")
    info = _info(need.kind, need.repo, need.revision)
    if info.sha != need.revision:
        raise BadInput(f"{need.name}: the hub has commit {info.sha} in place of {need.revision}; mend `revision`")
    files = needed.chosen({file.rfilename: file.size or 0 for file in info.siblings}, need)
    found = Found(need, info.sha, files)
    if info.gated and not all(needed.cached(found, name) for name in files):
        _ask(need, lambda api: api.auth_check(need.repo, repo_type=need.kind))
    return found


def _pin(config: dict, write: bool) -> tuple[dict[tuple, str], list[str]]:
    """Return the commits of what has none in the config, by kind, repository and revision, and what has none on the hub."""
    commits, problems, found = {}, [], {}
    for kind, repo, entry in pins.entries(config):
        if pins.is_commit(entry["revision"]):
            continue
        try:
            commit = _info(kind, repo, entry["revision"]).sha
        except BadInput as error:
            problems.append(str(error))
            continue
        commits[kind, repo, entry["revision"]] = commit
        found.setdefault(kind, {})[pins.key(repo, entry["revision"])] = commit
    if found and write:
        pins.add(found)
        print(f"{len(commits)} commits written into {pins.LOCK}")
    return commits, problems


@cache
def _info(kind: str, repo: str, revision: str | None):
    need = Need(kind, repo, revision)
    return _ask(need, lambda api: api.repo_info(repo, repo_type=kind, revision=revision, files_metadata=True))


def _ask(need: Need, question):
    """Return the hub's answer to question(api). Raises BadInput with the remedy where it has none, ConnectionError without a
    network."""
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
            f"{need.name}: the hub has no '{need.revision}'; mend `revision`, or remove its line from {pins.LOCK} and pin anew"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise BadInput(f"{need.name}: not on the hub, or private; mend the name, or read it with {token}") from error
    except errors.HfHubHTTPError as error:
        code = error.response.status_code
        remedy = f"look at {page} with {token}" if code in (401, 403) else "try again later"
        raise BadInput(f"{need.name}: the hub answers {code}; {remedy}") from error
    except TransportError as error:
        raise ConnectionError(f"{constants.ENDPOINT}: {error}; run this where there is a network") from error
    except OSError as error:
        raise BadInput(f"{need.name}: {str(error).splitlines()[0]}; run again to go on") from error


def _download(one: Found) -> list[str]:
    """Fetch what is not in the cache yet; finished files stay when it is stopped. Return what is still missing."""
    from huggingface_hub import snapshot_download

    need, names = one.need, [escape(name) for name in one.files]
    for name in one.files:
        if (path := needed.place(one, name)) and not needed.cached(one, name):
            # cut short: the library takes a file that is there for whole
            path.resolve().unlink()
            path.unlink(missing_ok=True)
    try:
        _ask(
            need,
            lambda api: snapshot_download(need.repo, repo_type=need.kind, revision=one.commit, allow_patterns=names),
        )
    except (BadInput, ConnectionError) as error:
        return [str(error)]
    problem = needed.lacks(need._replace(revision=one.commit))
    return [problem] if problem else []


def _clear_stale(place: Path, need: Need) -> None:
    """Remove what killed downloads left: the hub's library never goes on with a part, and a part may be 50 GB."""
    for part in place.glob(f"{need.kind}s--{need.repo.replace('/', '--')}/blobs/*.incomplete"):
        if time.time() - part.stat().st_mtime > STALE_SECONDS:
            part.unlink()


def _free(folder: Path) -> int:
    """Return the free bytes of the file system that a folder is in, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
