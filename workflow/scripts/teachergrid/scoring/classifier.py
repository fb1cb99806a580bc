"""Rewards by a reward model: a sequence classifier with one output or several, read at the end of the conversation."""

from typing import TYPE_CHECKING

from ..errors import BadInput
from ..models import batching, chat

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from .entry import RewardEntry


def check(where: str, reward: dict) -> None:
    """Raise BadInput where a reward's `output` or `head` does not fit its other keys. where: the config key, for the message."""
    for key in ("output", "head"):
        others = [other for other in ("rating", "similarity") if reward[other] is not None]
        if reward[key] is not None and (reward["model"] is None or others):
            raise BadInput(
                f"{where}.{key}: it belongs to a classifier; state a 'model', and no {' or '.join(others) or 'other kind'}"
            )
    if reward["output"] is not None and reward["head"] is not None:
        raise BadInput(f"{where}.output: the head '{reward['head']}' gives one number; leave 'output' out")
    if reward["scale"] == "softmax" and reward["output"] is None:
        raise BadInput(
            f"{where}.scale: softmax compares several outputs; state which one is the reward as `output`, or write sigmoid"
        )


class Classifier:
    """A loaded reward model (a `reward.Scorer`)."""

    MODEL_KIND = "reward"

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", model: "PreTrainedModel", reward: "RewardEntry") -> None:
        """reward: the config's entry. Sets the model's pad_token_id where it has none, or that of the end."""
        self._tokenizer, self._model, self._reward = tokenizer, model, reward
        config = model.config.get_text_config()
        # The model reads its score at the last token that is not padding. All texts that are not cut off end with the same token,
        # so any other id can serve as padding.
        last = self.tokens([{"role": "user", "content": "Hello"}], "Hello")[-1]
        if config.pad_token_id is None or (reward["read_at"] == "end" and config.pad_token_id == last):
            config.pad_token_id = int(last == 0)
        batching.check(model, batching.hidden(model, masked=True, padding=config.pad_token_id))

    def tokens(self, messages: list[chat.Message], response: str, finished: bool = True) -> list[int]:
        """Return the ids of a conversation, up to where the reward is read (the config's `read_at`).

        finished: False where max_tokens cut the response off. `end` then reads its last token, since there is no end token;
        `template` reads what the template writes after any response.
        """
        if self._reward["read_at"] == "template":
            return chat.conversation(self._tokenizer, messages, response, self._reward)
        example = chat.example(self._tokenizer, messages, response, self._reward, finished)
        # an answer that was cut off before its first token has nothing that could be read
        return example.input_ids if any(example.completion_mask) else []

    def score(self, batch: list[list[int]]) -> list[float]:
        """Return the model's output (a logit, unless `scale` is softmax) for each text."""
        return [value for part in batching.parts(self._model, batch) for value in self._score(part)]

    def _score(self, batch: list[list[int]]) -> list[float]:
        import torch

        padding = self._padding({ids[-1] for ids in batch})
        tokens, mask = batching.padded(batch, padding, self._model.device)
        with torch.inference_mode():
            return self._values(self._model(input_ids=tokens, attention_mask=mask).logits).double().tolist()

    def _values(self, logits: "torch.Tensor") -> "torch.Tensor":
        """Return the rewards [texts] of logits [texts, outputs]."""
        return logits[:, 0]

    def _padding(self, last: set[int]) -> int:
        """Return the id of padding, another one than these last tokens: with the same, the model would read one token early."""
        config = self._model.config.get_text_config()
        if self._reward["read_at"] == "end" and config.pad_token_id in last:
            config.pad_token_id = next(id for id in range(len(last) + 1) if id not in last)
        return config.pad_token_id


class Outputs(Classifier):
    """A loaded classifier with several outputs, one of which is the reward (a `reward.Scorer`)."""

    MODEL_KIND = "classifier"

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", model: "PreTrainedModel", reward: "RewardEntry") -> None:
        """reward: the config's entry. Raises BadInput where the model has no such output."""
        super().__init__(tokenizer, model, reward)
        self._output = number_of(reward["output"], model.config.id2label, model.name_or_path)

    def _values(self, logits: "torch.Tensor") -> "torch.Tensor":
        return (logits.float().softmax(1) if self._reward["scale"] == "softmax" else logits)[:, self._output]


def number_of(output: int | str | None, labels: "Mapping[int, str]", model: str) -> int:
    """Return the number of the output that a reward names. labels: of the model's outputs. Raises BadInput where it has no such."""
    numbers = {str(label).lower(): number for number, label in labels.items()}
    number = output if isinstance(output, int) else numbers.get(str(output).lower())
    if number is None or number not in labels:
        known = ", ".join(f"{number} ({label})" for number, label in sorted(labels.items()))
        raise BadInput(f"{model}: has no output {output!r}; `output` is one of {known}")
    return number
