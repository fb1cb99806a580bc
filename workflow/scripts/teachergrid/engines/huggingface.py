"""Generation with transformers, in batches of prompts of similar length, padded on the left.

What is drawn for a prompt depends on the seed, the prompt's id and its sample number only: they give one random number per
token, which selects a token from the cumulated probabilities of the vocabulary (in the order of token ids, so that it does
not matter how nearly equal tokens are sorted). Other prompts in the same batch change a draw only where rounding moves the
boundary between two tokens across that number.
"""

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..models import batching, chat, checks, loading

if TYPE_CHECKING:
    import torch
    from transformers import (
        GenerationConfig,
        LogitsProcessor,
        LogitsProcessorList,
        PreTrainedModel,
        PreTrainedTokenizerFast,
    )

    from ..spec.settings import ChatSettings
    from .requests import Generate, Output, Request, Sampling

NEXT = 4  # new tokens of which the logits are compared in a batch and alone
Key = tuple[str, int]  # id and sample of a prompt


def refused_ids(
    model: dict | None, chat_settings: "ChatSettings", format: str, weights: Path | None, requests: "Sequence[Request]"
) -> set[str]:
    """Return the ids of the instructions that the chat template refuses; needs no more than the tokenizer.

    Raises BadInput as checks.check_prompts does.
    """
    assert model is not None, "config.check sees to it that the teacher names a model"
    tokenizer = loading.load_tokenizer(model, chat_settings, weights)
    asked = ((request.id, request.messages) for request in requests)
    return checks.check_prompts(asked, checks.reader(tokenizer, chat_settings, format), chat_settings, model["repo"])


def open_model(model: dict | None, chat_settings: "ChatSettings", format: str, weights: Path | None) -> "Generate":
    """Load a model and return what generates with it; the arguments are those of engine.load.

    Raises:
        BadInput: as chat.prompt, chat.report, models.load_tokenizer and models.load_model do.
    """
    assert model is not None, "config.check sees to it that the teacher names a model"
    tokenizer = loading.load_tokenizer(model, chat_settings, weights)
    # before the model, which takes longer to load: a bad template fails here
    chat.report(tokenizer, chat_settings, format)
    network = loading.load_model(model, folder=weights)
    checks.check_ids(tokenizer, network)
    stops = chat.stops(tokenizer, chat_settings, format, network.generation_config.eos_token_id)
    generator = Generator(network, tokenizer, stops, lambda ids: chat.text(tokenizer, ids, chat_settings, format))
    batching.check(network, generator.next_logits)

    def generate(requests: "list[Request]", sampling: "Sampling", batch: int) -> "list[Output]":
        prompts = [chat.prompt(tokenizer, request.messages, chat_settings, format).ids for request in requests]
        keys = [(request.id, request.sample) for request in requests]
        return generator.generate(prompts, keys, sampling, batch)

    return generate


