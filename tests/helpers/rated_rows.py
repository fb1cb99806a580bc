"""Instructions, responses and entries of rewards for tests."""

import pyarrow as pa
from teachergrid.scoring import reward
from teachergrid.spec import schema
from teachergrid.store import artifacts


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
