"""What a chat template writes around an answer. It follows from the template's text for an answer, and holds for all rows.

    prompt | lead | answer | trail | end

The prompt is what a model sees before it writes. Some templates write more before an answer: gpt-oss the header
"<|channel|>final<|message|>", Qwen 3 an empty think block, Llama 2 a blank. This is the `lead`; a model must write it itself.
Other templates open a think block at the end of the prompt (`opened`), so that the model writes only the rest of it.
"""

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ..errors import BadInput
from ..spec.settings import ChatSettings
from .templates import Message, marker, plain, render, with_system

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_TAG = r"<\|?(?!/)[^<>|\s/]+\|?>|\[(?!/)[A-Z_]+\]|◁(?!/)[^◁▷]+▷"
# the tags between which models write their thoughts: <think>, [THINK], <|START_THINKING|>, gpt-oss' analysis channel ...
_THOUGHT = (
    r"<\|?channel\|?>\s*(?:analysis|thought)(?:<\|message\|>)?"
    r"|[<\[◁]\|?(?!/)(?!END)[^<>\[\]◁▷\s/]*(?:think|thought|reason|scratchpad|reflect)[^<>\[\]◁▷\s/]*[>\]▷]"
)
_CLOSING = re.compile(r"</|\[/|◁/|<\|/|END_|<channel\|>|<\|end\|>")


class Frame(NamedTuple):
    """What a template writes around an answer."""

    context: str  # the last part of the prompt, from its last special token on: it decides how an answer is tokenised
    context_ids: list[int]
    opened: str  # a tag that the prompt leaves open, with all that follows it; empty where it opens none
    lead: str
    trail: str
    end: list[int]  # the one token that ends an answer
    literal: re.Pattern[str]  # special tokens that no answer holds as tokens: spelled out in an answer they are text


def frame(tokenizer: "PreTrainedTokenizerFast", chat_settings: ChatSettings, format: str = "chat") -> Frame:
    """Return what is written around each answer. Raises BadInput as `templates.render` does, and where no token ends an answer."""
    # all that the frame follows from, since a tokenizer and the settings can be changed
    own = (tokenizer.eos_token_id, tokenizer.bos_token_id, len(tokenizer), str(tokenizer.chat_template))
    return _frame(tokenizer, json.dumps(chat_settings, default=str), format, own)


