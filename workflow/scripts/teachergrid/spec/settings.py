"""Settings of jobs whose specs name a part differently from the code.

The names in a spec must not change: otherwise every answer and every likelihood would be made again. This module translates them.
"""

from typing import Any, Required, TypedDict

from .ids import Model, Responses


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


# --- what costs only, and so may be missing in a spec


def costs_of_responses(parts: dict, config: dict, responses: str) -> dict:
    """Return the parts of a loaded spec of the rule `generate`, with those settings as the config has them that decide no result."""
    teacher = config["teachers"][Responses.parse(responses).teacher]
    model = config["models"].get(teacher["model"])
    name = model["endpoint"] if model else None
    endpoint = {"endpoint": config["endpoints"][name] | {"name": name}} if name else {}
    return _with_costs(parts, "teacher", teacher, model) | endpoint


def costs_of_methods(parts: dict, config: dict, evolution: str) -> dict:
    """Return the same of the rule `optimise`: those of the evolution's teacher."""
    entry = config["evolutions"][evolution]
    return costs_of_responses(parts, config, str(Responses(entry["of"], entry["by"])))


def costs_of_verdicts(parts: dict, config: dict, judge: str) -> dict:
    """Return the same of the rule `ask`: with the endpoint that serves the judge, where one does."""
    entry = config["judges"][judge]
    model = config["models"][entry["model"]]
    name = model["endpoint"]
    endpoint = {"endpoint": config["endpoints"][name] | {"name": name}} if name else {}
    return _with_costs(parts, "judge", entry, model) | endpoint


def costs_of_answers(parts: dict, config: dict, model: str, suite: str) -> dict:
    """Return the same of the rule `answer`. model: a student or a reference."""
    student = Model.parse(model).student
    entry = config["bases"][student.base] if student else config["references"][model]
    return _with_costs(parts, "suite", config["suites"][suite], config["models"].get(entry["model"]))


def _with_costs(parts: dict, name: str, entry: dict, model: dict | None) -> dict:
    """Return the parts with `batch` and `shard` of a config entry, and with how its model is spread over GPUs."""
    stated = {name: {key: entry[key] for key in ("batch", "shard")}}
    if model is not None:
        stated["model"] = {"tensor_parallel": model["tensor_parallel"]}
    return {**parts, **{key: {**parts[key], **values} for key, values in stated.items() if key in parts}}
