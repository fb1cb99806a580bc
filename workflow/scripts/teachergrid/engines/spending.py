"""What jobs spend at endpoints, all of them together: no request begins that could pass a cap, or an endpoint's limits per minute.

Each endpoint has a file that its jobs share, `results/.requests/.spent/{endpoint}.json`, changed under a lock. Before a request is
sent, the most that it can cost is promised there; when its answer has come, what it did cost takes the promise's place. What a killed
job had promised may have been paid, so it stays counted. The sums follow from the lines of the request log: a file that is lost is
made again from them. A run with `--max-usd` has such a file too, of what its jobs spend at all endpoints; it lasts as long as the run.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from ..errors import BadInput
from ..store import origin
from . import request_log
from .requests import Limits

SPENT = ".spent"
RUN = ".run"  # no endpoint's name begins so


class _Sums(TypedDict):
    """The content of the file. spent: USD that were paid. perhaps: USD of requests whose connection or job broke. promised: USD of
    requests on their way, by job. request_at, tokens_at: when the next request may begin by each limit, in seconds since 1970.
    cap_usd: of a run; an endpoint's is in the config."""

    spent: float
    perhaps: float
    promised: dict[str, float]
    request_at: float
    tokens_at: float
    cap_usd: float | None


class Spent(TypedDict):
    """USD of an endpoint. perhaps: of requests whose connection or job broke. promised: of requests on their way, at most."""

    spent: float
    perhaps: float
    promised: float


class _Account(NamedTuple):
    """Sums that no other process can read or change meanwhile. cap: USD, None for none. where, remedy: words of its message."""

    sums: _Sums
    cap: float | None
    where: str
    remedy: str

    def has_room(self, usd: float) -> bool:
        """Whether a request fits that may cost so much, with those on their way. Raises BadInput where it would not fit without them."""
        if self.cap is None:
            return True
        counted = self.sums["spent"] + self.sums["perhaps"]
        if counted + usd > self.cap:
            raise BadInput(self._full(usd))
        return counted + sum(self.sums["promised"].values()) + usd <= self.cap

    def _full(self, usd: float) -> str:
        sums = self.sums
        perhaps = f", {sums['perhaps']:.4f} perhaps (requests that broke off)" if sums["perhaps"] else ""
        return (
            f"{self.where} of {self.cap:g} USD: {sums['spent']:.4f} are spent{perhaps}, and the next request costs up to {usd:.4f}; "
            f"raise {self.remedy} and run again: what is answered stays"
        )


