"""What goes into every engine and what comes out of it."""

import os
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NotRequired, TypedDict

import pyarrow as pa

from ..errors import BadInput

if TYPE_CHECKING:
    from ..models.chat import Message
    from ..spec.settings import ChatSettings


class Sampling(TypedDict):
    """How tokens are drawn; the keys are those of the config (`sampling` of a teacher or task)."""

    temperature: float  # 0 is greedy
    top_p: float  # 1 keeps all tokens
    top_k: int  # 0 keeps all tokens
    max_tokens: int
    max_tokens_again: NotRequired[int | None]  # of a second try, for responses that reach max_tokens
    samples: int  # responses to each prompt
    seed: int | None  # of the draws; has no effect where the temperature is 0
    stop: NotRequired[list[str]]  # texts that end a response, which holds none of them; of a task, none for teachers
    top_logprobs: NotRequired[int]  # log-probabilities of so many likeliest first tokens


class Request(NamedTuple):
    """One sample of one prompt. Its id and number, with the seed, decide what is drawn."""

    id: str
    sample: int
    messages: "list[Message]"
    category: str | None  # not read by an engine
    sampling: Sampling


class Output(TypedDict):
    """What a model generated for one request."""

    text: str  # without the token that ends it, not stripped
    # stop; length (max_tokens, or the end of the model's context); prompt_too_long or prompt_refused (by the chat
    # template), with an empty text; content_filter: an endpoint kept the text, or its end, to itself
    finish_reason: str
    prompt_tokens: int
    response_tokens: int  # without the end token
    logprobs: NotRequired[list[tuple[str, float]] | None]  # of the likeliest first tokens, where they were asked for


# requests -> (number of a request, its output) for each of them, in any order, as soon as it is done
Generate = Callable[[Sequence[Request]], Iterator[tuple[int, Output]]]


class Price(NamedTuple):
    """USD for a million tokens of prompts and of responses; None: unknown, or a server of one's own."""

    usd_in: float | None = None
    usd_out: float | None = None

    def of(self, prompt_tokens: int, response_tokens: int) -> float:
        """Return the USD of a request; an unknown price counts as 0."""
        return ((self.usd_in or 0) * prompt_tokens + (self.usd_out or 0) * response_tokens) / 1e6


class Limits(NamedTuple):
    """Limits of an endpoint, over all jobs; None: no limit. cap_usd: for all that is ever spent into one folder of results."""

    cap_usd: float | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


class EndpointCosts(TypedDict):
    """What decides the cost of a job that asks an endpoint. usd_in, usd_out: as of Price."""

    name: str
    usd_in: float | None
    usd_out: float | None
    requests_per_minute: float | None
    batch: bool


FREE, UNLIMITED = Price(), Limits()


@dataclass(frozen=True)
class Endpoint:
    """An endpoint, as the config has it.

    base_url: ends before /chat/completions. key_env: name of the environment variable with its key; None: it needs none. at_once:
    requests on their way. timeout: seconds for a whole answer. tries: of each request. pause: seconds before the second try. batch:
    whether requests go as batches; the price is then that of a batch. token_limit: what requests call the most tokens of a response.
    """

    name: str
    base_url: str
    key_env: str | None = None
    price: Price = FREE
    limits: Limits = UNLIMITED
    at_once: int = 16
    timeout: float = 600.0
    tries: int = 8
    pause: float = 1.0
    batch: bool = False
    token_limit: str = "max_tokens"

    @classmethod
    def of(cls, name: str, entry: dict) -> "Endpoint":
        """Return the endpoint of an entry of the config."""
        factor = entry["batch_price"] if entry["batch"] else 1.0
        price = Price(*(usd and usd * factor for usd in (entry["usd_in"], entry["usd_out"])))
        limits = Limits(entry["cap_usd"], entry["requests_per_minute"], entry["tokens_per_minute"])
        how = {key: entry[key] for key in ("at_once", "timeout", "tries", "batch", "token_limit")}
        return cls(name, entry["base_url"], entry["key_env"], price, limits, **how)

    def costs(self) -> EndpointCosts:
        """Return what decides the cost of a job that asks it."""
        return {
            "name": self.name,
            "usd_in": self.price.usd_in,
            "usd_out": self.price.usd_out,
            "requests_per_minute": self.limits.requests_per_minute,
            "batch": self.batch,
        }

    def key(self) -> str | None:
        """Return the key. Raises BadInput where the environment has none that can be sent."""
        if self.key_env is None:
            return None
        key = os.environ.get(self.key_env, "").strip()
        if not re.fullmatch(r"[\x21-\x7e]+", key):
            lack = "holds characters that no key has" if key else "is not set"
            raise BadInput(
                f"endpoint {self.name} needs a key: the environment variable {self.key_env} {lack}; set it where jobs run"
            )
        return key


