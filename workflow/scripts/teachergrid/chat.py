"""From messages to token ids: the one place that training, generation, likelihood and evaluation all get theirs from.

A `talk` is how a model is spoken to, with the config's keys: template (`own`, or a Jinja text), template_args, system, plain.
Formats: `chat` renders the template, `plain` puts the user turns into a text. Prompt and response are tokenised apart, so
that a response has the same ids whatever stands before it.
"""

import re
from typing import NamedTuple

from .errors import BadInput


class Prompt(NamedTuple):
    ids: list[int]  # all that stands before the response
    question: list[bool]  # per id: whether it is text of a user turn


class Example(NamedTuple):
    input_ids: list[int]
    completion_mask: list[int]  # 1 on the response and its end token


def prompt(tokenizer, messages: list[dict], talk: dict, format: str = "chat") -> Prompt:
    """Return the ids before the response. BOS is there once where the template writes it (plain: where there is one).

    Where the template changes the user's text, so that it cannot be found again, `question` is False throughout.
    Raises BadInput when the messages do not end with a user turn, or the template is missing or fails.
    """
    if not messages or messages[-1]["role"] != "user":
        raise BadInput(f"an instruction must end with a user turn: {[message['role'] for message in messages]}")
    text, spans = _plain(messages, talk) if format == "plain" else _rendered(tokenizer, messages, talk)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    question = [_overlaps(start, end, spans) for start, end in encoded["offset_mapping"]]
    first = _bos(tokenizer) if format == "plain" else []
    return Prompt(first + encoded["input_ids"], [False] * len(first) + question)


def response(tokenizer, text: str) -> list[int]:
    """Return the ids of a response's text; a special token that is spelled out in it stays ordinary text."""
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


def end(tokenizer, talk: dict, format: str = "chat") -> list[int]:
    """Return the one token that ends a response: the first special one that the template puts after an assistant message.

    In the plain format, and where the template puts none, it is the end-of-sequence token.
    """
    if format == "chat":
        marker = _marker(0)
        turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": marker}]
        tail = _render(tokenizer, _with_system(turns, talk), talk, add_generation_prompt=False).rpartition(marker)[2]
        special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
        for token in tokenizer(tail, add_special_tokens=False)["input_ids"]:
            if token in special:
                return [token]
    if tokenizer.eos_token_id is None:
        raise BadInput(
            f"{tokenizer.name_or_path}: no end-of-turn token in the template and no eos_token in the tokenizer"
        )
    return [tokenizer.eos_token_id]


def stops(tokenizer, talk: dict, format: str = "chat", eos: int | list[int] | None = None) -> list[int]:
    """Return all ids that end generation: the end token, the tokenizer's eos, and `eos` of a model's generation config."""
    eos = eos if isinstance(eos, list) else [eos]
    return sorted({*end(tokenizer, talk, format), tokenizer.eos_token_id, *eos} - {None})


def header(tokenizer, talk: dict, format: str = "chat") -> list[int]:
    """Return the context of a bare answer: BOS where prompts begin with it, and the template's assistant header.

    Where that is nothing, and in the plain format, it is BOS, or the end-of-sequence token in its place.
    """
    ids = []
    if format == "chat":
        turns = _with_system([{"role": "user", "content": "?"}], talk)
        without = _render(tokenizer, turns, talk, add_generation_prompt=False)
        whole = _render(tokenizer, turns, talk, add_generation_prompt=True)
        opening = whole.removeprefix(without) if whole.startswith(without) else ""
        ids = tokenizer(opening, add_special_tokens=False)["input_ids"]
        begins = tokenizer(whole, add_special_tokens=False)["input_ids"][:1]
        ids = (begins if begins == _bos(tokenizer) else []) + ids
    return ids or _bos(tokenizer) or end(tokenizer, talk, "plain")


def example(tokenizer, messages: list[dict], text: str, talk: dict, format: str = "chat") -> Example:
    """Return a training example: prompt, response and end token, with loss on the last two."""
    before = prompt(tokenizer, messages, talk, format).ids
    said = response(tokenizer, text) + end(tokenizer, talk, format)
    return Example(before + said, [0] * len(before) + [1] * len(said))


def conversation(tokenizer, messages: list[dict], text: str, talk: dict) -> list[int]:
    """Return the ids of a whole conversation as the template renders it, with what it writes after the last turn."""
    turns = [*_with_system(messages, talk), {"role": "assistant", "content": text}]
    rendered = _render(tokenizer, turns, talk, add_generation_prompt=False)
    return tokenizer(rendered, add_special_tokens=False)["input_ids"]


def _bos(tokenizer) -> list[int]:
    return [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]


def _marker(number: int) -> str:
    """Return a text that no template touches and no instruction holds (private-use characters around it)."""
    return f"\ue000{number}\ue001"


def _with_system(messages: list[dict], talk: dict) -> list[dict]:
    own = talk["system"] is None or any(message["role"] == "system" for message in messages)
    return messages if own else [{"role": "system", "content": talk["system"]}, *messages]


def _plain(messages: list[dict], talk: dict) -> tuple[str, list[tuple[int, int]]]:
    """Return the text before a response in the plain format, and where the question lies in it."""
    question = "\n".join(message["content"] for message in messages if message["role"] == "user")
    before, found, after = talk["plain"].partition("{question}")
    if not found:
        return before, []
    return before + question + after, [(len(before), len(before) + len(question))]


def _rendered(tokenizer, messages: list[dict], talk: dict) -> tuple[str, list[tuple[int, int]]]:
    """Return the text before a response in the chat format, and where the user turns lie in it.

    The template is rendered a second time with a marker in place of each user turn. Only if the turns, put where the
    markers came out (as they are, or trimmed, as many templates do), give the first text again, are their places known.
    """
    messages = _with_system(messages, talk)
    text = _render(tokenizer, messages, talk, add_generation_prompt=True)
    turns = {_marker(i): turn["content"] for i, turn in enumerate(messages) if turn["role"] == "user"}
    marked = [{**turn, "content": _marker(i)} if turn["role"] == "user" else turn for i, turn in enumerate(messages)]
    pieces = re.split(f"({'|'.join(turns)})", _render(tokenizer, marked, talk, add_generation_prompt=True))
    for change in (str, str.strip):
        spans, built = [], ""
        for piece in pieces:
            put = change(turns[piece]) if piece in turns else piece
            if piece in turns:
                spans.append((len(built), len(built) + len(put)))
            built += put
        if built == text:
            return text, spans
    return text, []


def _render(tokenizer, messages: list[dict], talk: dict, add_generation_prompt: bool) -> str:
    import jinja2

    template = None if talk["template"] == "own" else talk["template"]
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
            **talk["template_args"],
        )
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        roles = [message["role"] for message in messages]
        raise BadInput(
            f"{tokenizer.name_or_path}: the chat template fails on the roles {roles}: {error}; "
            "change `system` or `template_args`, or name another `template`"
        ) from error


def _overlaps(start: int, end: int, spans: list[tuple[int, int]]) -> bool:
    """Tell whether a token holds characters of a span. Some tokenizers trim blanks off the offsets of a token; one that is
    trimmed to nothing then lies where its last blank was."""
    return any(min(start, end - 1) < last and end > first for first, last in spans)
