"""Rows of cells as no file should hold them, drawn at random, for tests that nothing but BadInput is raised."""

import datetime
import random
from collections.abc import Iterator

USER, ASSISTANT = {"role": "user", "content": "red"}, {"role": "assistant", "content": "a"}
NUMBERS = [None, float("nan"), float("inf"), 0, -1, 1.5, True, 10**30]
TEXTS = [
    "",
    "nan",
    " red ",
    "\ud800",
    "\ufffd",
    "[",
    "[{",
    "[" * 5000,
    "Human: x",
    "[{'role': nan}]",
    '{"role": "user"}',
]
WRITTEN = [
    str([USER]),
    '[{"role": "user", "content": "red"}]',
    '"[{\\"role\\": \\"user\\", \\"content\\": \\"red\\"}]"',
    '["{"]',
]
CHATS = [
    [],
    [[USER]],
    [USER],
    [USER, ASSISTANT],
    [ASSISTANT],
    [USER, ASSISTANT, ASSISTANT],
    (USER, ASSISTANT),
    USER,
    {},
]
CHATS += [
    [{"from": "human", "value": "red"}],
    [{"from": None, "value": "x", **USER}],
    ['{"role": "user", "content": "red"}'],
]
COLUMNS = [{"role": ["user"], "content": ["red"]}, {"role": ["user"], "content": []}, {"role": [], "content": []}]
TURNS = [
    [{"role": {}, "content": "x"}],
    [{"role": ["user"], "content": "x"}],
    [{"role": "user", "content": {}}],
    [{1: 2}],
]
OTHERS = [
    [None],
    [1],
    ["red"],
    ["{"],
    {"role": None, "content": None},
    {1: [2]},
    b"x",
    datetime.date(2020, 1, 1),
    [("role",)],
]
CELLS = [*NUMBERS, *TEXTS, *WRITTEN, *CHATS, *COLUMNS, *TURNS, *OTHERS]
NAMES = [
    "messages",
    "conversations",
    "instruction",
    "prompt",
    "question",
    "input",
    "system",
    "system_prompt",
    "answer",
    "category",
    "source",
    "id",
    "uuid",
    "sample",
    "response",
    "output",
    "content",
    "history",
    "context",
    "x",
]
FIELDS = ("messages", "instruction", "input", "system", "answer", "category", "response")


def rows(number: int) -> Iterator[tuple[dict, dict]]:
    """Yield so many (row, fields of the config); the same ones each time."""
    draw = random.Random(1)
    for _ in range(number):
        row = {name: draw.choice(CELLS) for name in draw.sample(NAMES, draw.randint(1, 5))}
        fields = dict.fromkeys(FIELDS)
        if draw.random() < 0.3:
            fields[draw.choice(FIELDS)] = draw.choice(NAMES)
        yield row, fields
