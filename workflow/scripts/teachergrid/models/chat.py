"""From messages to token ids. Training, generation, likelihoods and evaluation all get their ids here.

There are two formats of text: `chat` renders the chat template; `plain` puts the user turns into a text without a template.
Prompt and response are tokenised separately, so that a response has the same ids whatever its prompt is.
"""

import re
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from ..errors import BadInput
from ..spec.settings import ChatSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class Message(TypedDict):
    """One turn of a conversation."""

    role: str  # system, user or assistant
    content: str


class Prompt(NamedTuple):
    """A prompt as tokens."""

    ids: list[int]  # all tokens before the response
    question: list[bool]  # for each id: whether it holds text of a user turn


class Example(NamedTuple):
    """A training example as tokens."""

    input_ids: list[int]
    completion_mask: list[int]  # 1 on the response and its end token


def prompt(
    tokenizer: "PreTrainedTokenizerFast", messages: list[Message], chat_settings: ChatSettings, format: str = "chat"
) -> Prompt:
    """Return the ids before a response.

    In the chat format the ids begin with BOS if the template writes it; in the plain format, if the tokenizer has one. If the
    template changes the user's text, so that it cannot be found again, `question` is False throughout.

    Example, with a ChatML template: prompt(tokenizer, [{"role": "user", "content": "Hi"}], chat_settings).ids are the ids
    of "<|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\n".

    Args:
        format: `chat` or `plain`.
    Raises:
        BadInput: when the messages do not end with a user turn, or the template is missing or fails.
    """
    if not messages or messages[-1]["role"] != "user":
        raise BadInput(f"an instruction must end with a user turn: {[message['role'] for message in messages]}")
    if format == "plain":
        text, spans = _plain(messages, chat_settings)
    else:
        text, spans = _rendered(tokenizer, messages, chat_settings)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    question = [_overlaps(start, end, spans) for start, end in encoded["offset_mapping"]]
    first = _bos(tokenizer) if format == "plain" else []
    return Prompt(first + encoded["input_ids"], [False] * len(first) + question)


def response(tokenizer: "PreTrainedTokenizerFast", text: str) -> list[int]:
    """Return the ids of a response. A special token that is spelled out in the text is read as ordinary text."""
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


def end(tokenizer: "PreTrainedTokenizerFast", chat_settings: ChatSettings, format: str = "chat") -> list[int]:
    """Return the one token that ends a response: the first special token that the template puts after an assistant turn.

    In the plain format, and if the template puts none there, it is the end-of-sequence token.
    """
    if format == "chat":
        marker = _marker(0)
        turns: list[Message] = [{"role": "user", "content": "?"}, {"role": "assistant", "content": marker}]
        text = _render(tokenizer, _with_system(turns, chat_settings), chat_settings, add_generation_prompt=False)
        special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
        for token in tokenizer(text.rpartition(marker)[2], add_special_tokens=False)["input_ids"]:
            if token in special:
                return [token]
    if tokenizer.eos_token_id is None:
        raise BadInput(
            f"{tokenizer.name_or_path}: no end-of-turn token in the template and no eos_token in the tokenizer"
        )
    return [tokenizer.eos_token_id]


def stops(
    tokenizer: "PreTrainedTokenizerFast",
    chat_settings: ChatSettings,
    format: str = "chat",
    eos: int | list[int] | None = None,
) -> list[int]:
    """Return all ids that end generation: the end token, the tokenizer's EOS, and `eos` of a model's generation config."""
    model_eos = eos if isinstance(eos, list) else [eos]
    return sorted({*end(tokenizer, chat_settings, format), tokenizer.eos_token_id, *model_eos} - {None})


def header(tokenizer: "PreTrainedTokenizerFast", chat_settings: ChatSettings, format: str = "chat") -> list[int]:
    """Return what comes before an answer that has no prompt: the template's assistant header, after BOS if prompts have it.

    If that is empty, and in the plain format, it is BOS, or else the end-of-sequence token.
    """
    ids: list[int] = []
    if format == "chat":
        turns = _with_system([{"role": "user", "content": "?"}], chat_settings)
        without = _render(tokenizer, turns, chat_settings, add_generation_prompt=False)
        rendered = _render(tokenizer, turns, chat_settings, add_generation_prompt=True)
        opening = rendered.removeprefix(without) if rendered.startswith(without) else ""
        ids = tokenizer(opening, add_special_tokens=False)["input_ids"]
        first = tokenizer(rendered, add_special_tokens=False)["input_ids"][:1]
        ids = (first if first == _bos(tokenizer) else []) + ids
    return ids or _bos(tokenizer) or end(tokenizer, chat_settings, "plain")


