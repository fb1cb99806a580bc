"""What endpoints have answered, and what that has cost: files that only grow, since money is not remade.

A job appends to a file of its own, `results/.requests/{api}/{rule}/{cell}.jsonl`, and any later job reads all files of its API. A line
is on the disk before its answer counts. Answers that were paid for and are of no use are lines too, or a cap in money were blind.

Batches that an endpoint has not answered yet are in a file beside, `{cell}.batches`.

A line's key says what decides the answer: the API's name for the model, how tokens are drawn, the messages and the number of the
sample. It holds neither the URL nor anything secret.
"""

import errno
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypedDict
from urllib.parse import quote

from ..errors import BadInput

if TYPE_CHECKING:
    from ..models.templates import Message
    from .requests import Endpoint, Sampling

REQUESTS = ".requests"  # in the folder of results
DECIDES = ("temperature", "top_p", "top_k", "max_tokens", "seed", "top_logprobs")  # of a sampling, for one sample


class _Line(TypedDict):
    """What each line has.

    An answer of an endpoint. answered_by: its own name for the model, which may tell the version. usd: paid for it, or 0 where
    the endpoint has no price. problem: why it is of no use; then it is asked again, and `text` is None. sure: whether it was paid
    for; False where the connection broke, and `usd` is the most that it may have cost. time: in seconds since 1970."""

    key: str
    endpoint: str
    answered_by: str | None
    text: str | None
    finish_reason: str | None
    prompt_tokens: int
    response_tokens: int
    usd: float
    sure: bool
    problem: str | None
    time: float


class Line(_Line, total=False):
    """A line. batch: id of the batch that its request was in. logprobs: of the likeliest first tokens, where they were given."""

    batch: str
    logprobs: list[tuple[str, float]]


class Reply(NamedTuple):
    """What came of one try.

    text, finish_reason: None where it has to be asked again. tokens: of prompt and response, where it says so. paid: whether it was
    paid for; None: perhaps. wait: seconds that the endpoint asks for. final: the error that no other try changes.
    """

    text: str | None = None
    finish_reason: str | None = None
    tokens: tuple[int, int] | None = None
    answered_by: str | None = None
    paid: bool | None = False
    problem: str | None = None
    wait: float = 0.0
    final: str | None = None
    logprobs: list[tuple[str, float]] | None = None  # of the likeliest first tokens


class Batch(TypedDict):
    """Requests that are sent together, and not over. most: {key of each: USD that it may cost}. promise: name of what was promised for
    it. file: id of the requests that were uploaded. id: None until it is known."""

    endpoint: str
    promise: str
    most: dict[str, float]
    file: str | None
    id: str | None


def key_of(api: str, sampling: "Sampling", messages: "list[Message]", sample: int) -> str:
    """Return the sha256 of all that decides an answer."""
    decoding = {
        name: float(value) for name, value in sampling.items() if name in DECIDES and isinstance(value, int | float)
    }
    if not sampling["temperature"] > 0:
        decoding.pop("seed", None)  # it has no effect
    asked = {"api": api, "sampling": decoding, "messages": messages, "sample": sample}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def folder_of(results: str | Path, api: str) -> Path:
    """Return the folder of an API's answers. An API's name may hold any characters."""
    name = quote(api, safe="")
    return Path(results, REQUESTS, f"%2E{name[1:]}" if name.startswith(".") else name)


def lines(folder: Path) -> Iterator[Line]:
    """Yield all lines below a folder. A line that a kill has cut off, or that is no line of ours, is left out."""
    for path in sorted(folder.glob("**/*.jsonl")):
        yield from _lines_in(path)


def _lines_in(path: Path) -> Iterator[Line]:
    with path.open("rb") as file:
        for text in file:
            line = _parsed(text)
            if line is not None:
                yield line


def lines_of(path: Path, batch: Batch) -> dict[str, Line]:
    """Return {key: line} of what was written down of a batch. path: of the log."""
    return {line["key"]: line for line in _lines_in(path) if batch["id"] and line.get("batch") == batch["id"]}


