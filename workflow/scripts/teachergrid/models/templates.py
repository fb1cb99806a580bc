"""Chat templates: from messages to the text that a model reads."""

from datetime import date
from typing import TYPE_CHECKING, TypedDict

from ..errors import BadInput
from ..spec.settings import ChatSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# what templates that ask for today's date are given: a job that is continued tomorrow, or made again, reads the same prompts. It
# is the day that the templates of Llama 3.1 write by themselves.
TODAY = date(2024, 7, 26)


class Message(TypedDict):
    """One turn of a conversation."""

    role: str  # system, user or assistant
    content: str


def marker(number: int) -> str:
    """Return a text that no template changes and no instruction contains (private-use characters around a number)."""
    return f"\ue000{number}\ue001"


def with_system(messages: list[Message], chat_settings: ChatSettings) -> list[Message]:
    """Return the messages with the system message of the settings, unless they have their own or there is none."""
    system = chat_settings["system"]
    if system is None or any(message["role"] == "system" for message in messages):
        return messages
    return [{"role": "system", "content": system}, *messages]


def plain(messages: list[Message], chat_settings: ChatSettings) -> tuple[str, list[tuple[int, int]]]:
    """Return the text before a response in the plain format, and the (first, last + 1) characters of the question."""
    question = "\n".join(message["content"] for message in messages if message["role"] == "user")
    before, placeholder, after = chat_settings["plain"].partition("{question}")
    if not placeholder:
        return before, []
    return before + question + after, [(len(before), len(before) + len(question))]


def render(
    tokenizer: "PreTrainedTokenizerFast",
    messages: list[Message],
    chat_settings: ChatSettings,
    add_generation_prompt: bool,
) -> str:
    """Return the text that the template makes of messages, the same on every day.

    Raises BadInput when there is no template, or when it fails.
    """
    import jinja2

    template = None if chat_settings["template"] == "own" else chat_settings["template"]
    if template is None and not tokenizer.chat_template:
        raise BadInput(
            f"{tokenizer.name_or_path}: the tokenizer has no chat template; name a .jinja file as `template`"
        )
    try:
        return tokenizer.apply_chat_template(
            messages,
            chat_template=template,
            add_generation_prompt=add_generation_prompt,
            tokenize=False,
            **{"strftime_now": TODAY.strftime, **chat_settings["template_args"]},
        )
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        roles = [message["role"] for message in messages]
        raise BadInput(
            f"{tokenizer.name_or_path}: the chat template fails on the roles {roles}: {error}; "
            "change `system` or `template_args`, or name another `template`"
        ) from error
