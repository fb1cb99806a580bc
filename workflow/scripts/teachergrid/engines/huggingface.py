"""Generation with transformers, in batches of prompts of similar length, padded on the left.

Other prompts in the same batch change a draw (models/noise.py) only where rounding moves the boundary between two tokens.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..models import batching, chat, checks, loading, noise
from .prompts import named
from .requests import ended, without_text

if TYPE_CHECKING:
    import torch
    from transformers import (
        GenerationConfig,
        LogitsProcessor,
        LogitsProcessorList,
        PreTrainedModel,
        PreTrainedTokenizerFast,
    )

    from ..models.noise import Key
    from .requests import Generate, Output, Request, Sampling, Setup

NEXT = 4  # new tokens of which the logits are compared in a batch and alone


def open_model(setup: "Setup") -> "Generate":
    """Load a model and return what generates with it.

    Raises:
        BadInput: as chat.prompt, chat.report, models.load_tokenizer and models.load_model do.
    """
    model, format = setup.model, setup.format
    assert model is not None, "config.check sees to it that the teacher names a model"
    tokenizer = loading.load_tokenizer(model, setup.chat, setup.weights)
    # before the model, which takes longer to load: a bad template fails here
    chat.report(tokenizer, setup.chat, format)
    network = loading.load_model(model, folder=setup.weights)
    checks.check_ids(tokenizer, network)
    stops = chat.stops(tokenizer, setup.chat, format, network.generation_config.eos_token_id)
    generator = Generator(network, tokenizer, stops, lambda ids: chat.text(tokenizer, ids, setup.chat, format))
    batching.check(network, generator.next_logits)

    def generate(requests: "Sequence[Request]") -> "Iterator[tuple[int, Output]]":
        for sampling, several in groupby(enumerate(requests), key=lambda pair: pair[1].sampling):
            numbers, asked = zip(*several, strict=True)
            prompts = [chat.prompt(tokenizer, request.messages, setup.chat, format).ids for request in asked]
            keys = [(request.id, request.sample) for request in asked]
            yield from zip(numbers, generator.generate(prompts, keys, sampling, setup.batch), strict=True)

    return generate


@dataclass(frozen=True)
class Generator:
    """A loaded model that generates."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerFast"
    stops: list[int]  # ids that end a response
    # from the ids of a response to its text; None decodes them by themselves
    text: Callable[[list[int]], str] | None = None

    def generate(self, prompts: list[list[int]], keys: "list[Key]", sampling: "Sampling", batch: int) -> "list[Output]":
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
        outputs = [without_text("prompt_too_long", len(prompt)) for prompt in prompts]
        for rows in _batches(prompts, keys, limits, batching.rows(self.model, batch)):
            limit = limits[rows[0]]
            first = First(sampling.get("top_logprobs", 0))
            responses = self._continue([prompts[i] for i in rows], [keys[i] for i in rows], sampling, limit, first)
            for place, (i, ids) in enumerate(zip(rows, responses, strict=True)):
                outputs[i] = self._output(len(prompts[i]), ids, limit, sampling.get("stop", ()))
                if first.number:
                    outputs[i]["logprobs"] = first.named(place, self.tokenizer)
        return outputs

    def _continue(
        self, prompts: list[list[int]], keys: "list[Key]", sampling: "Sampling", limit: int, first: "First"
    ) -> list[list[int]]:
        """Return the ids that follow each prompt of one batch, at most `limit`. first: is told the logits."""
        from transformers import GenerationConfig, LogitsProcessorList

        inputs, pad = self._inputs(prompts), self.tokenizer.pad_token_id
        width = inputs["input_ids"].shape[1]
        config = GenerationConfig(max_new_tokens=limit, do_sample=False, eos_token_id=self.stops, pad_token_id=pad)
        numbers = Numbers()
        # what remembers comes before what leaves one token over
        processors = [numbers, first] + (
            [draw_processor(width, keys, sampling, limit)] if sampling["temperature"] > 0 else []
        )
        # what comes after a stop text is cut off in any case: to end there saves the rest
        ends = [self._at_texts(width, stop)] if (stop := sampling.get("stop")) else []
        sequences = self._generate(inputs, config, LogitsProcessorList(processors), ends)
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

    def _at_texts(self, width: int, stop_texts: Sequence[str]) -> Callable[..., "torch.Tensor"]:
        """Return a stopping criterion: which prompts of a batch have written a stop text. width: tokens before the first new one."""
        import torch

        decode = self._decode()
        # the last tokens that can hold the longest text; no token is shorter than a byte
        tail = max(len(text.encode()) for text in stop_texts) + 1

        def written(ids: list[int]) -> bool:
            near = self.tokenizer.decode(ids[-tail:], clean_up_tokenization_spaces=False)
            return any(text in near for text in stop_texts) and any(text in decode(ids) for text in stop_texts)

        def ends(input_ids: "torch.Tensor", _scores: "torch.Tensor", **_: Any) -> "torch.Tensor":
            rows = input_ids[:, width:].tolist()
            return torch.tensor(list(map(written, rows)), dtype=torch.bool, device=input_ids.device)

        return ends

    def _generate(
        self,
        inputs: dict,
        config: "GenerationConfig",
        processors: "LogitsProcessorList | None" = None,
        ends: Sequence[Callable[..., "torch.Tensor"]] = (),
    ) -> Any:
        """Return what generate() of transformers gives."""
        from transformers import StoppingCriteriaList

        # generate() takes what `config` leaves open from the model's own defaults, so these are replaced for the call
        defaults, self.model.generation_config = self.model.generation_config, type(config)()
        try:
            return self.model.generate(
                **inputs,
                generation_config=config,
                logits_processor=processors,
                stopping_criteria=StoppingCriteriaList(ends),
            )
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

    def _decode(self) -> Callable[[list[int]], str]:
        return self.text or partial(self.tokenizer.decode, clean_up_tokenization_spaces=False)

    def _output(self, prompt_tokens: int, ids: list[int], limit: int, stop_texts: Sequence[str]) -> "Output":
        """Return the output from the ids that followed a prompt."""
        return ended(prompt_tokens, ids, limit, self.stops, self._decode(), stop_texts)


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


