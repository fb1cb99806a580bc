"""What goes into the training of a student and what comes out of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..models.chat import Message
from ..spec.settings import ChatSettings


class Training(NamedTuple):
    """What a student is trained on, and how. Every process of a training has the same."""

    rows: list[tuple[list[Message], str]]  # (messages, response), in the order of the corpus
    chat: ChatSettings  # chat settings of the base
    model: dict  # the base
    recipe: dict
    seed: int
    work: Path  # folder of checkpoints, and of the finished weights
    unfinished: Sequence[int] = ()  # numbers of the rows whose response max_tokens cut off; these get no end token
    ids: Sequence[str] = ()  # of the instruction of each row, for messages


class Trained(NamedTuple):
    """The result of a training."""

    final: Path  # folder of the finished weights, inside Training.work
    facts: dict  # steps, examples, trained_tokens, learning_rate, truncated, prompt_too_long, prompt_refused, notes (sentences)
    log: list[dict]  # rows of artifacts.TRAINING_LOG