@dataclass(frozen=True)
class Setup:
    """All that a job tells an engine: its model, how prompts are put to it, and everything that it will be asked.

    model: its entry in the config; None where an engine needs none. format: `chat` or `plain`. weights: folder of a student's
    weights and tokenizer; then `model` is its base. requests: of the job, all of them. batch: requests that generate together, at
    most. shard: rows after which they are saved. work: a folder of the job's own, for what an engine needs meanwhile. endpoint: that
    serves the model. job: rule/cell, below the folder `results`, where answers that were paid for are kept.
    """

    model: dict | None
    chat: "ChatSettings"
    format: str = "chat"
    weights: Path | None = None
    requests: Sequence[Request] = ()
    batch: int = 1
    shard: int = 1024
    work: Path | None = None
    endpoint: Endpoint | None = None
    job: str = ""
    results: Path = Path()


def requests_of(instructions: pa.Table, sampling: Sampling) -> list[Request]:
    """Return all samples of the first instruction, then of the second, and so on. instructions: artifacts.INSTRUCTIONS."""
    rows = instructions.select(["id", "messages", "category"]).to_pylist()
    return [
        Request(row["id"], i, row["messages"], row["category"], sampling)
        for row in rows
        for i in range(sampling["samples"])
    ]


def longest(sampling: Sampling) -> int:
    """Return the tokens that a response may have, in its second try where there is one."""
    return sampling.get("max_tokens_again") or sampling["max_tokens"]


def ended(
    prompt_tokens: int,
    ids: list[int],
    limit: int,
    stops: list[int],
    text: Callable[[list[int]], str],
    stop_texts: Sequence[str] = (),
) -> Output:
    """Return the output from the ids that followed a prompt; the response ends before its first stop token, or stop text.

    A response that a text ends has the tokens that it takes to write what comes before that text: the first ones whose text begins
    with it.

    Args:
        limit: new tokens at most.
        stops: ids that end a response.
        text: from the ids of a response to its text.
        stop_texts: texts that end a response.
    """
    length = next((place for place, token in enumerate(ids) if token in stops), limit)
    ids, reason = ids[:length], "stop" if length < limit else "length"
    whole = text(ids)
    if (kept := before(whole, stop_texts)) != whole:
        length = bisect_left(range(len(ids)), True, key=lambda n: text(ids[:n]).startswith(kept))
        whole, reason = kept, "stop"
    return {"text": whole, "finish_reason": reason, "prompt_tokens": prompt_tokens, "response_tokens": length}


def before(text: str, stop_texts: Sequence[str]) -> str:
    """Return a text up to the first of some others; all of it where it holds none."""
    places = [place for stop in stop_texts if (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text


def without_text(finish_reason: str, prompt_tokens: int) -> Output:
    """Return the output for a prompt that the model was not given."""
    return {"text": "", "finish_reason": finish_reason, "response_tokens": 0, "prompt_tokens": prompt_tokens}
