"""Plan documents (workflow/schemas/plan.schema.json): their parts, and the saved plans in the results folder."""

import errno
import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from ..cost.limits import OnSlurm
from ..errors import BadInput
from ..store import origin
from ..store.results import RESULTS

FORMAT = 2  # of a plan document
# format 1 differs only in what its hash covers, and lacks what that needs: `costs` and `files`
READABLE = (1, 2)
FOLDER = ".plans"
# {low, expected, high}: an estimate and the interval in which 90 % of jobs should lie
Spread = dict[str, float]


class Because(TypedDict):
    """The root cause of a job: its own reason, or that of the job which makes its input again."""

    reason: str
    detail: str


class Asks(TypedDict):
    """What a job will ask an endpoint for: requests that its log does not answer yet, their tokens, and their price; None: unknown."""

    endpoint: str
    requests: int
    prompt_tokens: int
    response_tokens: int
    usd: Spread | None


class JobRow(TypedDict):
    """One job.

    words: the parts of its cell by name (reasons.words). gpus, cpus: what it holds; one of them is 0.
    source, alike, lengths, texts: where its estimate comes from (cost.estimate.Basis); plans saved by older versions
    have the first alone. engine: that generates, None for none. needs: indices of the jobs whose outputs it reads.
    blocked: why it cannot run, None if it can. start, end: seconds from the start of the plan, None without a schedule.
    spec: a digest of its spec. costs: what decides its price besides the spec and earlier jobs (requests.costs).
    files: paths that it reads and no job makes. slurm: None for a run that is not on SLURM.
    """

    job: str
    rule: str
    words: dict[str, str]
    gpus: int
    cpus: int
    device: str
    seconds: Spread
    source: str
    alike: NotRequired[float]
    lengths: NotRequired[str]
    texts: NotRequired[float]
    engine: NotRequired[str | None]
    usd: Spread | None
    asks: NotRequired[Asks]  # of a job that an endpoint serves; `usd` of the job holds its price
    kwh: float | None
    output: str
    reason: str
    details: list[str]
    because: Because
    needs: list[int]
    blocked: str | None
    pool: str | None
    start: float | None
    end: float | None
    spec: str
    costs: dict[str, Any]
    files: list[str]
    slurm: OnSlurm | None


class Sums(TypedDict):
    """What several jobs cost together.

    usd: of the jobs with a known price, None where no job has one. unpriced: the number of jobs without a known price.
    sources: {source of the estimate: jobs}. lengths: see sums.lengths.
    """

    jobs: int
    blocked: int
    gpu_hours: Spread
    cpu_hours: Spread
    usd: Spread | None
    unpriced: int
    kwh: float | None
    sources: dict[str, int]
    lengths: dict[str, dict[str, float]]


class Total(Sums):
    """Sums over all jobs. reused: number of results that are up to date."""

    reused: int


class CriticalRun(TypedDict):
    """One job of the critical path: the chain of jobs that decides when the plan ends. Times in seconds from the start."""

    job: str
    pool: str
    start: float
    end: float


class Halving(TypedDict):
    """A change that would shorten the plan, such as twice the GPUs of a pool, and the seconds it would then take."""

    change: str
    seconds: float


class Schedule(TypedDict):
    """When jobs run. seconds: of the whole plan. utilisation: {pool: share in use in each of equal parts of the time}."""

    seconds: float
    longest_path_s: float
    critical: list[CriticalRun]
    utilisation: dict[str, list[float]]
    halving: list[Halving]


class PhaseTwo(TypedDict):
    """What follows phase one at most, once pilots have chosen teachers.

    grids: those whose pilots have no result. jobs: those that phase two adds with the costliest choice; `needs` are indices
    among them, times are seconds from the end of phase one. total, stages, seconds, storage: of both phases together; seconds is
    None without a schedule.
    """

    grids: list[str]
    jobs: list[JobRow]
    total: Sums
    stages: list[dict[str, Any]]
    seconds: float | None
    storage: dict[str, Any]


