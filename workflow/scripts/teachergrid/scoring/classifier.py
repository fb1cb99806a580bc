"""Rewards by a reward model: a sequence classifier with one output, read at the end of the conversation."""

from typing import TYPE_CHECKING

from ..models import batching, chat

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from .entry import RewardEntry


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
        """Return the model's one output (a logit) for each text."""
        return [value for part in batching.parts(self._model, batch) for value in self._score(part)]

    def _score(self, batch: list[list[int]]) -> list[float]:
        import torch

        padding = self._padding({ids[-1] for ids in batch})
        tokens, mask = batching.padded(batch, padding, self._model.device)
        with torch.inference_mode():
            return self._model(input_ids=tokens, attention_mask=mask).logits[:, 0].double().tolist()

    def _padding(self, last: set[int]) -> int:
        """Return the id of padding, another one than these last tokens: with the same, the model would read one token early."""
        config = self._model.config.get_text_config()
        if self._reward["read_at"] == "end" and config.pad_token_id in last:
            config.pad_token_id = next(id for id in range(len(last) + 1) if id not in last)
        return config.pad_token_id
