"""From messages to token ids, and back to text. Training, generation, likelihoods and evaluation all get their ids here.

There are two formats of text: `chat` renders the chat template; `plain` puts the user turns into a text without a template.

The ids of a conversation are those of a prompt, which a model sees before it writes, and those of the answer behind it, as the
tokenizer gives them for the whole text: what a model is trained on, and scored on, is what it has to write. `text` is the way
back: the text of an answer is the one that gives the same ids again.
"""

import re
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from ..errors import BadInput
from ..spec.settings import ChatSettings
from . import answers
from .frames import frame, header_text, open_block
from .templates import Message, marker, plain, render, with_system

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SAMPLE = "The sum of 3 and 4 is 7.\n\n- one\n- two"  # an answer, for the check of a tokenizer and template


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
    return _prompt(tokenizer, messages, chat_settings, format)[1]


def _prompt(
    tokenizer: "PreTrainedTokenizerFast", messages: list[Message], chat_settings: ChatSettings, format: str
) -> tuple[str, Prompt]:
    """Return the text before a response, without BOS in the plain format, and `prompt`."""
    if not messages or messages[-1]["role"] != "user":
        raise BadInput(f"an instruction must end with a user turn: {[message['role'] for message in messages]}")
    if format == "plain":
        text, spans = plain(messages, chat_settings)
    else:
        text, spans = _rendered(tokenizer, messages, chat_settings)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    question = _holding(encoded["offset_mapping"], spans)
    first = _bos(tokenizer) if format == "plain" else []
    return text, Prompt(first + encoded["input_ids"], [False] * len(first) + question)


def response(tokenizer: "PreTrainedTokenizerFast", text: str) -> list[int]:
    """Return the ids of a text within a line. A special token that is spelled out in the text is read as ordinary text."""
    return answers.within_a_line(tokenizer, text, split_special_tokens=True)


def answer(
    tokenizer: "PreTrainedTokenizerFast",
    messages: list[Message],
    text: str,
    chat_settings: ChatSettings,
    format: str = "chat",
    finished: bool = True,
) -> tuple[Prompt, answers.Answer]:
    """Return a prompt and an answer to it as tokens.

    Tags of thoughts, tools and channels in the text are read as the tokens that they are. The tokens that end an answer, and
    BOS, padding and the unknown token, are read as ordinary text.

    Args:
        text: the answer. A tag that the prompt opens may stand at its beginning.
        finished: False where max_tokens cut the answer off, so that no end token follows.
    Raises:
        BadInput: as `prompt` and `frames.frame` do.
    """
    before, question = _prompt(tokenizer, messages, chat_settings, format)
    around = frame(tokenizer, chat_settings, format)
    n = len(around.context_ids)
    if format == "plain":
        around = around._replace(context=before, context_ids=question.ids[len(_bos(tokenizer)) :])
    elif not before.endswith(around.context) or question.ids[-n:] != around.context_ids:
        around = around._replace(context=before, context_ids=question.ids)
    return question, answers.encode(tokenizer, text, around, finished)


def text(
    tokenizer: "PreTrainedTokenizerFast", ids: list[int], chat_settings: ChatSettings, format: str = "chat"
) -> str:
    """Return the text of an answer that a model wrote: the text that gives the same ids behind a prompt.

    Special tokens are spelled out. A tag that the prompt left open comes first; what the template itself writes before an answer
    is left out. If no text gives the same ids, since a model may divide words as the tokenizer never does, it is the text
    whose ids are the same for longest.

    Args:
        ids: without the token that ends the answer.
    """
    if not ids:
        return ""
    around = frame(tokenizer, chat_settings, format)

    def ids_in_common(candidate: str) -> int:
        read = answers.encode(tokenizer, candidate, around, finished=False)
        written = read.lead + read.ids
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(written, ids, strict=False)))
        return common + (written == ids)

    # max() takes the first of several that are equal
    return max(answers.candidates(tokenizer, ids, around), key=ids_in_common)


def end(tokenizer: "PreTrainedTokenizerFast", chat_settings: ChatSettings, format: str = "chat") -> list[int]:
    """Return the one token that ends a response: the first special token that the template puts after an assistant turn.

    In the plain format, and if the template puts none there, it is the end-of-sequence token.
    """
    return frame(tokenizer, chat_settings, format).end


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
        rendered, opening = header_text(tokenizer, chat_settings)
        ids = tokenizer(opening, add_special_tokens=False)["input_ids"]
        first = tokenizer(rendered, add_special_tokens=False)["input_ids"][:1]
        ids = (first if first == _bos(tokenizer) else []) + ids
    return ids or _bos(tokenizer) or end(tokenizer, chat_settings, "plain")