def example(
    tokenizer: "PreTrainedTokenizerFast", messages: list[Message], text: str, chat_settings: ChatSettings
) -> Example:
    """Return a training example: prompt, response and end token, with loss on the last two. text: the response."""
    before = prompt(tokenizer, messages, chat_settings).ids
    completion = response(tokenizer, text) + end(tokenizer, chat_settings)
    return Example(before + completion, [0] * len(before) + [1] * len(completion))


def conversation(
    tokenizer: "PreTrainedTokenizerFast", messages: list[Message], text: str, chat_settings: ChatSettings
) -> list[int]:
    """Return the ids of a conversation as the template renders it, with what it writes after the last turn.

    text: the response, which is the last turn.
    """
    turns: list[Message] = [*_with_system(messages, chat_settings), {"role": "assistant", "content": text}]
    rendered = _render(tokenizer, turns, chat_settings, add_generation_prompt=False)
    return tokenizer(rendered, add_special_tokens=False)["input_ids"]


def _bos(tokenizer: "PreTrainedTokenizerFast") -> list[int]:
    return [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]


def _marker(number: int) -> str:
    """Return a text that no template changes and no instruction contains (private-use characters around a number)."""
    return f"\ue000{number}\ue001"


def _with_system(messages: list[Message], chat_settings: ChatSettings) -> list[Message]:
    """Return the messages with the system message of the settings, unless they have their own or there is none."""
    system = chat_settings["system"]
    if system is None or any(message["role"] == "system" for message in messages):
        return messages
    return [{"role": "system", "content": system}, *messages]


def _plain(messages: list[Message], chat_settings: ChatSettings) -> tuple[str, list[tuple[int, int]]]:
    """Return the text before a response in the plain format, and the (first, last + 1) characters of the question."""
    question = "\n".join(message["content"] for message in messages if message["role"] == "user")
    before, placeholder, after = chat_settings["plain"].partition("{question}")
    if not placeholder:
        return before, []
    return before + question + after, [(len(before), len(before) + len(question))]


def _rendered(
    tokenizer: "PreTrainedTokenizerFast", messages: list[Message], chat_settings: ChatSettings
) -> tuple[str, list[tuple[int, int]]]:
    """Return the text before a response in the chat format, and the (first, last + 1) characters of each user turn.

    The template is rendered a second time, with a marker in place of each user turn. Then the turns are put where the
    markers came out, first as they are, then trimmed, since many templates trim. If this gives the first text again, the
    spans are where the turns were put. Otherwise there are none.
    """
    messages = _with_system(messages, chat_settings)
    text = _render(tokenizer, messages, chat_settings, add_generation_prompt=True)
    turns = {_marker(i): turn["content"] for i, turn in enumerate(messages) if turn["role"] == "user"}
    marked: list[Message] = [
        {**turn, "content": _marker(i)} if turn["role"] == "user" else turn for i, turn in enumerate(messages)
    ]
    pieces = re.split(f"({'|'.join(turns)})", _render(tokenizer, marked, chat_settings, add_generation_prompt=True))
    for change in (str, str.strip):
        spans, rebuilt = [], ""
        for piece in pieces:
            part = change(turns[piece]) if piece in turns else piece
            if piece in turns:
                spans.append((len(rebuilt), len(rebuilt) + len(part)))
            rebuilt += part
        if rebuilt == text:
            return text, spans
    return text, []


def _render(
    tokenizer: "PreTrainedTokenizerFast",
    messages: list[Message],
    chat_settings: ChatSettings,
    add_generation_prompt: bool,
) -> str:
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
            **chat_settings["template_args"],
        )
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        roles = [message["role"] for message in messages]
        raise BadInput(
            f"{tokenizer.name_or_path}: the chat template fails on the roles {roles}: {error}; "
            "change `system` or `template_args`, or name another `template`"
        ) from error


def _overlaps(start: int, end: int, spans: list[tuple[int, int]]) -> bool:
    """Return whether a token with these character offsets holds characters of a span.

    Some tokenizers trim blanks off the offsets of a token. A token of blanks alone then has start == end, and counts as
    if it were where its last blank was.
    """
    return any(min(start, end - 1) < last and end > first for first, last in spans)
