"""Ratings by a chat model: it is asked for a number, and the mean of those it may answer is weighted by their probabilities.

One forward pass a row and no sampling, so that a rating is the same each time and finer than the numbers themselves
(Liu et al. 2023, G-Eval, arXiv 2303.16634).
"""

from collections.abc import Callable
from functools import partial

from . import chat, heads, templates
from .errors import BadInput

KIND = "causal"


def check(where: str, reward: dict) -> None:
    """Raise BadInput, naming the key, if a rating cannot be asked for."""
    if reward["rating"] is None:
        return
    if reward["model"] is None:
        raise BadInput(f"{where}.rating: needs the key 'model', the chat model that is asked")
    if reward["scale"] != "raw":
        raise BadInput(f"{where}.scale: a rating is on the scale of its `numbers`; leave 'scale' out")
    templates.check(f"{where}.rating.prompt", reward["rating"]["prompt"])


def opened(tokenizer, net, reward: dict, limit: float) -> tuple[Callable, Callable]:
    """Return what turns a row into tokens, and a batch of them into ratings."""
    heads.check(net)
    numbers = dict(zip(answers(tokenizer, reward), reward["rating"]["numbers"], strict=True))
    return partial(asked, tokenizer, reward), partial(rated, net, numbers)


def asked(tokenizer, reward: dict, row: dict) -> list[int]:
    """Return the ids before the number. row: an instruction's messages and a response; reward: the config's entry."""
    prompt = templates.filled(reward["rating"]["prompt"], row)
    return chat.prompt(tokenizer, [{"role": "user", "content": prompt}], reward).ids


def answers(tokenizer, reward: dict) -> list[int]:
    """Return the token of each number. Raises BadInput where a number is not one token of its own."""
    ids = [chat.response(tokenizer, str(number)) for number in reward["rating"]["numbers"]]
    if any(len(found) != 1 for found in ids) or len({found[0] for found in ids}) < len(ids):
        spelled = ", ".join(f"{n}: {len(i)}" for n, i in zip(reward["rating"]["numbers"], ids, strict=True))
        raise BadInput(
            f"{tokenizer.name_or_path}: each of a rating's `numbers` must be one token, and they take {spelled}; take numbers of one digit"
        )
    return [found[0] for found in ids]


def rated(net, numbers: dict[int, int], batch: list[list[int]]) -> list[float]:
    """Return the mean of the numbers {token: number} after each text."""
    import torch

    from . import models

    tokens, mask = models.padded(batch, 0, net.device)
    with torch.inference_mode():
        hidden = net.base_model(input_ids=tokens, use_cache=False).last_hidden_state
        last = mask.sum(1).to(hidden.device) - 1
        states = hidden[torch.arange(len(batch), device=hidden.device), last]
        logits = heads.finished(net, net.get_output_embeddings()(states))[:, list(numbers)]
    weights = logits.double().softmax(1)
    return (weights @ torch.tensor(list(numbers.values()), dtype=torch.float64, device=weights.device)).tolist()
