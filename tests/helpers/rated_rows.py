"""Instructions, responses, checkers and reward models for tests."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import tiny
from teachergrid.models import loading
from teachergrid.scoring import reward
from teachergrid.spec import schema
from teachergrid.store import artifacts

FINAL = {"extract": r"Answer: (.*)", "compare": "exact"}  # a checker


def reward_entry(**options) -> dict:
    return schema.filled(options, schema.definition("reward"))


def instruction_set(**answers: str | None) -> pa.Table:
    """Return instructions by id; the text says the id."""
    rows = [
        {"id": id, "messages": [{"role": "user", "content": f"sort {id}"}], "answer": answer, "source": "t", "round": 0}
        for id, answer in answers.items()
    ]
    return artifacts.table(rows, artifacts.INSTRUCTIONS)


def response_table(*rows: tuple) -> pa.Table:
    """Return responses from (id, text) or (id, text, finish reason)."""
    keys = ("id", "response", "finish_reason")
    full = [{"sample": 0, "finish_reason": "stop", **dict(zip(keys, row, strict=False))} for row in rows]
    return artifacts.table(full, artifacts.RESPONSES)


TEXTS = ["red apple", "story", "the sum of a list is a list of the sum of words " * 5, "", "colour bear " * 9, "7"]
ANSWERED = response_table(*((f"q{i}", text) for i, text in enumerate(TEXTS)))
ASKED = instruction_set(**{f"q{i}": None for i in range(len(TEXTS))})


def scored(model: dict, work, responses: pa.Table = ANSWERED, instructions: pa.Table = ASKED, **options) -> pa.Table:
    return reward.score(responses, instructions, {"reward": reward_entry(**options), "model": model}, work)


def reward_model(folder: Path) -> dict:
    """Return the entry of a tiny random reward model."""
    tiny.make(folder, kind="reward")
    return schema.filled({"repo": str(folder), "dtype": "float32"}, schema.definition("model"))


def changed(model: dict, folder: Path, change: Callable) -> dict:
    """Return the entry of a copy of a reward model after change(net)."""
    net = loading.load_model(model, kind="reward")
    change(net)
    net.save_pretrained(folder)
    loading.load_tokenizer(model, reward_entry()).save_pretrained(folder)
    return {**model, "repo": str(folder)}