class Document(TypedDict):
    """A whole plan; with a pilot, phase one and at most what follows it (phase_two). The rows of stages, teachers, bases and reasons are Sums with further keys, such as the name."""

    format: int
    made: str
    hash: str
    options: list[str]
    cluster: dict[str, Any]
    total: Total
    storage: dict[str, Any]
    stages: list[dict[str, Any]]
    teachers: list[dict[str, Any]]
    bases: list[dict[str, Any]]
    reasons: list[dict[str, Any]]
    older: list[dict[str, Any]]
    problems: list[str]
    folders: NotRequired[
        dict[str, str]
    ]  # {model folder without a revision: its digest as shown}; plans of older versions lack it
    schedule: Schedule | None
    no_schedule: str | None
    machines_date: str
    files: dict[str, str]
    spared: dict[str, Any] | None
    replaces: dict[str, Any] | None
    narrowing: NotRequired[dict[str, Any] | None]
    engines: NotRequired[list[dict[str, Any]]]
    endpoints: NotRequired[list[dict[str, Any]]]
    detectable: NotRequired[list[dict[str, Any]]]
    jobs: list[JobRow]
    phase_two: PhaseTwo | None


def held(job: JobRow, files: Mapping[str, str]) -> str:
    """Return what a run is held to of one job: its spec, what decides its price, and the contents of its files in any order.

    Not the names of files: a file that was only renamed is the same. files: {path: digest}.
    """
    contents = sorted(files[path] for path in job["files"])
    return json.dumps([job["spec"], job["costs"], contents], sort_keys=True)


def known(digests: Mapping[str, str]) -> dict[str, str]:
    """Return those model folders whose contents a plan knows. digests: its `folders`; others say why it does not."""
    return {folder: shown for folder, shown in digests.items() if "sha256:" in shown}


def agreed(jobs: Iterable[JobRow], files: Mapping[str, str], models: Mapping[str, str] | None = None) -> str:
    """Return the hash of a plan: over its jobs and what `held` says of them, but not times and prices, which history changes.

    Args:
        jobs: of the plan.
        files: {path: digest} of what these jobs read.
        models: {model folder: its digest as shown}. A folder that was not read yet counts for nothing.
    """
    lines = [f"{job['job']}\t{held(job, files)}" for job in jobs]
    lines += [f"{folder}\t{shown}" for folder, shown in known(models or {}).items()]
    text = "\n".join(sorted(lines))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def every_job(plan: Document) -> list[JobRow]:
    """Return the jobs of a plan with those that phase two adds at most."""
    later = plan.get("phase_two")
    return [*plan["jobs"], *(later["jobs"] if later else [])]


def save(document: Document, results: str = RESULTS, most: int = 20) -> Path | None:
    """Save a plan, so that later ones can be compared with it, and return its file. Only the newest `most` plans are kept.

    None where the user may not write there: then others' results are looked at.
    """
    folder = Path(results, FOLDER)
    path = folder / f"{document['hash']}.json.gz"
    try:
        origin.replace_bytes(path, gzip.compress(json.dumps(document).encode(), compresslevel=1))
        for old in sorted(folder.glob("*.json.gz"), key=lambda file: file.stat().st_mtime)[:-most]:
            old.unlink()
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        return None
    return path


def find(name: str, results: str = RESULTS) -> Path | None:
    """Return the file of a saved plan. name: its hash, or `last` for the newest; None where there is no such plan."""
    files = sorted(Path(results, FOLDER).glob("*.json.gz"), key=lambda file: file.stat().st_mtime)
    if name == "last":
        return files[-1] if files else None
    return next((file for file in files if file.name == f"{name}.json.gz"), None)


def read(path: str | Path) -> Document:
    """Return a plan document. Raises BadInput for a file that holds none, or one of another format."""
    try:
        data = Path(path).read_bytes()
        document = json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
        version = document["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: is not a plan ({error}); `teachergrid plan --json > plan.json` writes one") from error
    if version not in READABLE:
        raise BadInput(
            f"{path}: has format {version}, but this version reads format {FORMAT}; make the plan again with this version"
        )
    return document