def line_of(endpoint: "Endpoint", key: str, reply: Reply, most: float) -> Line:
    """Return the line of a reply. key: of the request. most: USD that it may have cost."""
    prompt_tokens, response_tokens = reply.tokens or (0, 0)
    cost = endpoint.price.of(*reply.tokens) if reply.tokens else most
    line: Line = {
        "key": key,
        "endpoint": endpoint.name,
        "answered_by": reply.answered_by,
        "text": reply.text,
        "finish_reason": reply.finish_reason,
        "prompt_tokens": prompt_tokens,
        "response_tokens": response_tokens,
        "usd": 0.0 if reply.paid is False else cost,
        "sure": reply.paid is not None,
        "problem": reply.problem,
        "time": round(time.time(), 3),
    }
    return line if reply.logprobs is None else {**line, "logprobs": reply.logprobs}


def logprobs_of(choice: Mapping[str, Any]) -> list[tuple[str, float]] | None:
    """Return the likeliest first tokens of a choice in an endpoint's answer with their log-probabilities; None where it has none."""
    try:
        top = choice["logprobs"]["content"][0]["top_logprobs"]
        return [(str(one["token"]), float(one["logprob"])) for one in top]
    except (KeyError, IndexError, TypeError, ValueError):
        return None


def answered(folder: Path, keys: Collection[str]) -> dict[str, Line]:
    """Return {key: line} of those of these keys that have a useful answer; of several the first, which an earlier job has used."""
    found: dict[str, Line] = {}
    for line in lines(folder):
        if line["problem"] is None and line["key"] in keys:
            found.setdefault(line["key"], line)
    return found


def paid(results: str | Path, endpoint: str) -> tuple[float, float]:
    """Return the USD that an endpoint has cost for sure, and those that it may have cost besides."""
    sums = {True: 0.0, False: 0.0}
    for line in lines(Path(results, REQUESTS)):
        if line["endpoint"] == endpoint:
            sums[line["sure"]] += line["usd"]
    return sums[True], sums[False]


def paid_by(results: str, rule: str, cell: str) -> float | None:
    """Return USD that a job has paid, or perhaps paid, at all endpoints; None where it asked none. Answers of other jobs cost it nothing."""
    logs = [*Path(results, REQUESTS).glob(f"*/{rule}/{cell}.jsonl")]
    return sum(line["usd"] for log in logs for line in _lines_in(log)) if logs else None


def sent(path: Path) -> list[Batch]:
    """Return the batches of a job that were not over when it ended. path: of its log. Raises BadInput where the file is broken."""
    try:
        return json.loads(_batches(path).read_text())
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{_batches(path)}: cannot be read ({error}); it names batches that may be paid for. Put it back from a backup, or remove "
            "it and lose their answers"
        ) from error


def flying(folder: Path) -> set[str]:
    """Return the keys of the requests of all jobs below a folder that are in a batch which is not over."""
    logs = [file.with_suffix(".jsonl") for file in folder.glob("**/*.batches")]
    return {key for log in logs for batch in sent(log) for key in batch["most"]}


def keep(path: Path, batch: Batch, is_over: bool = False) -> None:
    """Write a batch down, or that it is over; this is on the disk when it returns. path: of the log."""
    others = [one for one in sent(path) if one["promise"] != batch["promise"]]
    batches = others if is_over else [*others, batch]
    file, part = _batches(path), _batches(path).with_suffix(".part")
    with open(part, "wb") as new:
        new.write(json.dumps(batches).encode())
        new.flush()
        os.fsync(new.fileno())
    part.replace(file)
    if not batches:
        file.unlink()
    _sync_folder(file.parent)


def _batches(path: Path) -> Path:
    return path.with_suffix(".batches")


def _parsed(text: bytes) -> Line | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    is_whole = text.endswith(b"\n") and isinstance(line, dict) and _Line.__annotations__.keys() <= line.keys()
    return line if is_whole else None


class Log:
    """The file of one job, open for appending.

    Use it as a context. Raises BadInput where another process writes to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self.file)
            raise BadInput(f"{self.path}: another process asks for the same answers; wait until it has ended") from None
        self._repair()
        for folder in (self.path.parent, *self.path.parent.parents[:3]):
            _sync_folder(folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.file)

    def _repair(self) -> None:
        """Remove what follows the last end of a line: a kill has cut it off, and nothing may be appended to it."""
        data = self.path.read_bytes()
        os.ftruncate(self.file, data.rfind(b"\n") + 1)

    def add(self, *lines: Line) -> None:
        """Append lines; they are on the disk when this returns. A full disk leaves none of them, and raises OSError."""
        data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        end = os.fstat(self.file).st_size
        try:
            if os.write(self.file, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            os.fsync(self.file)
        except OSError:
            os.ftruncate(self.file, end)
            raise


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