@lru_cache(maxsize=16)
def _frame(tokenizer: "PreTrainedTokenizerFast", settings: str, format: str, _own: tuple) -> Frame:
    chat_settings: ChatSettings = json.loads(settings)
    special = {i: token.content for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    if format == "chat":
        prompt, opening, before, after = _renderings(tokenizer, chat_settings)
        end, trail = _ending(tokenizer, after, special)
        context = _context(prompt, special)
        open_tag = opened(prompt, opening, before)
        lead = led(prompt, open_tag, before)
    else:
        end, trail = _ending(tokenizer, "", special)
        context, open_tag, lead = plain([{"role": "user", "content": "?"}], chat_settings)[0], "", ""
    return Frame(
        context=context,
        context_ids=tokens(tokenizer, context),
        opened=open_tag,
        lead=lead,
        trail=trail,
        end=[end],
        literal=_literal(tokenizer, special, end),
    )


def tokens(tokenizer: "PreTrainedTokenizerFast", text: str, split_special_tokens: bool = False) -> list[int]:
    """Return the ids of a text by itself. split_special_tokens: whether special tokens that it spells out are ordinary text."""
    return tokenizer(text, add_special_tokens=False, split_special_tokens=split_special_tokens)["input_ids"]


def header_text(tokenizer: "PreTrainedTokenizerFast", chat_settings: ChatSettings) -> tuple[str, str]:
    """Return a prompt as the template renders it, and the last part of it, which opens the assistant's turn (or is empty)."""
    turns = with_system([{"role": "user", "content": "?"}], chat_settings)
    without = render(tokenizer, turns, chat_settings, add_generation_prompt=False)
    prompt = render(tokenizer, turns, chat_settings, add_generation_prompt=True)
    return prompt, prompt.removeprefix(without) if prompt.startswith(without) else ""


def _renderings(tokenizer: "PreTrainedTokenizerFast", chat_settings: ChatSettings) -> tuple[str, str, str, str]:
    """Return a prompt, its opening of the assistant's turn, and a conversation's text before and after an answer."""
    prompt, opening = header_text(tokenizer, chat_settings)
    turns: list[Message] = [{"role": "user", "content": "?"}, {"role": "assistant", "content": marker(0)}]
    conversation = render(tokenizer, with_system(turns, chat_settings), chat_settings, add_generation_prompt=False)
    before, found, after = conversation.rpartition(marker(0))
    if not found:
        raise BadInput(
            f"{tokenizer.name_or_path}: the chat template leaves out the text of an assistant turn; name another `template`"
        )
    return prompt, opening, before, after


def _ending(tokenizer: "PreTrainedTokenizerFast", after: str, special: dict[int, str]) -> tuple[int, str]:
    """Return the token that ends an answer, and the text between them. after: what the template writes after an answer.

    It is the first special token there, or else the end-of-sequence token.
    """
    for token in tokens(tokenizer, after):
        if token in special:
            return token, after.partition(special[token])[0]
    if tokenizer.eos_token_id is None:
        raise BadInput(
            f"{tokenizer.name_or_path}: no end-of-turn token in the template and no eos_token in the tokenizer"
        )
    return tokenizer.eos_token_id, ""


def _context(prompt: str, special: dict[int, str]) -> str:
    """Return the prompt from its last special token on; a special token divides a text for the tokenizer. Else the prompt."""
    return prompt[max([0, *(prompt.rfind(content) for content in special.values() if content)]) :]


def opened(prompt: str, opening: str, before: str) -> str:
    """Return the end of a prompt, from a tag that it leaves open; empty where it leaves none open.

    A tag counts if the template writes answers without it, or if its name says that thoughts follow.
    """
    has_more = len(prompt) - len(opening) < len(before) < len(prompt) and prompt.startswith(before)
    text, pattern = (prompt.removeprefix(before), f"{_THOUGHT}|{_TAG}") if has_more else (opening, _THOUGHT)
    found = list(re.finditer(f"(?i:{pattern})", text))
    # of several tags in a row, such as a channel and its message, all are left open together
    if has_more and found and not _CLOSING.search(text):
        return text[found[0].start() :]
    return text[found[-1].start() :] if found and not _CLOSING.search(text[found[-1].end() :]) else ""


def led(prompt: str, opened: str, before: str) -> str:
    """Return what a template writes between a prompt and an answer, as far as it follows from a conversation's text.

    Nemotron 3 opens "<think>\\n" in a prompt, and writes "<think></think>" before an answer: the block is closed at once.

    Args:
        opened: the tag that the prompt leaves open, with what follows it.
        before: what the template writes in a conversation before an answer.
    """
    if before.startswith(prompt):
        return before[len(prompt) :]
    open_tag = prompt.removesuffix(opened) + opened.rstrip()
    return before[len(open_tag) :] if opened and before.startswith(open_tag) else ""


def open_block(opened: str, lead: str) -> str:
    """Return what to know where a template opens a block in each prompt, and writes answers otherwise in a conversation."""
    where = (
        f"is trained and scored behind {opened + lead!r}"
        if lead
        else "is trained and scored inside of the open block, since that is where a model has to write it"
    )
    return (
        f"the chat template opens {opened.strip()!r} in each prompt, and writes answers without it. An answer without thoughts "
        f"{where}; to have no block, set `template_args: {{enable_thinking: false}}` if the template knows it, or name another "
        "`template`"
    )


def _literal(tokenizer: "PreTrainedTokenizerFast", special: dict[int, str], end: int) -> re.Pattern[str]:
    """Return a pattern of the special tokens that no answer holds: those that end it, and named ones such as BOS and padding.

    All others are read as tokens, as a template's text is.
    """
    named = {end, tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id}
    texts = sorted((special[i] for i in named if special.get(i)), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, texts)) or "(?!)")
