"""Texts with an instruction and a response in their places, for models that are shown both."""

import re

from .errors import BadInput

PLACES = ("{instruction}", "{response}")


def check(where: str, text: str) -> None:
    """Raise BadInput, naming the key, if a text has no place."""
    if not any(place in text for place in PLACES):
        raise BadInput(f"{where}: has neither {' nor '.join(PLACES)}, so that all rows would be the same")


def filled(text: str, row: dict) -> str:
    """Put a row in. row: an instruction's messages and a response."""
    turns = row["messages"]
    said = turns[0]["content"] if len(turns) == 1 else "\n\n".join(f"{t['role']}: {t['content']}" for t in turns)
    values = dict(zip(PLACES, (said, row["response"]), strict=True))
    # in one go, since an instruction may hold the name of the other place
    return re.sub("|".join(map(re.escape, PLACES)), lambda found: values[found[0]], text)
