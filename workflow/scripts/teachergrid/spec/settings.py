"""The settings of jobs, as functions take them.

The specs of two rules have older words for a part than the code has. Those words must stay: with others, every answer and
every likelihood would be made again. They end here.
"""

from typing import Any, Required, TypedDict


class ChatSettings(TypedDict, total=False):
    """How prompts are put to a model. The keys are those of the config (of a base, teacher, reference or reward)."""

    template: Required[str]  # `own`: the tokenizer's chat template; else the text of a Jinja template
    template_args: dict[str, Any]  # variables of the template
    system: str | None  # system message for prompts that have none
    plain: str  # text of the plain format, with {question} in it


class AnswerSettings(TypedDict):
    """Of a model that answers a suite. chat: its chat settings; a student has those of its base."""

    model: dict
    chat: ChatSettings
    format: str  # chat or plain
    tasks: dict[str, dict]
    suite: dict


class LikelihoodSettings(TypedDict):
    """Of a model that scores responses. scorer: its chat settings."""

    model: dict
    scorer: ChatSettings
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
