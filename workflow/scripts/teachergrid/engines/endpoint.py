"""A client for an endpoint that speaks OpenAI's protocol: an API, or a vLLM server that a site runs.

Several requests are on their way at a time. A request that fails for a while is sent again; one that cannot succeed ends the job, after
those on their way have been answered and written down: they are paid for. The key is read from an environment variable, and neither
it nor what an endpoint says about it goes into a message or a file.
"""

import asyncio
import json
import random
import re
import time
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import BadInput
from .request_log import Line, Log, Reply, line_of, logprobs_of
from .requests import Endpoint
from .spending import Purse

if TYPE_CHECKING:
    from httpx2 import AsyncClient

AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529}  # HTTP codes of what may pass by itself
KEY = {401, 403}
REASONS = ("stop", "length", "content_filter")  # what an answer may end with
FILTERED = re.compile(r"content[_ ](filter|policy|management)|responsible ?ai", re.IGNORECASE)
TOO_LONG = re.compile(r"context_length_exceeded|context (length|window)|prompt is too long", re.IGNORECASE)
NO_CREDIT = re.compile(r"insufficient_quota|billing|credit balance", re.IGNORECASE)
LONGEST_WAIT = 3600.0  # s, of those that an endpoint asks for
LONGEST_PAUSE = 60.0  # s between two tries, where it asks for none


class Query(NamedTuple):
    """A request as it is sent. number: the asker's own. key: request_log.key_of. prompt_tokens: at most."""

    number: int
    key: str
    body: dict[str, Any]
    prompt_tokens: int
    response_tokens: int


@dataclass
class Client:
    """Sends the requests of one job. log: open for appending."""

    endpoint: Endpoint
    log: Log
    purse: Purse
    stop: BaseException | None = None
    silent_until: float = 0.0  # by the monotonic clock: the endpoint asked all to wait
    unanswered: dict[int, str] = field(default_factory=dict)
    in_a_row: int = 0  # requests that were given up, since the last answer

    def stream(self, queries: Sequence[Query]) -> Generator[tuple[int, Line], None, None]:
        """Yield (number, line of the log) of each request as soon as it is answered and written down.

        Raises BadInput when all others are done: about the key, the money, what the endpoint refuses, or requests without an answer.
        """
        key = self.endpoint.key()
        self.purse.open()
        answers = self._answers(queries, key)

        async def following() -> tuple[int, Line] | None:
            return await anext(answers, None)

        with asyncio.Runner() as runner:
            try:
                while answer := runner.run(following()):
                    yield answer
            finally:
                runner.run(answers.aclose())  # type: ignore[attr-defined]
                self.purse.close()

    async def _answers(self, queries: Sequence[Query], key: str | None) -> AsyncIterator[tuple[int, Line]]:
        from httpx2 import AsyncClient, Limits

        todo, done = iter(queries), asyncio.Queue[tuple[int, Line] | None]()
        at_once = min(self.endpoint.at_once, max(1, len(queries)))
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # the limit on time is for the whole answer; see _send
        async with AsyncClient(headers=headers, timeout=None, limits=Limits(max_connections=at_once)) as http:
            workers = [asyncio.create_task(self._work(http, todo, done)) for _ in range(at_once)]
            everything = asyncio.gather(*workers)
            everything.add_done_callback(lambda _: done.put_nowait(None))
            try:
                while (answer := await done.get()) is not None:
                    yield answer
                await everything
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        if self.stop:
            raise self.stop
        if self.unanswered:
            raise BadInput(self._no_answer())

    async def _work(
        self, http: "AsyncClient", todo: Iterator[Query], done: "asyncio.Queue[tuple[int, Line] | None]"
    ) -> None:
        for query in todo:
            line = await self._answer(http, query)
            if line is not None:
                self.in_a_row = 0
                done.put_nowait((query.number, line))
            if self.stop:
                return

    async def _answer(self, http: "AsyncClient", query: Query) -> Line | None:
        """Return the answer to a request; None where there is none, or the job has to stop."""
        problem: str | None = None
        for attempt in range(self.endpoint.tries):
            usd = self.endpoint.price.of(query.prompt_tokens, query.response_tokens)
            if not await self._may_begin(usd, query.prompt_tokens + query.response_tokens):
                return None
            reply, line = await self._paid_for(http, query, usd)
            if reply.final:
                self.stop = self.stop or BadInput(reply.final)
                return None
            if reply.text is not None:
                return line
            problem = reply.problem
            self.silent_until = max(self.silent_until, time.monotonic() + reply.wait if reply.wait else 0.0)
            if self.stop or attempt + 1 == self.endpoint.tries:
                break
            pause = min(LONGEST_PAUSE, self.endpoint.pause * 2**attempt)
            await asyncio.sleep(pause * random.uniform(0.5, 1))
        self.unanswered[query.number] = problem or ""
        self.in_a_row += 1
        if self.in_a_row >= self.endpoint.at_once:  # it answers nobody: more requests would change nothing
            self.stop = self.stop or BadInput(self._no_answer())
        return None

    async def _may_begin(self, usd: float, tokens: int) -> bool:
        """Wait until the limits and the endpoint let a request begin, and promise its money. Return False where the job has to stop."""
        until = time.monotonic() + 2 * self.endpoint.timeout
        while not self.stop:
            try:
                wait = self.purse.promise(usd, tokens)
            except BadInput as error:
                self.stop = error
                return False
            if wait is not None:
                await self._until_free(wait)
                if self.stop:
                    self.purse.settle(usd, 0.0, unused=tokens)
                return not self.stop
            if time.monotonic() > until:  # of a killed job on another machine
                self.stop = self.purse.held_up()
            await asyncio.sleep(min(0.5, self.endpoint.pause))
        return False

    async def _until_free(self, wait: float) -> None:
        begin = time.monotonic() + wait
        while not self.stop and (left := max(begin, self.silent_until) - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 1.0))

    async def _paid_for(self, http: "AsyncClient", query: Query, usd: float) -> tuple[Reply, Line]:
        """Send a request once. What it cost is written down and counted, whether the answer is of use or not."""
        reply = Reply(paid=None, problem="the job ended before the answer came")  # where this is cancelled
        try:
            reply = await self._send(http, query)
        finally:
            line, sure = line_of(self.endpoint, query.key, reply, usd), reply.paid is not None
            if reply.text is not None or reply.paid is not False:
                self.log.add(line)
            unused = query.prompt_tokens + query.response_tokens - sum(reply.tokens or ()) if sure else 0
            self.purse.settle(usd, line["usd"], sure, max(0, unused))
        return reply, line

    async def _send(self, http: "AsyncClient", query: Query) -> Reply:
        from httpx2 import ConnectError, HTTPError, InvalidURL

        try:
            async with asyncio.timeout(self.endpoint.timeout):
                answer = await http.post(f"{self.endpoint.base_url.rstrip('/')}/chat/completions", json=query.body)
        except TimeoutError:
            return Reply(paid=None, problem=f"no answer within {self.endpoint.timeout:g} s")
        except ConnectError as error:
            return Reply(problem=f"no connection ({plain(self.endpoint, str(error))})")
        except InvalidURL as error:
            return Reply(
                final=f"endpoint {self.endpoint.name}: its `base_url` is wrong: {plain(self.endpoint, str(error))}"
            )
        except HTTPError as error:
            return Reply(paid=None, problem=f"the connection broke ({type(error).__name__})")
        if answer.status_code == 200:
            return read(answer.text)
        return refusal(self.endpoint, answer.status_code, answer.text, answer.headers.get("retry-after", ""))

    def _no_answer(self) -> str:
        number, problem = next(iter(self.unanswered.items()))
        return (
            f"endpoint {self.endpoint.name} gave no answer to {len(self.unanswered)} requests in {self.endpoint.tries} tries each, such as "
            f"number {number + 1}: {problem}; run again later: what is answered stays and is not paid twice"
        )


