"""What goes into every engine and what comes out of it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypedDict

if TYPE_CHECKING:
    from ..models.chat import Message


class Sampling(TypedDict):
    """How tokens are drawn; the keys are those of the config (`sampling` of a teacher or task)."""

    temperature: float  # 0 is greedy
    top_p: float  # 1 keeps all tokens
    top_k: int  # 0 keeps all tokens
    max_tokens: int
    samples: int  # responses to each prompt
    seed: int | None  # of the draws; has no effect where the temperature is 0


class Request(NamedTuple):
    """One sample of one prompt. Its id and number, with the seed, decide what is drawn."""

    id: str
    sample: int
    messages: "list[Message]"
    category: str | None  # not read by an engine


class Output(TypedDict):
    """What a model generated for one request."""

    text: str  # without the token that ends it, not stripped
    # stop; length (max_tokens, or the end of the model's context); prompt_too_long or prompt_refused (by the chat
    # template), with an empty text
    finish_reason: str
    prompt_tokens: int
    response_tokens: int  # without the end token


# (requests, sampling, batch) -> one output for each request, in their order; `batch` requests at a time, at most
Generate = Callable[[list[Request], Sampling, int], list[Output]]
