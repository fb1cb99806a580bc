"""The settings of jobs whose specs have older words for a part than the code.

The words of a spec must stay: with others, every answer and every likelihood would be made again. They end here.
"""

from typing import TypedDict


class AnswerSettings(TypedDict):
    """Of a model that answers a suite. chat: its chat settings; a student has those of its base."""

    model: dict
    chat: dict
    format: str  # chat or plain
    tasks: dict[str, dict]
    suite: dict


class LikelihoodSettings(TypedDict):
    """Of a model that scores responses. scorer: its chat settings."""

    model: dict
    scorer: dict
    likelihood: dict


def of_answers(parts: dict) -> AnswerSettings:
    """Return the settings in a loaded spec of the rule `answer`, which has the chat settings under `reference`."""
    return {
        "model": parts["model"],
        "chat": parts["reference"],
        "format": parts["reference"]["format"],
        "tasks": parts["tasks"],
        "suite": parts["suite"],
    }


def of_likelihoods(parts: dict) -> LikelihoodSettings:
    """Return the settings in a loaded spec of the rule `likelihood`, which has the scorer under `base`."""
    return {"model": parts["model"], "scorer": parts["base"], "likelihood": parts["likelihood"]}