def refusal(endpoint: Endpoint, code: int, said: str, retry_after: str = "") -> Reply:
    """Return what an answer with another code than 200 means."""
    name = endpoint.name
    if code in KEY:
        which = f"in {endpoint.key_env}" if endpoint.key_env else "(none: set `key_env`)"
        return Reply(
            final=f"endpoint {name} refuses the key {which} with code {code}; set one that it takes and run again"
        )
    if code in (402, 429) and NO_CREDIT.search(said):
        return Reply(
            final=f"endpoint {name} has no credit left (code {code}); pay for more and run again: what is answered stays"
        )
    if code in AGAIN:
        return Reply(problem=f"code {code}", wait=_seconds(retry_after))
    if code == 400 and FILTERED.search(said):
        return Reply("", "content_filter")
    if code in (400, 413) and TOO_LONG.search(said):
        return Reply("", "prompt_too_long")
    remedy = "fix its `base_url`, or `api` of the model"
    if "max_completion_tokens" in said and endpoint.token_limit != "max_completion_tokens":
        remedy = "set its `token_limit: max_completion_tokens`"
    return Reply(final=f"endpoint {name} refuses a request with code {code}: {plain(endpoint, said)}; {remedy}")


def plain(endpoint: Endpoint, text: str) -> str:
    """Return the beginning of what an endpoint says, on one line and without the key, which some repeat."""
    key = endpoint.key()
    return " ".join((text.replace(key, "***") if key else text).split())[:200]


def read(body: str) -> Reply:
    """Return what is in an answer with code 200. It was paid for, whatever it holds."""
    try:
        said = json.loads(body)
        usage = said["usage"]
        tokens = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
    except (ValueError, KeyError, TypeError):
        return Reply(paid=True, problem="an answer that is not of the protocol, or without its numbers of tokens")
    by = said.get("model")
    seen = Reply(tokens=tokens, answered_by=by if isinstance(by, str) else None, paid=True)
    try:
        choice = said["choices"][0]
        text, reason = choice["message"].get("content"), choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        return seen._replace(problem="an answer without a choice")
    if reason not in REASONS or not isinstance(text, str | None) or (text is None and reason == "stop"):
        return seen._replace(problem=f"an answer without a text, or with finish reason {str(reason)[:40]}")
    return seen._replace(text=text or "", finish_reason=reason, logprobs=logprobs_of(choice))


def _seconds(said: str) -> float:
    """Return the seconds of a header Retry-After: a number, or a date."""
    try:
        wait = float(said)
    except ValueError:
        try:
            wait = parsedate_to_datetime(said).timestamp() - time.time()
        except (ValueError, TypeError):
            return 0.0
    return min(max(0.0, wait), LONGEST_WAIT) if wait == wait else 0.0


def replies_of(endpoint: Endpoint, text: str) -> dict[str, Reply]:
    """Return {key of a request: its reply} of a file of a batch's answers."""
    found = {}
    for row in text.splitlines():
        try:
            said = json.loads(row)
            key, response = said["custom_id"], said.get("response") or {}
            code, body = response.get("status_code"), json.dumps(response.get("body"))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        if code == 200:
            reply = read(body)
        elif code is None:  # it expired, or was cancelled
            reply = Reply(problem=plain(endpoint, json.dumps(said.get("error"))))
        else:
            reply = refusal(endpoint, code, body)
        found[key] = reply
    return found
