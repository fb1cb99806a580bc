"""Answers: from text to the token ids behind a prompt, and back."""

import re
from typing import TYPE_CHECKING, NamedTuple

from .frames import Frame, tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class Answer(NamedTuple):
    """An answer as tokens, behind a prompt."""

    lead: list[int]  # what the template writes before an answer, such as a header
    ids: list[int]  # the answer itself
    end: list[int]  # the token that ends it; none where the answer was cut off


def encode(tokenizer: "PreTrainedTokenizerFast", text: str, around: Frame, finished: bool) -> Answer:
    """Return an answer as tokens, behind the context of a frame."""
    lead, text = _lead(text, around)
    trail = around.trail if finished and not text.endswith(around.trail) else ""
    first, *others = around.literal.split(text)
    ids = _continued(tokenizer, around.context, around.context_ids, lead + first + ("" if others else trail))
    for spelled_out, part in zip(around.literal.findall(text), others, strict=True):
        ids += within_a_line(tokenizer, spelled_out, split_special_tokens=True) + within_a_line(tokenizer, part)
    if others and trail:
        ids += within_a_line(tokenizer, trail)
    lead_ids = _continued(tokenizer, around.context, around.context_ids, lead) if lead else []
    # a lead such as a blank becomes a part of the answer's first token
    n = len(lead_ids) if ids[: len(lead_ids)] == lead_ids else 0
    return Answer(ids[:n], ids[n:], around.end if finished else [])


def _lead(text: str, around: Frame) -> tuple[str, str]:
    """Return what the template writes before an answer, and the answer without the tag that the prompt left open.

    There is nothing to write before an answer that has the same beginning already, or thoughts of its own.
    """
    opened, lead = around.opened, around.lead
    if opened and text.startswith(opened):
        return "", text[len(opened) :]
    if opened and text.lstrip().startswith(opened.strip()):
        return "", text.lstrip()[len(opened.strip()) :].lstrip()
    tag = re.match(r"\s*([<\[◁][^<>\[\]◁▷\s]+[>\]▷])", lead)
    has_own = tag[1] in text if tag and "/" in tag[1] else text.lstrip().startswith(tag[1] if tag else lead)
    return ("" if lead and (has_own or text.startswith(lead)) else lead), text


def candidates(tokenizer: "PreTrainedTokenizerFast", ids: list[int], around: Frame) -> list[str]:
    """Return the texts that the ids of an answer may come from: decoded by themselves, and behind the prompt."""

    def decoded(ids: list[int]) -> str:
        return tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    texts, before = [decoded(ids)], decoded(around.context_ids)
    # a tokenizer of SentencePiece loses a blank at the beginning of a text
    if (whole := decoded(around.context_ids + ids)).startswith(before):
        texts.append(whole[len(before) :])
    # what the template writes before an answer is no part of it, and may close what the prompt left open
    lead = around.lead
    return [text[len(lead) :] if lead and text.startswith(lead) else around.opened + text for text in texts]


def _continued(tokenizer: "PreTrainedTokenizerFast", before: str, before_ids: list[int], text: str) -> list[int]:
    """Return the ids of a text behind another one, whose ids stay as they are."""
    both = tokens(tokenizer, before + text)
    if before and both[: len(before_ids)] == before_ids:
        return both[len(before_ids) :]
    # the tokenizer would join the end of the one and the beginning of the other, but a model writes behind the whole prompt
    return within_a_line(tokenizer, text)


def within_a_line(tokenizer: "PreTrainedTokenizerFast", text: str, split_special_tokens: bool = False) -> list[int]:
    """Return the ids of a text without the blank that a tokenizer of SentencePiece puts before every text."""
    alone = tokens(tokenizer, text, split_special_tokens)
    if not text or not _adds_prefix(tokenizer):
        return alone
    for anchor in ("\n", "=", "\ue000"):
        first, both = tokens(tokenizer, anchor), tokens(tokenizer, anchor + text, split_special_tokens)
        if both[: len(first)] == first:
            return both[len(first) :]
    return alone


def _adds_prefix(tokenizer: "PreTrainedTokenizerFast") -> bool:
    """Return whether a text by itself begins with another token than within a line."""
    return tokens(tokenizer, "\nx")[len(tokens(tokenizer, "\n")) :] != tokens(tokenizer, "x")
