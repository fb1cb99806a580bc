"""Generation by an endpoint of OpenAI's protocol. It promises nothing: what comes again comes from the log of what was answered.

Whatever an earlier job has asked with the same words, whether for this teacher or another, is read from the log and not paid again.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.templates import with_system
from .batches import Batches
from .endpoint import Client, Query
from .request_log import Line, Log, answered, flying, folder_of, key_of, sent
from .requests import Endpoint
from .spending import Purse

if TYPE_CHECKING:
    from ..models.templates import Message
    from ..spec.settings import ChatSettings
    from .requests import Generate, Output, Request, Sampling, Setup

# tokens that a chat format puts around a message, at most; no token is shorter than a byte
AROUND = 16


@dataclass(frozen=True)
class Asker:
    """What a job needs to ask an endpoint.

    api: the endpoint's name for the model. chat: its settings, of which the system message counts. results: folder of the results. job:
    rule/cell.
    """

    endpoint: Endpoint
    api: str
    results: Path
    job: str
    chat: "ChatSettings"

    def generate(self, requests: "Sequence[Request]") -> "Iterator[tuple[int, Output]]":
        """Yield (number of a request, its output) for all: those that are known already first. Raises as Client.stream does."""
        numbers: dict[str, list[int]] = defaultdict(list)
        queries: dict[str, Query] = {}
        for number, request in enumerate(requests):
            query = self._query(number, request)
            numbers[query.key].append(number)
            queries.setdefault(query.key, query)
        known = answered(folder_of(self.results, self.api), numbers.keys())
        for key, line in known.items():
            for number in numbers[key]:
                yield number, output_of(line)
        missing = [query for key, query in queries.items() if key not in known]
        path = folder_of(self.results, self.api) / f"{self.job}.jsonl"
        if known:
            print(
                f"{len(known)} of {len(queries)} requests are answered in the log, {len(missing)} are sent", flush=True
            )
        unfinished = sent(path)
        if not missing and not unfinished:
            return
        job = f"{folder_of('', self.api).name}/{self.job}"
        with Log(path) as log, closing(self._answers(log, job, missing, bool(unfinished))) as answers:
            # closed before the log is, where no more answers are wanted
            for _, line in answers:
                for number in numbers[line["key"]]:
                    yield number, output_of(line)

    def _answers(
        self, log: Log, job: str, queries: list[Query], unfinished: bool
    ) -> Generator[tuple[int, Line], None, None]:
        """Return the stream of a client. unfinished: whether batches of an earlier process are not over."""
        if self.endpoint.batch or unfinished:
            return Batches(self.endpoint, log, self.results, job).stream(queries)
        purse = Purse(self.results, self.endpoint.name, self.endpoint.limits, job)
        return Client(self.endpoint, log, purse).stream(queries)

    def _query(self, number: int, request: "Request") -> Query:
        messages = with_system(request.messages, self.chat)
        size = sum(len(message["content"].encode()) + AROUND for message in messages) + AROUND
        key = key_of(self.api, request.sampling, messages, request.sample)
        body = body_of(self.api, messages, request, self.endpoint.token_limit)
        return Query(number, key, body, size, request.sampling["max_tokens"])


def open_model(setup: "Setup") -> "Generate":
    """Return what asks the endpoint of a model. Nothing is sent before it is called."""
    assert setup.model is not None and setup.endpoint is not None, "config.check sees to it"
    asker, samples = (
        Asker(setup.endpoint, setup.model["api"], setup.results, setup.job, setup.chat),
        numbered(setup.requests),
    )

    def generate(requests: "Sequence[Request]") -> "Iterator[tuple[int, Output]]":
        return asker.generate([one._replace(sample=samples.get(one[:2], one.sample)) for one in requests])

    return generate


def numbered(requests: "Sequence[Request]") -> dict[tuple[str, int], int]:
    """Return {(id, sample) of a request: number of the sample under which it is asked}, where the two numbers differ.

    Instructions of equal text are asked for draws of their own, as an engine with a model gives them. Without that, the log would
    give the first one's answer to all of them. Greedy decoding has one answer. requests: all of a job.
    """
    seen: dict[str, int] = defaultdict(int)
    found: dict[tuple[str, int], int] = {}
    for request in requests:
        sampling = request.sampling
        if sampling["temperature"] > 0:
            text = json.dumps([request.messages, request.sample])
            place, seen[text] = seen[text], seen[text] + 1
            if place:
                found[request.id, request.sample] = request.sample + place * sampling["samples"]
    return found


def unanswered(requests: "Sequence[Request]", settings: dict, results: Path) -> int:
    """Return how many requests of a teacher the log does not answer yet, and no batch that was sent will.

    Args:
        requests: all of the teacher.
        settings: {"teacher": its config entry, "model": its model}.
    """
    api, teacher = settings["model"]["api"], settings["teacher"]
    samples = numbered(requests)
    keys = {
        key_of(api, one.sampling, with_system(one.messages, teacher), samples.get(one[:2], one.sample))
        for one in requests
    }
    folder = folder_of(results, api)
    return len(keys - answered(folder, keys).keys() - flying(folder))


def body_of(api: str, messages: "list[Message]", request: "Request", token_limit: str = "max_tokens") -> dict[str, Any]:
    """Return what is sent for a request. What decides nothing is left out, since not all endpoints know all settings."""
    sampling = request.sampling
    body = {
        "model": api,
        "messages": messages,
        token_limit: sampling["max_tokens"],
        "temperature": sampling["temperature"],
    }
    if sampling["temperature"] > 0:
        body |= {"top_p": sampling["top_p"]} if sampling["top_p"] < 1 else {}
        body |= {"top_k": sampling["top_k"]} if sampling["top_k"] else {}
        body |= {"seed": seed_of(sampling, request.sample)} if sampling["seed"] is not None else {}
    if top := sampling.get("top_logprobs"):
        body |= {"logprobs": True, "top_logprobs": top}
    return body


def seed_of(sampling: "Sampling", sample: int) -> int:
    """Return the seed of a sample; all samples of all seeds have others."""
    return int.from_bytes(hashlib.sha256(f"{sampling['seed']} {sample}".encode()).digest()[:4]) >> 1


def output_of(line: Line) -> "Output":
    """Return the output that a line of the log holds."""
    output: Output = {
        "text": line["text"] or "",
        "finish_reason": line["finish_reason"] or "",
        "prompt_tokens": line["prompt_tokens"],
        "response_tokens": line["response_tokens"],
    }
    if (logprobs := line.get("logprobs")) is not None:
        output["logprobs"] = [(token, value) for token, value in logprobs]
    return output