class First:
    """A logits processor that remembers the likeliest first tokens of each prompt, with their log-probabilities.

    number: of tokens; 0: none.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._found: list[list[tuple[int, float]]] | None = None

    def __call__(self, _input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
        """scores: logits [prompts, vocabulary], returned as they are."""
        if self.number and self._found is None:
            values, tokens = scores.float().log_softmax(-1).topk(min(self.number, scores.shape[-1]))
            pairs = zip(tokens.tolist(), values.tolist(), strict=True)
            self._found = [list(zip(*pair, strict=True)) for pair in pairs]
        return scores

    def named(self, prompt: int, tokenizer: "PreTrainedTokenizerFast") -> list[tuple[str, float]]:
        """Return (text, log-probability) of the likeliest first tokens after a prompt. prompt: its place in the batch."""
        assert self._found is not None
        return named(tokenizer, self._found[prompt])


def _batches(prompts: list[list[int]], keys: "list[Key]", limits: list[int], size: int) -> Iterator[list[int]]:
    """Yield the numbers of prompts in batches, longest prompt first, without the prompts that leave no room to answer.

    All prompts of a batch have the same limit of new tokens, so that none is cut short because of another.
    """
    fitting = [i for i, limit in enumerate(limits) if limit >= 1]
    order = sorted(fitting, key=lambda i: (limits[i], -len(prompts[i]), keys[i]))
    for _, same_limit in groupby(order, key=lambda i: limits[i]):
        rows = list(same_limit)
        for first in range(0, len(rows), size):
            yield rows[first : first + size]


def draw_processor(width: int, keys: "list[Key]", sampling: "Sampling", limit: int) -> "LogitsProcessor":
    """Return a logits processor that leaves each prompt one token: the one that its random number selects.

    Args:
        width: tokens before the first new one, with padding.
        limit: new tokens at most.
    """
    import torch
    from transformers import LogitsProcessor

    drawn = [noise.Numbers(sampling["seed"], key) for key in keys]
    # [prompts, new tokens]
    numbers = torch.tensor([[row[place] for place in range(limit)] for row in drawn], dtype=torch.float64)

    class Draw(LogitsProcessor):
        def __call__(self, input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
            """input_ids: [prompts, tokens so far]; scores: logits [prompts, vocabulary]."""
            token = noise.chosen(scores, numbers[:, input_ids.shape[1] - width, None].to(scores.device), sampling)
            return torch.full_like(scores, -torch.inf).scatter(-1, token, 0.0)

    return Draw()