@dataclass(frozen=True)
class Generator:
    """A loaded model that generates."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerFast"
    stops: list[int]  # ids that end a response
    # from the ids of a response to its text; None decodes them by themselves
    text: Callable[[list[int]], str] | None = None

    def generate(self, prompts: list[list[int]], keys: list[Key], sampling: "Sampling", batch: int) -> "list[Output]":
        """Return the output of each prompt, in the order given.

        The generation defaults in the model's folder (a repetition penalty, for example) have no effect. The text
        has all special tokens but those that end it, and is not stripped: students learn exactly what the model generated.

        Args:
            prompts: token ids of each prompt.
            keys: id and sample of each prompt.
            batch: prompts per forward pass, at most.
        """
        context = loading.context(self.model)
        limits = [int(min(sampling["max_tokens"], context - len(prompt))) for prompt in prompts]
        outputs: list[Output] = [
            {"text": "", "finish_reason": "prompt_too_long", "response_tokens": 0, "prompt_tokens": len(prompt)}
            for prompt in prompts
        ]
        for rows in _batches(prompts, keys, limits, batching.rows(self.model, batch)):
            limit = limits[rows[0]]
            responses = self._continue([prompts[i] for i in rows], [keys[i] for i in rows], sampling, limit)
            for i, ids in zip(rows, responses, strict=True):
                outputs[i] = self._output(len(prompts[i]), ids, limit)
        return outputs

    def _continue(self, prompts: list[list[int]], keys: list[Key], sampling: "Sampling", limit: int) -> list[list[int]]:
        """Return the ids that follow each prompt of one batch, at most `limit`."""
        from transformers import GenerationConfig, LogitsProcessorList

        inputs, pad = self._inputs(prompts), self.tokenizer.pad_token_id
        width = inputs["input_ids"].shape[1]
        config = GenerationConfig(max_new_tokens=limit, do_sample=False, eos_token_id=self.stops, pad_token_id=pad)
        numbers = Numbers()
        processors = [numbers] + ([draw_processor(width, keys, sampling, limit)] if sampling["temperature"] > 0 else [])
        sequences = self._generate(inputs, config, LogitsProcessorList(processors))
        numbers.refuse(self.model.name_or_path)
        return sequences[:, width:].tolist()

    def _inputs(self, prompts: list[list[int]]) -> "dict[str, torch.Tensor]":
        """Return the prompts padded on the left, [prompts, longest], and their mask."""
        import torch

        width, pad = max(map(len, prompts)), self.tokenizer.pad_token_id
        ids = [[pad] * (width - len(prompt)) + prompt for prompt in prompts]
        mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        return {
            "input_ids": torch.tensor(ids, device=self.model.device),
            "attention_mask": torch.tensor(mask, device=self.model.device),
        }

    def _generate(
        self, inputs: dict, config: "GenerationConfig", processors: "LogitsProcessorList | None" = None
    ) -> Any:
        """Return what generate() of transformers gives."""
        # generate() takes what `config` leaves open from the model's own defaults, so these are replaced for the call
        defaults, self.model.generation_config = self.model.generation_config, type(config)()
        try:
            return self.model.generate(**inputs, generation_config=config, logits_processor=processors)
        finally:
            self.model.generation_config = defaults

    def next_logits(self, prompts: list[list[int]]) -> "list[torch.Tensor]":
        """Return the logits of the first NEXT tokens after each prompt of a batch; which tokens these are is given.

        Several, since what a model keeps of its prompt may be wrong though its first token is right.
        """
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        inputs = self._inputs(prompts)
        width = inputs["input_ids"].shape[1]

        def given(ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
            token = batching.token(ids.shape[1] - width, scores.shape[-1])
            return torch.full_like(scores, -torch.inf).index_fill(-1, torch.tensor([token], device=scores.device), 0.0)

        settings = {"do_sample": False, "output_logits": True, "return_dict_in_generate": True}
        config = GenerationConfig(max_new_tokens=NEXT, pad_token_id=self.tokenizer.pad_token_id, **settings)
        logits = self._generate(inputs, config, LogitsProcessorList([given])).logits
        return list(torch.stack(logits, dim=1))  # of each prompt, [NEXT, vocabulary]

    def _output(self, prompt_tokens: int, ids: list[int], limit: int) -> "Output":
        """Return the output from the ids that followed a prompt; the response ends before its first stop token."""
        length = next((position for position, token in enumerate(ids) if token in self.stops), limit)
        decode = self.text or partial(self.tokenizer.decode, clean_up_tokenization_spaces=False)
        return {
            "text": decode(ids[:length]),
            "finish_reason": "stop" if length < limit else "length",
            "prompt_tokens": prompt_tokens,
            "response_tokens": length,
        }


class Numbers:
    """A logits processor that remembers whether a prompt's logits were NaN: the tokens drawn from them would mean nothing."""

    def __init__(self) -> None:
        self._nan: torch.Tensor | None = None

    def __call__(self, _input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
        """scores: logits [prompts, vocabulary], returned as they are."""
        # stays on the device: to read it would make every token wait
        nan = scores.isnan().any()
        self._nan = nan if self._nan is None else self._nan | nan
        return scores

    def refuse(self, model: str) -> None:
        """Raise BadInput if any logit was NaN."""
        if self._nan is not None and bool(self._nan):
            raise BadInput(
                f"{model}: its logits became NaN while it generated; try another `dtype` (bfloat16 or float32), and check that "
                "the model's files are complete"
            )


def _batches(prompts: list[list[int]], keys: list[Key], limits: list[int], size: int) -> Iterator[list[int]]:
    """Yield the numbers of prompts in batches, longest prompt first, without the prompts that leave no room to answer.

    All prompts of a batch have the same limit of new tokens, so that none is cut short because of another.
    """
    fitting = [i for i, limit in enumerate(limits) if limit >= 1]
    order = sorted(fitting, key=lambda i: (limits[i], -len(prompts[i]), keys[i]))
    for _, same_limit in groupby(order, key=lambda i: limits[i]):
        rows = list(same_limit)
        for first in range(0, len(rows), size):
            yield rows[first : first + size]


def draw_processor(width: int, keys: list[Key], sampling: "Sampling", limit: int) -> "LogitsProcessor":
    """Return a logits processor that leaves each prompt one token: the one that its random number selects.

    Args:
        width: tokens before the first new one, with padding.
        limit: new tokens at most.
    """
    import torch
    from transformers import LogitsProcessor

    generators = [
        random.Random(hashlib.sha256(f"{sampling['seed']}/{id}/{sample}".encode()).digest()) for id, sample in keys
    ]
    # [prompts, new tokens], uniform in [0, 1)
    numbers = torch.tensor(
        [[generator.random() for _ in range(limit)] for generator in generators], dtype=torch.float64
    )

    class Draw(LogitsProcessor):
        def __call__(self, input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
            """input_ids: [prompts, tokens so far]; scores: logits [prompts, vocabulary]."""
            cumulated = filtered(scores, sampling).double().softmax(-1).cumsum(-1)
            number = numbers[:, input_ids.shape[1] - width, None].to(scores.device)
            token = (cumulated <= number * cumulated[:, -1:]).sum(-1, keepdim=True)
            return torch.full_like(scores, -torch.inf).scatter(-1, token, 0.0)

    return Draw()


def filtered(scores: "torch.Tensor", sampling: "Sampling") -> "torch.Tensor":
    """Return logits divided by the temperature, and -inf for the tokens that top_k and then top_p leave out.

    As TopKLogitsWarper and TopPLogitsWarper of transformers (top_p: Holtzman et al. 2020, arXiv:1904.09751), except for
    ties: a token that is as likely as the last one that stays also stays, so that the order of equal tokens has no effect.

    Args:
        scores: logits [prompts, vocabulary].
    Returns: [prompts, vocabulary], float32.
    """
    import torch

    scores = scores.float() / sampling["temperature"]
    if 0 < sampling["top_k"] < scores.shape[-1]:
        least = scores.topk(sampling["top_k"]).values[:, -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if sampling["top_p"] < 1:
        probabilities = scores.softmax(-1)
        descending = probabilities.sort(descending=True).values
        in_nucleus = descending.cumsum(-1) - descending < sampling["top_p"]
        least = descending.masked_fill(~in_nucleus, torch.inf).amin(-1, keepdim=True)
        scores = scores.masked_fill(probabilities < least, -torch.inf)
    return scores