@dataclass(frozen=True)
class Purse:
    """What one job spends at an endpoint. job: its name, which no other living job has."""

    results: Path
    endpoint: str
    limits: Limits
    job: str

    @property
    def path(self) -> Path:
        return _file(self.results, self.endpoint)

    def open(self) -> None:
        """Count what an earlier, killed process of this job had promised as perhaps paid."""
        with self._accounts() as accounts:
            for account in accounts:
                account.sums["perhaps"] += account.sums["promised"].pop(self.job, 0.0)

    def promise(self, usd: float, tokens: int) -> float | None:
        """Promise the most that a request can cost, and return the seconds until it may begin; None: not before others have ended.

        Raises BadInput where a cap leaves no room for it.
        """
        with self._accounts() as accounts:
            if not all([account.has_room(usd) for account in accounts]):
                return None
            for account in accounts:
                promised = account.sums["promised"]
                promised[self.job] = promised.get(self.job, 0.0) + usd
            sums, now = accounts[0].sums, time.time()
            begin = max(now, sums["request_at"], sums["tokens_at"])
            if self.limits.requests_per_minute:
                sums["request_at"] = max(now, sums["request_at"]) + 60 / self.limits.requests_per_minute
            if self.limits.tokens_per_minute:
                sums["tokens_at"] = max(now, sums["tokens_at"]) + 60 * tokens / self.limits.tokens_per_minute
            return begin - now

    def held_up(self) -> BadInput:
        """Return what to say where requests that are on their way leave no room, and none of them ends."""
        return BadInput(
            f"endpoint {self.endpoint} would pass its cap, or this run its `--max-usd`, with the requests of other jobs that are on their "
            "way, or were when these jobs were killed; raise it and run again: what is answered stays"
        )

    def settle(self, promised: float, paid: float, sure: bool = True, unused: int = 0) -> None:
        """Put what a request has cost in the place of what was promised. unused: tokens that were promised and not used."""
        with self._accounts() as accounts:
            for account in accounts:
                sums = account.sums
                sums["promised"][self.job] = max(0.0, sums["promised"].get(self.job, 0.0) - promised)
                sums["spent" if sure else "perhaps"] += paid
            if self.limits.tokens_per_minute:
                accounts[0].sums["tokens_at"] -= 60 * unused / self.limits.tokens_per_minute

    def end(self, spent: float, perhaps: float) -> None:
        """Put what a batch has cost in the place of all that its job had promised; once, however often this is called."""
        with self._accounts() as accounts:
            for account in accounts:
                if account.sums["promised"].pop(self.job, None) is not None:
                    account.sums["spent"] += spent
                    account.sums["perhaps"] += perhaps

    def renew(self, usd: float) -> None:
        """Promise again what a batch may cost, if the sums were lost since."""
        with self._accounts() as accounts:
            accounts[0].sums["promised"].setdefault(self.job, usd)

    def close(self) -> None:
        """Give back what rounding has left of the promises of this job, none of whose requests is on its way."""
        with self._accounts() as accounts:
            for account in accounts:
                account.sums["promised"].pop(self.job, None)

    def spent(self) -> float:
        """Return the USD that count against the cap, without those of requests on their way."""
        with self._accounts() as accounts:
            sums = accounts[0].sums
            return sums["spent"] + sums["perhaps"]

    @contextmanager
    def _accounts(self) -> Iterator[list[_Account]]:
        """Yield the accounts of the endpoint and of the run, where it has one. All jobs lock them in this order."""
        with _locked(self.path, self._again) as sums:
            where = f"endpoint {self.endpoint} would pass its cap"
            mine = _Account(sums, self.limits.cap_usd, where, "its `cap_usd`")
            run = _file(self.results, RUN)
            if not run.exists():
                yield [mine]
                return
            with _locked(run, _nothing) as all_sums:
                yield [
                    mine,
                    _Account(all_sums, all_sums["cap_usd"], "this run would pass its `--max-usd` at endpoints", "it"),
                ]

    def _again(self) -> _Sums:
        """Return the sums of an endpoint from the log."""
        spent, perhaps = request_log.paid(self.results, self.endpoint)
        return {**_nothing(), "spent": spent, "perhaps": perhaps}


def begin_run(results: str | Path, max_usd: float | None) -> None:
    """Let the jobs of a run that begins stop asking before they have spent more at all endpoints together. None: without a limit.

    Call it while holding the lock of the results, when no job of an earlier run is alive.
    """
    if max_usd is not None:
        origin.replace_text(_file(results, RUN), json.dumps({**_nothing(), "cap_usd": max_usd}))
    else:
        _file(results, RUN).unlink(missing_ok=True)


def spent_at(results: str | Path) -> dict[str, Spent]:
    """Return {endpoint: what it has cost}. It only looks, and takes no lock."""
    found: dict[str, Spent] = {}
    for path in sorted(Path(results, request_log.REQUESTS, SPENT).glob("[!.]*.json")):
        if sums := _read(path):
            found[path.stem] = {
                "spent": sums["spent"],
                "perhaps": sums["perhaps"],
                "promised": sum(sums["promised"].values()),
            }
    return found


def _file(results: str | Path, name: str) -> Path:
    return Path(results, request_log.REQUESTS, SPENT, f"{name}.json")


def _nothing() -> _Sums:
    return {"spent": 0.0, "perhaps": 0.0, "promised": {}, "request_at": 0.0, "tokens_at": 0.0, "cap_usd": None}


@contextmanager
def _locked(path: Path, new: Callable[[], _Sums]) -> Iterator[_Sums]:
    """Yield the sums of a file while no other process can read or change them, and write them if they have changed.

    new: returns those of a file that does not exist yet, or is lost.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sums = _read(path) or new()
        before = json.dumps(sums)
        yield sums
        if json.dumps(sums) != before or not path.exists():
            origin.replace_text(path, json.dumps(sums))
    finally:
        os.close(lock)


def _read(path: Path) -> _Sums | None:
    """Return what is in a file of sums; None where it is lost."""
    try:
        said: Any = json.loads(path.read_text())
        sums = {name: kind(said[name]) for name, kind in _KINDS.items()}
        return {**sums, "cap_usd": said.get("cap_usd")}  # type: ignore[return-value]
    except (OSError, ValueError, KeyError, TypeError):
        return None


_KINDS: dict[str, Any] = {"spent": float, "perhaps": float, "promised": dict, "request_at": float, "tokens_at": float}
