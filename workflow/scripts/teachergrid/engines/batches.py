"""Requests that are sent together as batches (/files and /batches): answered within a day, at a lower price.

A batch is written down before it is sent, and again with its id before it is waited for. So a client that was killed, whenever that
was, takes the same batch up again and pays once: where it does not know whether the endpoint has a batch of the requests that it
uploaded, it looks for one. Caps count all of a batch as promised. What came back without a useful answer is sent in another batch.
"""

import json
import time
import uuid
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from . import request_log
from .endpoint import LONGEST_PAUSE, Client, Query, plain, refusal, replies_of
from .request_log import Batch, Line, Log, Reply, keep, line_of, lines_of
from .requests import Endpoint
from .spending import Purse

if TYPE_CHECKING:
    from httpx2 import Client as Http

MOST, MOST_BYTES = 20_000, 100_000_000  # of a batch; endpoints take 50,000 requests and 200 MB
URL = "/v1/chat/completions"  # of each request, whatever the base URL is
OVER = ("completed", "expired", "cancelled", "failed")


@dataclass
class Batches:
    """Sends the requests of one job. log: open for appending. job: as of a purse."""

    endpoint: Endpoint
    log: Log
    results: Path
    job: str
    waiting: dict[str, Query] = field(default_factory=dict)
    tried: Counter[str] = field(default_factory=Counter)
    problem: str = ""  # of the last request without a useful answer

    def stream(self, queries: Sequence[Query]) -> Generator[tuple[int, Line], None, None]:
        """Yield (number, line of the log) of each request. Batches of an earlier call come first, whatever the config says now.

        Raises BadInput as Client.stream does.
        """
        from httpx2 import Client as Http

        key = self.endpoint.key()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.waiting = {query.key: query for query in queries}
        with Http(headers=headers, timeout=self.endpoint.timeout) as http:
            sent, polls = self._taken_up(http), 0
            while self.waiting or sent:
                todo = self._todo(sent)
                if not self.endpoint.batch and not sent:
                    break
                if self.endpoint.batch and (new := self._sent(http, todo, may_wait=not sent)):
                    sent, polls = [*sent, *new], 0
                time.sleep(min(LONGEST_PAUSE, self.endpoint.pause * 1.5 ** min(polls, 30)))
                polls += 1
                for batch in [*sent]:
                    lines = self._looked_at(http, batch)
                    if lines is not None:
                        sent.remove(batch)
                        yield from self._useful(lines)
        if self.waiting:  # the config no longer wants batches
            rest = [*self.waiting.values()]
            yield from Client(self.endpoint, self.log, self._purse(self.job)).stream(rest)

    def _todo(self, sent: list[Batch]) -> list[Query]:
        """Return the requests that are in no batch. Raises BadInput where one has no answer after as many batches as there are tries."""
        flying = {key for batch in sent for key in batch["most"]}
        todo = [query for query in self.waiting.values() if query.key not in flying]
        if not sent and (lost := [query for query in todo if self.tried[query.key] >= self.endpoint.tries]):
            raise BadInput(
                f"endpoint {self.endpoint.name} gave no answer to {len(lost)} requests in {self.endpoint.tries} batches each, such as "
                f"number {lost[0].number + 1}: {self.problem}; run again later: what is answered stays and is not paid twice"
            )
        return [query for query in todo if self.tried[query.key] < self.endpoint.tries]

    def _useful(self, lines: list[Line]) -> Iterator[tuple[int, Line]]:
        for line in lines:
            if line["problem"] is None and (query := self.waiting.pop(line["key"], None)):
                yield query.number, line

    # --- what is sent

    def _sent(self, http: "Http", queries: list[Query], may_wait: bool) -> list[Batch]:
        """Send requests, and return the batches: as many as the caps have room for.

        may_wait: for other jobs' requests to end, if they leave no room. Raises BadInput where there is no room for any.
        """
        new: list[Batch] = []
        asked = [{"custom_id": one.key, "method": "POST", "url": URL, "body": one.body} for one in queries]
        bodies = [json.dumps(one).encode() + b"\n" for one in asked]
        while bodies:
            name = f"{self.job}/{uuid.uuid4().hex}"
            batch: Batch = {"endpoint": self.endpoint.name, "promise": name, "most": {}, "file": None, "id": None}
            keep(self.log.path, batch)
            fitting = sum(size <= MOST_BYTES for size in accumulate(map(len, bodies[:MOST])))
            try:
                size = self._promised(name, queries[: max(1, fitting)], may_wait=may_wait and not new)
                if size:
                    batch["most"] = {query.key: self._price(query) for query in queries[:size]}
                    content = {"file": ("requests.jsonl", b"".join(bodies[:size]), "application/jsonl")}
                    batch["file"] = self._call(http, "POST", "/files", data={"purpose": "batch"}, files=content)["id"]
            finally:
                if batch["file"] is None:
                    self._forget(batch)
            if not size:
                break
            keep(self.log.path, batch)
            self._create(http, batch)
            self.tried.update(batch["most"].keys())
            new.append(batch)
            queries, bodies = queries[size:], bodies[size:]
        return new

    def _promised(self, name: str, queries: list[Query], may_wait: bool) -> int:
        """Promise the price of a batch. Return how many of the requests have room under the caps; 0: not before others have ended."""
        size, until = len(queries), time.monotonic() + 2 * self.endpoint.timeout
        while time.monotonic() < until:
            try:
                if self._purse(name).promise(sum(map(self._price, queries[:size])), 0) is not None:
                    return size
            except BadInput:
                if size == 1 and may_wait:
                    raise
                size //= 2
            else:
                if not may_wait:
                    return 0
                time.sleep(min(0.5, self.endpoint.pause))
            if not size:
                return 0
        raise self._purse(name).held_up()

    def _forget(self, batch: Batch) -> None:
        """Give back what was promised for a batch that the endpoint never had."""
        self._purse(batch["promise"]).end(0.0, 0.0)
        keep(self.log.path, batch, is_over=True)

    def _price(self, query: Query) -> float:
        return self.endpoint.price.of(query.prompt_tokens, query.response_tokens)

    def _create(self, http: "Http", batch: Batch) -> None:
        """Create a batch of what was uploaded, unless the endpoint has it, and write its id down."""
        asked = {"input_file_id": batch["file"], "endpoint": URL, "completion_window": "24h"}
        for attempt in range(self.endpoint.tries):
            if found := self._found(http, batch) if attempt else None:
                batch["id"] = found
                break
            try:
                batch["id"] = self._call(http, "POST", "/batches", tries=1, json=asked)["id"]
                break
            except Unanswered:
                if attempt + 1 == self.endpoint.tries:
                    raise
                time.sleep(min(LONGEST_PAUSE, self.endpoint.pause * 2**attempt))
            except BadInput:
                self._forget(batch)
                raise
        keep(self.log.path, batch)
        print(f"batch {batch['id']} of {len(batch['most'])} requests is sent; an answer may take a day", flush=True)

    def _found(self, http: "Http", batch: Batch) -> str | None:
        """Return the id of the batch that the endpoint has made of what was uploaded; None for none."""
        after: dict[str, str] = {}
        while True:
            page = self._call(http, "GET", "/batches", has="data", params={"limit": 100, **after})
            for one in page["data"]:
                if one.get("input_file_id") == batch["file"]:
                    return one["id"]
            if not page.get("has_more") or not page["data"]:
                return None
            after = {"after": page["data"][-1]["id"]}

    # --- what was sent

    def _taken_up(self, http: "Http") -> list[Batch]:
        """Return the batches of an earlier process of this job. Raises BadInput where they are at another endpoint."""
        self._purse(self.job).open()
        for batch in request_log.sent(self.log.path):
            if batch["file"] is None:
                self._forget(batch)
        sent = request_log.sent(self.log.path)
        for batch in sent:
            if batch["endpoint"] != self.endpoint.name:
                raise BadInput(
                    f"{self.log.path}: a batch at endpoint {batch['endpoint']} is not over ({batch['id'] or batch['file']}), and may be paid "
                    "for; run with that endpoint until it is, or remove the file .batches beside this one and lose its answers"
                )
            if batch["id"] is None:
                batch["id"] = self._found(http, batch)
                keep(self.log.path, batch)
            if batch["id"] is None:
                self._create(http, batch)
            if not lines_of(self.log.path, batch):
                self._purse(batch["promise"]).renew(sum(batch["most"].values()))
            self.tried.update(batch["most"].keys())
        return sent

    def _looked_at(self, http: "Http", batch: Batch) -> list[Line] | None:
        """Return the lines of a batch that is over, which are written down and counted; None while it is not."""
        state = self._call(http, "GET", f"/batches/{batch['id']}", has="status")
        if state["status"] not in OVER:
            return None
        replies: dict[str, Reply] = {}
        for name in ("output_file_id", "error_file_id"):
            if state.get(name):
                content = self._call(http, "GET", f"/files/{state[name]}/content", has="")
                replies |= replies_of(self.endpoint, content)
        # what an endpoint did not come to is in no file, and not paid for; in a batch that it has done, this is not so sure
        paid = None if state["status"] == "completed" else False
        lost = Reply(paid=paid, problem=f"no answer in a batch that is {state['status']}")
        known = lines_of(self.log.path, batch)
        new: list[Line] = []
        for key, most in batch["most"].items():
            reply = replies.get(key, lost)
            if key not in known and (reply.text is not None or reply.paid is not False):
                new.append({**line_of(self.endpoint, key, reply, most), "batch": batch["id"] or ""})
        self.log.add(*new)
        lines = [*known.values(), *new]
        sums = {sure: sum(line["usd"] for line in lines if line["sure"] is sure) for sure in (True, False)}
        self._purse(batch["promise"]).end(sums[True], sums[False])
        keep(self.log.path, batch, is_over=True)
        self._refuse(state, replies)
        self.problem = next((reply.problem for reply in replies.values() if reply.problem), lost.problem or "")
        return lines

    def _refuse(self, state: dict, replies: dict[str, Reply]) -> None:
        """Raise BadInput where another batch would change nothing."""
        if final := next((reply.final for reply in replies.values() if reply.final), None):
            raise BadInput(final)
        if state["status"] == "failed":
            why = plain(self.endpoint, json.dumps(state.get("errors")))
            raise BadInput(f"endpoint {self.endpoint.name} refuses a batch: {why}; fix that, or set its `batch: false`")
        if state["status"] == "cancelled":
            raise BadInput(
                f"batch {state['id']} at endpoint {self.endpoint.name} was cancelled; run again to send what it has not answered"
            )

    def _purse(self, job: str) -> Purse:
        return Purse(self.results, self.endpoint.name, self.endpoint.limits, job)

    # --- calls

    def _call(self, http: "Http", method: str, path: str, has: str = "id", tries: int = 0, **content: Any) -> Any:
        """Return the JSON of an answer, or its text. Raises Unanswered, and BadInput for what the endpoint refuses.

        has: a key that the answer must have; "" for text. tries: of a call that may not be made twice, 1.
        """
        from httpx2 import HTTPError, InvalidURL

        tries, problem = tries or self.endpoint.tries, ""
        for attempt in range(tries):
            wait = min(LONGEST_PAUSE, self.endpoint.pause * 2**attempt)
            try:
                answer = http.request(method, f"{self.endpoint.base_url.rstrip('/')}{path}", **content)
            except InvalidURL as error:
                raise BadInput(f"endpoint {self.endpoint.name}: its `base_url` is wrong: {error}") from error
            except HTTPError as error:
                problem = f"no connection, or it broke ({type(error).__name__})"
            else:
                if answer.is_success and (said := _said(answer.text, has)) is not None:
                    return said
                reply = refusal(self.endpoint, answer.status_code, answer.text, answer.headers.get("retry-after", ""))
                if not answer.is_success and reply.problem is None:
                    why = (
                        reply.final
                        or f"endpoint {self.endpoint.name} refuses a batch: {plain(self.endpoint, answer.text)}"
                    )
                    file = self.log.path.with_suffix(".batches")
                    raise BadInput(f"{why}; without batches: `batch: false`; if it has lost one, remove {file}")
                problem, wait = reply.problem or "an answer that is not of the protocol", max(wait, reply.wait)
            if attempt + 1 < tries:
                time.sleep(wait)
        raise Unanswered(
            f"endpoint {self.endpoint.name} gave no answer to {method} {path} in {tries} tries: {problem}; run again later: what is "
            "answered stays and is not paid twice"
        )


class Unanswered(BadInput):
    """An endpoint may have done what it was asked for, and has not said so."""


def _said(text: str, has: str) -> Any:
    """Return the JSON of an answer, or its text where `has` is empty; None where it is none of the protocol."""
    if not has:
        return text
    with suppress(ValueError):
        said = json.loads(text)
        return said if isinstance(said, dict) and has in said else None
    return None
