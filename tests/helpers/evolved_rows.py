"""Rows of instruction sets and of what an evolver wrote, for tests of evolution."""

from teachergrid.data.files import message_id

READ = {
    "retry": True,
    "keep": False,
    "published": False,
    "final": [],
    "labels": ["given task", "revised task"],
    "eliminate": ["cut-off", "refusal", "labels", "punctuation", "language", "long", "equal"],
    "least_change": 2,
    "most_words": 50,
}
ASK = {
    "retry": True,
    "round": 1,
    "schedule": "paper",
    "texts": {"a": "A: {instruction}", "b": "B: {instruction}", "c": "C: {instruction}"},
}


def seed_row(text: str, **more) -> dict:
    """Return a row of artifacts.INSTRUCTIONS that is read from a source."""
    messages = [{"role": "user", "content": text}]
    row = {"answer": None, "category": None, "source": "s", "parent_id": None, "operator": None, "round": 0}
    return {"id": message_id(messages), "messages": messages, **row, **more}


def reply(text: str, reason: str = "stop", sample: int = 0) -> dict:
    return {"sample": sample, "response": text, "finish_reason": reason}


def replies(asked: list[dict], *answers: str | dict) -> dict[str, list[dict]]:
    """Return what an evolver wrote to prompts, in their order. answers: texts, or rows of artifacts.RESPONSES."""
    rows = [answer if isinstance(answer, dict) else reply(answer) for answer in answers]
    return {prompt["id"]: [row] for prompt, row in zip(asked, rows, strict=True)}


def said(rows: list[dict]) -> list[str]:
    """Return the last turns of rows."""
    return [row["messages"][-1]["content"] for row in rows]
