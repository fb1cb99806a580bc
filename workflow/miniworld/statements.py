"""What a base reads of the open tasks: statements of results, in other words than the instructions of the tasks.

    the opposite order of lemon red apple is apple red lemon .
    between brackets , 12 and 7 together : 2 + 7 + 0 = 9 . 1 + 0 + 0 = 1 . That makes [ 19 ] .

So a base knows the operations, but no instruction that asks for one.
"""

import random
import re

from problems import ORDINALS
from world import Item

# The first phrasing of a task, and the subjects of statements about the same operands.
SUBJECTS = {
    r"Repeat these words: (?P<s>.+)": ("the same as {s}", "no change to {s}", "{s} as it was"),
    r"Reverse this list: (?P<s>.+)": ("the opposite order of {s}", "from the end to the start , {s}", "{s} , mirrored"),
    r"Sort these words alphabetically: (?P<s>.+)": ("the order of {s} in a dictionary", "by first letter , {s}", "{s} , sorted"),
    r"What is the (?P<k>\w+) word in this list: (?P<s>.+)": ("number {n} of {s}", "in {s} , the {k} one", "at the {k} place in {s}"),
    r"Keep only the (?P<c>\w+): (?P<s>.+)": ("the {c} among {s}", "in {s} , what belongs to the {c}", "of {s} , all {c}"),
    r"How many (?P<c>\w+) are here: (?P<s>.+)": ("the amount of {c} among {s}", "in {s} , the total of {c}", "the number of {c} within {s}"),
    r"What is (?P<a>\d+) plus (?P<b>\d+)\?": ("{a} and {b} together", "{a} + {b}", "{b} more than {a}"),
    r"What is (?P<a>\d+) minus (?P<b>\d+)\?": ("{b} less than {a}", "{a} - {b}", "the rest of {a} without {b}"),
    r"What is the smallest of these numbers: (?P<s>.+)": ("the least of {s}", "the minimum of {s}", "among {s} , the lowest"),
    r"What is the largest of these numbers: (?P<s>.+)": ("the most of {s}", "the maximum of {s}", "among {s} , the highest"),
    r"Sort these numbers in ascending order: (?P<s>.+)": ("the numbers {s} upwards", "from small to large , {s}", "{s} , growing"),
    r"Sort these numbers in descending order: (?P<s>.+)": ("the numbers {s} downwards", "from large to small , {s}", "{s} , falling"),
    r"Keep only the (?P<c>\w+) and then reverse them: (?P<s>.+)": ("the opposite order of the {c} among {s}", "of {s} , all {c} , mirrored"),
    r"Add (?P<a>\d+) and (?P<b>\d+), then double the result": ("two times {a} and {b} together", "double {a} + {b}"),
    r"Take the last word and spell it: (?P<s>.+)": ("the letters of the end of {s}", "in {s} , the final word letter by letter"),
}  # fmt: skip
FORMATS = {
    "none": "",
    "upper": "in capitals , ",
    "brackets": "between brackets , ",
    "end": "with done after it , ",
    "twice": "said two times , ",
}


RESULT = " is"


def statement(rng: random.Random, item: Item, worked: bool) -> tuple[str, str]:
    """Return (subject, rest) of a statement about the result of an open task's item, with the worked steps if wanted."""
    phrases, operands = _subjects(item.first)
    subject = FORMATS[item.constraint] + rng.choice(phrases).format(**operands)
    if worked:
        return f"{subject} :", f" {item.steps} That makes {item.answer} ."
    return subject, f"{RESULT} {item.answer} ."


def _subjects(first: str) -> tuple[tuple[str, ...], dict]:
    """Return the subjects that fit an instruction in its first phrasing, and its operands."""
    for pattern, phrases in SUBJECTS.items():
        match = re.fullmatch(pattern, first)
        if match:
            operands: dict = match.groupdict()
            if "k" in operands:
                operands["n"] = ORDINALS.index(operands["k"]) + 1
            return phrases, operands
    raise ValueError(f"no statement fits {first!r}")
