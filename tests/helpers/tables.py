"""Small tables for tests of what joins and compares them."""

import pyarrow as pa
from teachergrid.spec import schema
from teachergrid.store import artifacts


def instructions(*ids: str) -> pa.Table:
    """Each with one user turn, "ask ID", and the answer "answer ID"."""
    rows = [
        {"id": id, "messages": [{"role": "user", "content": f"ask {id}"}], "source": "test", "round": 0}
        | {"answer": f"answer {id}"}
        for id in ids
    ]
    return artifacts.table(rows, artifacts.INSTRUCTIONS)


def responses(rows: dict, tokens: dict | None = None) -> pa.Table:
    """rows: {(id, sample): text}; tokens: {(id, sample): response tokens}."""
    return artifacts.table(
        [
            {
                "id": id,
                "sample": sample,
                "response": text,
                "finish_reason": "stop",
                "response_tokens": (tokens or {}).get((id, sample)),
            }
            for (id, sample), text in rows.items()
        ],
        artifacts.RESPONSES,
    )


def rewards(rows: dict) -> pa.Table:
    """rows: {(id, sample): reward, or the reason why there is none}."""
    return artifacts.table(
        [
            {"id": id, "sample": sample, "reward": None, "reason": value}
            if isinstance(value, str)
            else {"id": id, "sample": sample, "reward": value}
            for (id, sample), value in rows.items()
        ],
        artifacts.REWARDS,
    )


LIKELIHOOD = (
    "n_question",
    "n_answer",
    "n_end",
    "question",
    "answer_given_question",
    "end_given_question",
    "answer",
    "end",
)


def likelihoods(rows: dict) -> pa.Table:
    """rows: {(id, sample): the columns of LIKELIHOOD, all columns by name, or the reason why they are undefined}."""

    def columns(value) -> dict:
        if isinstance(value, dict):
            return value
        return {"reason": value} if isinstance(value, str) else dict(zip(LIKELIHOOD, value, strict=True))

    return artifacts.table(
        [{"id": id, "sample": sample, "truncated": False} | columns(value) for (id, sample), value in rows.items()],
        artifacts.LIKELIHOODS,
    )


def distributions(rows: dict) -> pa.Table:
    """rows: {(id, sample): (probability, end_probability, squares, end_squares, entropy, end_entropy, top, end_top, sure, end_sure)}; the last four may be missing."""
    names = [f"{end}{name}" for name in ("probability", "squares", "entropy", "top", "sure") for end in ("", "end_")]
    return artifacts.table(
        [{"id": id, "sample": sample, **dict(zip(names, row, strict=False))} for (id, sample), row in rows.items()],
        artifacts.DISTRIBUTIONS,
    )


def entry(formula: str, **settings) -> dict:
    """A metric of the config with all its defaults."""
    return schema.filled({"formula": formula, **settings}, schema.definition("metric"))


def own(text: str, **settings) -> dict:
    """A metric that the config writes itself, by the reward rm."""
    return entry("expression", **{"expression": text, "best": "highest", "reward": "rm", **settings})