def example(
    tokenizer: "PreTrainedTokenizerFast",
    messages: list[Message],
    text: str,
    chat_settings: ChatSettings,
    finished: bool = True,
) -> Example:
    """Return a training example: prompt, response and end token, with loss on the last two.

    Args:
        text: the response.
        finished: False where max_tokens cut the response off. It gets no end token, or students learn to stop in mid-sentence.
    """
    before, after = answer(tokenizer, messages, text, chat_settings, finished=finished)
    completion = after.lead + after.ids + after.end
    return Example(before.ids + completion, [0] * len(before.ids) + [1] * len(completion))


def warnings(tokenizer: "PreTrainedTokenizerFast", chat_settings: ChatSettings, format: str = "chat") -> list[str]:
    """Return what to know of a tokenizer and template before the first row; nothing where training sees what inference sees.

    A round trip is made: an answer's text to ids and back, and its ids against those of the conversation as the template
    renders it.
    """
    name, around = tokenizer.name_or_path, frame(tokenizer, chat_settings, format)
    question: list[Message] = [{"role": "user", "content": "?"}]
    prompt, answered = answer(tokenizer, question, SAMPLE, chat_settings, format)
    found = []
    again = text(tokenizer, answered.lead + answered.ids, chat_settings, format)
    if again.removeprefix(around.opened).strip() != SAMPLE:
        found.append(f"{name}: the tokenizer does not give back a text from its ids: {SAMPLE!r} becomes {again!r}")
    rendered = conversation(tokenizer, question, SAMPLE, chat_settings) if format == "chat" else []
    written = prompt.ids + answered.lead + answered.ids
    if rendered[: len(written)] != written and around.opened:
        found.append(f"{name}: {open_block(around.opened, around.lead)}")
    elif rendered[: len(written)] != written and format == "chat":
        found.append(
            f"{name}: the chat template renders an answer in a conversation otherwise than behind a prompt, where a model has to "
            "write it: training and scoring use the prompt"
        )
    return found


def report(tokenizer: "PreTrainedTokenizerFast", chat_settings: ChatSettings, format: str = "chat") -> None:
    """Write the warnings of a tokenizer and template into the log of the job."""
    for line in warnings(tokenizer, chat_settings, format):
        print(f"warning: {line}", flush=True)


def conversation(
    tokenizer: "PreTrainedTokenizerFast", messages: list[Message], text: str, chat_settings: ChatSettings
) -> list[int]:
    """Return the ids of a conversation as the template renders it, with what it writes after the last turn.

    text: the response, which is the last turn.
    """
    turns: list[Message] = [*with_system(messages, chat_settings), {"role": "assistant", "content": text}]
    rendered = render(tokenizer, turns, chat_settings, add_generation_prompt=False)
    return tokenizer(rendered, add_special_tokens=False)["input_ids"]


def _bos(tokenizer: "PreTrainedTokenizerFast") -> list[int]:
    return [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]


def _rendered(
    tokenizer: "PreTrainedTokenizerFast", messages: list[Message], chat_settings: ChatSettings
) -> tuple[str, list[tuple[int, int]]]:
    """Return the text before a response in the chat format, and the (first, last + 1) characters of each user turn.

    The template is rendered a second time, with a marker in place of each user turn. Then the turns are put where the
    markers came out, first as they are, then trimmed, since many templates trim. If this gives the first text again, the
    spans are where the turns were put. Otherwise there are none.
    """
    messages = with_system(messages, chat_settings)
    text = render(tokenizer, messages, chat_settings, add_generation_prompt=True)
    turns = {marker(i): turn["content"] for i, turn in enumerate(messages) if turn["role"] == "user"}
    marked: list[Message] = [
        {**turn, "content": marker(i)} if turn["role"] == "user" else turn for i, turn in enumerate(messages)
    ]
    pieces = re.split(f"({'|'.join(turns)})", render(tokenizer, marked, chat_settings, add_generation_prompt=True))
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


def _holding(offsets: list[tuple[int, int]], spans: list[tuple[int, int]]) -> list[bool]:
    """Return for each token, given its first character and the one after its last, whether it holds characters of a span.

    Some tokenizers trim blanks off the offsets of a token. A token of blanks alone then has start == end, and counts as
    if it were where its last blank was.
    """
    holding = [False] * len(offsets)
    for first, last in spans:
        # in place of min(), which takes a tenth of the time of a row
        found = [(start if start < end else end - 1) < last and end > first for start, end in offsets]
        holding = [a or b for a, b in zip(holding, found, strict=True)]
    return holding
