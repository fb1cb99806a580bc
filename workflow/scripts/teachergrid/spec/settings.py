"""Settings of jobs whose specs name a part differently from the code.

The names in a spec must not change: otherwise every answer and every likelihood would be made again. This module translates them.
"""

from typing import Any, Required, TypedDict


class ChatSettings(TypedDict, total=False):
    """How prompts are put to a model. The keys are those of the config (of a base, teacher, reference or reward)."""

    template: Required[str]  # `own`: the tokenizer's chat template; else the text of a Jinja template
    template_args: Required[dict[str, Any]]  # variables of the template
    system: str | None  # system message for prompts that have none
    refused_prompts: str  # what becomes of instructions that the template refuses: stop, or leave_out
    plain: str  # text of the plain format, with {question} in it


class AnswerSettings(TypedDict):
    """Settings of a model that answers a suite. chat: its chat settings; a student has those of its base."""

    model: dict
    chat: ChatSettings
    format: str  # chat or plain
    tasks: dict[str, dict]
    suite: dict


class LikelihoodSettings(TypedDict):
    """Settings of a model that scores the likelihood of responses. scorer: its chat settings."""

    model: dict
    scorer: ChatSettings
    likelihood: dict


def of_answers(parts: dict) -> AnswerSettings:
    """Return the settings from a loaded spec of the rule `answer`, in which the chat settings are named `reference`."""
    return {
        "model": parts["model"],
        "chat": parts["reference"],
        "format": parts["reference"]["format"],
        "tasks": parts["tasks"],
        "suite": parts["suite"],
    }


def of_likelihoods(parts: dict) -> LikelihoodSettings:
    """Return the settings from a loaded spec of the rule `likelihood`, in which the scorer is named `base`."""
    return {"model": parts["model"], "scorer": parts["base"], "likelihood": parts["likelihood"]}
