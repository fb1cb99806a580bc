"""What the config says about a reward."""

from typing import Any, NotRequired

from ..spec.settings import ChatSettings


class RewardEntry(ChatSettings):
    """A reward's entry in the config."""

    model: str | None
    # which kind of reward it is; those of the other kinds are null
    checker: Any  # of a verifier: {extract, compare}
    rating: Any  # of a chat model: {prompt, numbers}
    similarity: Any  # of an encoder: {text, pooling}
    column: str | None  # of rewards that were published with the responses; all of these null: a reward model
    scale: str  # raw, sigmoid, or of several outputs softmax
    output: int | str | None  # of a classifier with several: which one is the reward
    head: str | None  # armorm
    read_at: str  # end or template: where a reward model is read
    max_length: int  # tokens
    batch: int  # rows
    shard: NotRequired[int]  # set by a probe in place of reward.SHARD
