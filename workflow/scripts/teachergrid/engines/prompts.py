"""Requests as tokens, for the engines that load a model on this machine."""

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..models import chat, checks, loading
from .requests import Request, Setup, longest

if TYPE_CHECKING:
    from transformers import GenerationConfig, PretrainedConfig, PreTrainedTokenizerFast


def refused_ids(setup: Setup) -> set[str]:
    """Return the ids of the instructions that the chat template refuses; needs no more than the tokenizer.

    Raises BadInput as checks.check_prompts does.
    """
    assert setup.model is not None, "config.check sees to it that the teacher names a model"
    tokenizer = loading.load_tokenizer(setup.model, setup.chat, setup.weights)
    asked = ((request.id, request.messages) for request in setup.requests)
    reader = checks.reader(tokenizer, setup.chat, setup.format)
    return checks.check_prompts(asked, reader, setup.chat, setup.model["repo"])


def named(tokenizer: "PreTrainedTokenizerFast", first: Iterable[tuple[int, float]]) -> list[tuple[str, float]]:
    """Return (text of a token, log-probability) from (id, log-probability): each token by itself, whatever the template opens."""
    return [(tokenizer.decode([id], clean_up_tokenization_spaces=False), value) for id, value in first]


@dataclass(frozen=True)
class Reader:
    """Turns requests into tokens and back, for an engine that loads the weights by itself.

    repo: the model's, for messages.
    """

    setup: Setup
    tokenizer: "PreTrainedTokenizerFast"
    config: "PretrainedConfig"
    defaults: "GenerationConfig"
    repo: str

    @classmethod
    def of(cls, setup: Setup) -> "Reader":
        """Read the tokenizer and the config of a model. Raises BadInput as loading.load_tokenizer does, and without a config."""
        assert setup.model is not None, "config.check sees to it that the teacher names a model"
        tokenizer = loading.load_tokenizer(setup.model, setup.chat, setup.weights)
        chat.report(tokenizer, setup.chat, setup.format)
        return cls(setup, tokenizer, *_configs(setup), setup.model["repo"])

    @cached_property
    def stops(self) -> list[int]:
        """The ids that end a response."""
        return chat.stops(self.tokenizer, self.setup.chat, self.setup.format, self.defaults.eos_token_id)

    @cached_property
    def context(self) -> float:
        """The length of the model's context in tokens; infinity where its config does not say."""
        text = self.config.get_text_config()
        return next((limit for name in loading.CONTEXTS if (limit := getattr(text, name, None))), math.inf)

    def ids(self, requests: Sequence[Request]) -> "list[array[int]]":
        """Return the tokens of each prompt; samples of one instruction share theirs. Raises BadInput for one without embedding."""
        size = self.config.get_text_config().vocab_size
        outside = {id: token for token, id in self.tokenizer.get_vocab().items() if id >= size}
        known: dict[str, array[int]] = {}
        for request in requests:
            if request.id not in known:
                prompt = chat.prompt(self.tokenizer, request.messages, self.setup.chat, self.setup.format).ids
                checks.refuse_ids(prompt, outside, self.repo, size)
                known[request.id] = array("i", prompt)  # 4 bytes an id: a list takes 36
        return [known[request.id] for request in requests]

    def longest(self) -> int:
        """Return the tokens of the longest prompt with its response, over all requests of the job."""
        allowed = dict[str, int]()
        for request in self.setup.requests:
            allowed[request.id] = max(allowed.get(request.id, 0), longest(request.sampling))
        by_id = {request.id: request for request in self.setup.requests}
        lengths = map(len, self.ids(list(by_id.values())))
        return max((n + allowed[id] for id, n in zip(by_id, lengths, strict=True)), default=1)

    def text(self, ids: list[int]) -> str:
        """Return the text of a response."""
        return chat.text(self.tokenizer, ids, self.setup.chat, self.setup.format)


def _configs(setup: Setup) -> "tuple[PretrainedConfig, GenerationConfig]":
    """Return the config of a model (of a student's weights) and its generation defaults, without loading its weights."""
    from transformers import AutoConfig, GenerationConfig

    assert setup.model is not None
    source, options = loading.source_of(setup.model, setup.weights)
    try:
        config = AutoConfig.from_pretrained(source, **options)
    except (OSError, ValueError) as error:
        raise BadInput(f"{source}: no model could be loaded: {loading.first_line(error)}") from error
    try:
        return config, GenerationConfig.from_pretrained(source, **options)
    except OSError:
        return config, GenerationConfig.from_model_config(config)
