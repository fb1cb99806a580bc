"""Rewards by a reward model: a sequence classifier with one output, read at the end of the conversation."""

from collections.abc import Callable
from functools import partial

from . import chat

KIND = "reward"


def opened(tokenizer, net, reward: dict, limit: float) -> tuple[Callable, Callable]:
    """Return what turns a row into tokens, and a batch of them into logits. The model then knows what it is padded with."""
    config = net.config.get_text_config()
    if config.pad_token_id is None:
        # the score is read at the last token that is not padding, and every text ends with the same token
        hello = {"messages": [{"role": "user", "content": "Hello"}], "response": "Hello"}
        config.pad_token_id = int(_ids(tokenizer, reward, hello)[-1] == 0)
    return partial(_ids, tokenizer, reward), partial(_logits, net)


def _ids(tokenizer, reward: dict, row: dict) -> list[int]:
    if reward["read_at"] == "template":
        return chat.conversation(tokenizer, row["messages"], row["response"], reward)
    return chat.example(tokenizer, row["messages"], row["response"], reward).input_ids


def _logits(net, batch: list[list[int]]) -> list[float]:
    """Return the model's one output for each text."""
    import torch

    from . import models

    tokens, mask = models.padded(batch, net.config.get_text_config().pad_token_id, net.device)
    with torch.inference_mode():
        return net(input_ids=tokens, attention_mask=mask).logits[:, 0].double().tolist()
