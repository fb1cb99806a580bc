"""Plan documents: their parts, and the files of earlier plans beside the results (workflow/schemas/plan.schema.json)."""

import gzip
import json
from pathlib import Path
from typing import Any, TypedDict

from ..errors import BadInput
from ..store.results import RESULTS

FORMAT = 1  # of a plan document
FOLDER = ".plans"
# low, expected, high: a number and the interval around it in which 90 % of jobs should lie
Spread = dict[str, float]


class Because(TypedDict):
    """The reason that a job goes back to through the jobs that it follows."""

    reason: str
    detail: str


class JobRow(TypedDict):
    """One job. gpus, cpus: what it holds, one of them 0; start, end: seconds from the start of the plan, None without a schedule.

    words: the parts of its cell (reasons.words); spec: a digest; needs: indices of jobs; blocked: why it cannot run.
    """

    job: str
    rule: str
    words: dict[str, str]
    gpus: int
    cpus: int
    device: str
    seconds: Spread
    source: str
    usd: Spread | None
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


class Sums(TypedDict):
    """What several jobs cost together. usd: of the jobs with a known price, None where there is none; unpriced: the others."""

    jobs: int
    blocked: int
    gpu_hours: Spread
    cpu_hours: Spread
    usd: Spread | None
    unpriced: int
    kwh: float | None
    sources: dict[str, int]


class Total(Sums):
    """reused: results that are up to date."""

    reused: int


class CriticalRun(TypedDict):
    """A run of the chain that decides the end, in seconds from the start."""

    job: str
    pool: str
    start: float
    end: float


class Halving(TypedDict):
    """A change, such as twice the GPUs of a pool, and the seconds that the plan would take with it."""

    change: str
    seconds: float


class Schedule(TypedDict):
    """utilisation: for each pool the share in use, in equal parts of the time."""

    seconds: float
    longest_path_s: float
    critical: list[CriticalRun]
    utilisation: dict[str, list[float]]
    halving: list[Halving]


class Document(TypedDict):
    """A whole plan. Rows of stages, teachers, bases and reasons are sums with a name (Sums and their own keys)."""

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
    schedule: Schedule | None
    no_schedule: str | None
    machines_date: str
    jobs: list[JobRow]


def save(document: Document, results: str = RESULTS, most: int = 20) -> Path:
    """Save a plan, so that a later one can be compared with it, and remove the oldest beyond `most`. Return its file."""
    folder = Path(results, FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{document['hash']}.json.gz"
    path.write_bytes(gzip.compress(json.dumps(document).encode(), compresslevel=1))
    for old in sorted(folder.glob("*.json.gz"), key=lambda file: file.stat().st_mtime)[:-most]:
        old.unlink()
    return path


def find(word: str, results: str = RESULTS) -> Path | None:
    """Return the file of a saved plan by its hash, or of the newest one by `last`."""
    files = sorted(Path(results, FOLDER).glob("*.json.gz"), key=lambda file: file.stat().st_mtime)
    if word == "last":
        return files[-1] if files else None
    return next((file for file in files if file.name == f"{word}.json.gz"), None)


def read(path: str | Path) -> Document:
    """Return a plan document. Raises BadInput for a file that holds none, or one of another format."""
    try:
        data = Path(path).read_bytes()
        document = json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
        version = document["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: is no plan ({error}); `teachergrid plan --json > plan.json` writes one") from error
    if version != FORMAT:
        raise BadInput(f"{path}: a plan of format {version}, and this version reads {FORMAT}; plan again with this one")
    return document
