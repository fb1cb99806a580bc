"""Ratings by a chat model. It is prompted for a number; the rating is the mean of the possible numbers, weighted by the
probability that the model gives each of them as the next token.

One forward pass per row and no sampling: a rating is the same each time, and finer than the numbers themselves.

Source: Liu et al. 2023, G-Eval (arXiv:2303.16634), section 2, "Scoring function": score = sum of p(s_i) s_i. They estimate
p by sampling 20 times; here it is computed from the logits and normalised over the numbers.
"""

from typing import TYPE_CHECKING

from ..errors import BadInput
from ..models import batching, chat, logits, prompts

NUMBER = "1"  # stands for any number: what the template writes before an answer does not depend on it

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from .entry import RewardEntry


def check(where: str, reward: dict) -> None:
    """Raise BadInput if a reward's `rating` does not fit its other keys. where: the config key, for the message."""
    if reward["rating"] is None:
        return
    if reward["model"] is None:
        raise BadInput(f"{where}.rating: needs the key 'model', the chat model that gives it")
    if reward["scale"] != "raw":
        raise BadInput(f"{where}.scale: a rating is on the scale of its `numbers`; leave 'scale' out")
    prompts.check(f"{where}.rating.prompt", reward["rating"]["prompt"])


class Rater:
    """A loaded chat model that rates (a `reward.Scorer`)."""

    MODEL_KIND = "causal"

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", model: "PreTrainedModel", reward: "RewardEntry") -> None:
        """reward: the config's entry. Raises BadInput where a number is not a single token, and as logits.check does."""
        logits.check(model)
        self._tokenizer, self._model, self._reward = tokenizer, model, reward
        self._numbers = reward["rating"]["numbers"]
        self._number_tokens = number_tokens(tokenizer, self._numbers, reward)
        chat.report(tokenizer, reward)

    def tokens(self, messages: list[chat.Message], response: str, finished: bool = True) -> list[int]:  # noqa: ARG002
        """Return the ids of the prompt that asks for a number. The response stands inside it, with no end token in any case."""
        return prompt_tokens(self._tokenizer, self._reward, messages, response)

    def score(self, batch: list[list[int]]) -> list[float]:
        """Return the rating after each prompt."""
        return [value for part in batching.parts(self._model, batch) for value in self._score(part)]

    def _score(self, batch: list[list[int]]) -> list[float]:
        import torch

        tokens, mask = batching.padded(batch, 0, self._model.device)
        with torch.inference_mode():
            hidden = self._model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
            last = mask.sum(1).to(hidden.device) - 1
            states = hidden[torch.arange(len(batch), device=hidden.device), last]  # [batch, hidden size]
            all_logits = logits.scaled(self._model, self._model.get_output_embeddings()(states))
        weights = all_logits[:, self._number_tokens].double().softmax(1)  # [batch, numbers]
        return (weights @ torch.tensor(self._numbers, dtype=torch.float64, device=weights.device)).tolist()


def prompt_tokens(
    tokenizer: "PreTrainedTokenizerFast", reward: "RewardEntry", messages: list[chat.Message], response: str
) -> list[int]:
    """Return the ids of the prompt that asks for a number, with what the template writes before an answer.

    reward: the config's entry.
    """
    prompt = prompts.fill(reward["rating"]["prompt"], messages, response)
    before, answer = chat.answer(tokenizer, [{"role": "user", "content": prompt}], NUMBER, reward, finished=False)
    return before.ids + answer.lead


def number_tokens(tokenizer: "PreTrainedTokenizerFast", numbers: list[int], reward: "RewardEntry") -> list[int]:
    """Return the token of each number, as it follows the prompt. reward: the config's entry.

    Raises BadInput unless each number is a single token, different from the others.
    """
    question: list[chat.Message] = [{"role": "user", "content": "?"}]
    ids = [chat.answer(tokenizer, question, str(n), reward, finished=False)[1].ids for n in numbers]
    if any(len(tokens) != 1 for tokens in ids) or len({tokens[0] for tokens in ids}) < len(ids):
        lengths = ", ".join(f"{number}: {len(tokens)}" for number, tokens in zip(numbers, ids, strict=True))
        raise BadInput(
            f"{tokenizer.name_or_path}: each of a rating's `numbers` must be one token, and they take {lengths}; "
            "take numbers of one digit"
        )
    return [tokens[0] for tokens in ids]
