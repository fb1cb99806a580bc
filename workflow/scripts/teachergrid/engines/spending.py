"""What jobs spend at an endpoint, all of them together: no request begins that could pass the endpoint's cap or its limits per minute.

Each endpoint has a file that its jobs share, `results/.requests/.spent/{endpoint}.json`, changed under a lock. Before a request is
sent, the most that it can cost is promised there; when its answer has come, what it did cost takes the promise's place. What a killed
job had promised may have been paid, so it stays counted. The sums follow from the lines of the request log: a file that is lost is
made again from them.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from ..errors import BadInput
from ..store import origin
from . import request_log
from .requests import Limits

SPENT = ".spent"


class _Sums(TypedDict):
    """The content of the file. spent: USD that were paid. perhaps: USD of requests whose connection or job broke. promised: USD of
    requests on their way, by job. request_at, tokens_at: when the next request may begin by each limit, in seconds since 1970."""

    spent: float
    perhaps: float
    promised: dict[str, float]
    request_at: float
    tokens_at: float


@dataclass(frozen=True)
class Purse:
    """What one job spends at an endpoint. job: its name, which no other living job has."""

    results: Path
    endpoint: str
    limits: Limits
    job: str

    @property
    def path(self) -> Path:
        return self.results / request_log.REQUESTS / SPENT / f"{self.endpoint}.json"

    def open(self) -> None:
        """Count what an earlier, killed process of this job had promised as perhaps paid."""
        with self._sums() as sums:
            sums["perhaps"] += sums["promised"].pop(self.job, 0.0)

    def promise(self, usd: float, tokens: int) -> float | None:
        """Promise the most that a request can cost, and return the seconds until it may begin; None: not before others have ended.

        Raises BadInput where the cap leaves no room for it.
        """
        cap = self.limits.cap_usd
        with self._sums() as sums:
            counted = sums["spent"] + sums["perhaps"]
            if cap is not None and counted + usd > cap:
                raise BadInput(self._full(sums, usd))
            if cap is not None and counted + sum(sums["promised"].values()) + usd > cap:
                return None
            sums["promised"][self.job] = sums["promised"].get(self.job, 0.0) + usd
            now = time.time()
            begin = max(now, sums["request_at"], sums["tokens_at"])
            if self.limits.requests_per_minute:
                sums["request_at"] = max(now, sums["request_at"]) + 60 / self.limits.requests_per_minute
            if self.limits.tokens_per_minute:
                sums["tokens_at"] = max(now, sums["tokens_at"]) + 60 * tokens / self.limits.tokens_per_minute
            return begin - now

    def settle(self, promised: float, paid: float, sure: bool = True, unused: int = 0) -> None:
        """Put what a request has cost in the place of what was promised. unused: tokens that were promised and not used."""
        with self._sums() as sums:
            sums["promised"][self.job] = max(0.0, sums["promised"].get(self.job, 0.0) - promised)
            sums["spent" if sure else "perhaps"] += paid
            if self.limits.tokens_per_minute:
                sums["tokens_at"] -= 60 * unused / self.limits.tokens_per_minute

    def close(self) -> None:
        """Give back what rounding has left of the promises of this job, none of whose requests is on its way."""
        with self._sums() as sums:
            sums["promised"].pop(self.job, None)

    def spent(self) -> float:
        """Return the USD that count against the cap, without those of requests on their way."""
        with self._sums() as sums:
            return sums["spent"] + sums["perhaps"]

    def _full(self, sums: _Sums, usd: float) -> str:
        """Return the message that the cap leaves no room for a request of at most so many USD."""
        perhaps = f", {sums['perhaps']:.4f} perhaps (requests that broke off)" if sums["perhaps"] else ""
        return (
            f"endpoint {self.endpoint} would pass its cap of {self.limits.cap_usd:g} USD: {sums['spent']:.4f} are spent{perhaps}, and "
            f"the next request costs up to {usd:.4f}; raise its `cap_usd` and run again: what is answered stays"
        )

    @contextmanager
    def _sums(self) -> Iterator[_Sums]:
        """Yield the sums while no other process can read or change them, and write them if they have changed."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            sums = self._read()
            before = json.dumps(sums)
            yield sums
            if json.dumps(sums) != before or not self.path.exists():
                origin.replace_text(self.path, json.dumps(sums))
        finally:
            os.close(lock)

    def _read(self) -> _Sums:
        try:
            said: Any = json.loads(self.path.read_text())
            return {name: kind(said[name]) for name, kind in _KINDS.items()}  # type: ignore[return-value]
        except (OSError, ValueError, KeyError, TypeError):
            spent, perhaps = request_log.paid(self.results, self.endpoint)
            return {"spent": spent, "perhaps": perhaps, "promised": {}, "request_at": 0.0, "tokens_at": 0.0}


_KINDS: dict[str, Any] = {"spent": float, "perhaps": float, "promised": dict, "request_at": float, "tokens_at": float}
