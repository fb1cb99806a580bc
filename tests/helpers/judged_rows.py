"""Answers, prompts and replies of a judge as tables, from short descriptions."""

import json

import pyarrow as pa
from teachergrid.store import artifacts


def answers(**texts: str | None) -> pa.Table:
    """Return the answers to task `open` by item; None: the prompt was too long."""
    rows = [
        {
            "task": "open",
            "id": id,
            "sample": 0,
            "category": None,
            "answer": text or "",
            "finish_reason": "prompt_too_long" if text is None else "stop",
        }
        for id, text in texts.items()
    ]
    return artifacts.table(rows, artifacts.ANSWERS)


def prompts(**texts: str | dict) -> pa.Table:
    """Return prompts by item; a dict holds the prompt as `text`, and the columns of the item."""
    rows = []
    for id, text in texts.items():
        item = text if isinstance(text, dict) else {"text": text}
        columns = {key: value for key, value in item.items() if key != "text"}
        rows.append(
            {
                "id": id,
                "messages": [{"role": "user", "content": item["text"]}],
                "answer": json.dumps(columns) if columns else None,
                "source": "made",
                "round": 0,
            }
        )
    return artifacts.table(rows, artifacts.INSTRUCTIONS)


def replies(*rows: tuple) -> pa.Table:
    """Return what a judge said, from (item, order, text) or (item, order, text, cost)."""
    keys = ("id", "order", "text", "cost")
    full = [
        {"task": "open", "sample": 0, "finish_reason": "stop", **dict(zip(keys, row, strict=False))} for row in rows
    ]
    return artifacts.table(full, artifacts.VERDICTS)
