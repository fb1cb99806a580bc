"""Prompt texts with placeholders, for models that are shown an instruction and a response."""

import re

from ..errors import BadInput
from .chat import Message

PLACEHOLDERS = ("{instruction}", "{response}")


def check(where: str, text: str) -> None:
    """Raise BadInput if a text has no placeholder. where: the config key, for the message."""
    if not any(placeholder in text for placeholder in PLACEHOLDERS):
        raise BadInput(f"{where}: has neither {' nor '.join(PLACEHOLDERS)}, so that all rows would be the same")


def fill(text: str, messages: list[Message], response: str) -> str:
    """Return the text with instruction and response in place of the placeholders.

    An instruction of several turns is written as "role: content" paragraphs.
    Example: fill("Q: {instruction} A: {response}", [{"role": "user", "content": "1+1?"}], "2") is "Q: 1+1? A: 2".
    """
    if len(messages) == 1:
        instruction = messages[0]["content"]
    else:
        instruction = "\n\n".join(f"{message['role']}: {message['content']}" for message in messages)
    values = dict(zip(PLACEHOLDERS, (instruction, response), strict=True))
    # in one pass, since an instruction may itself contain "{response}"
    return re.sub("|".join(map(re.escape, PLACEHOLDERS)), lambda match: values[match[0]], text)
