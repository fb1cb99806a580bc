"""The proof before the first step: what a student reads, what of it carries loss, and that inference reads the same.

A few rows are checked: each kind that the corpus has (with a system message, with several turns, with thoughts, cut off), and the
longest. A mistake ends the training before it costs anything. The rows are also written as a page for a person, which lies beside the
student (proof.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import escape

from ..errors import BadInput
from ..models import chat
from ..models.templates import render, with_system
from ..store import origin
from .training import Training

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ..models.chat import Message

NAME = "proof.html"  # in the folder of a student
SHOWN = 2000  # characters of a piece of text on the page; of a longer one its beginning and end
LETTERS = 30  # of a turn, by which it is found in the prompt
THOUGHTS = re.compile(r"(?s).*(</think>|\[/THINK\]|<\|END_THINKING\|>)")
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid #ccc; border-radius: 4px; padding: .8rem }
.prompt { color: #666 } .loss { background: #c9efd0; color: #06310f }
.special { font-weight: 600; outline: 1px solid #99a; border-radius: 2px } .end { background: #2f9e4a; color: #fff }
.wrong { color: #b00020; font-weight: 600 }
"""


class Proof(NamedTuple):
    """A row as it is trained on."""

    kind: str  # why it is shown
    number: int  # among the rows of the training
    example: chat.Example
    problems: list[str]


def write(training: Training, tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """Check a few rows of a training, and write them as a page.

    Raises BadInput where a row is wrong; the message says what is wrong and where the page is.
    """
    proofs = list(proved(training, tokenizer))
    path.parent.mkdir(parents=True, exist_ok=True)
    origin.replace_text(path, page(training, tokenizer, proofs))
    for proof in proofs:
        if proof.problems:
            raise BadInput(
                f"{tokenizer.name_or_path}: a student would be trained on something else than what inference reads: row "
                f"{proof.number + 1}, {proof.problems[0]}; correct the chat template, or name another `template` ({path} shows it)"
            )


def proved(training: Training, tokenizer: PreTrainedTokenizerBase) -> Iterator[Proof]:
    """Yield one row of each kind that the training has, checked. Rows that the template refuses are left out."""
    cut_off = frozenset(training.unfinished)
    for number, kind in chosen(training).items():
        messages, response = training.rows[number]
        finished = number not in cut_off
        try:
            example = chat.example(tokenizer, messages, response, training.chat, finished)
        except BadInput:
            continue
        yield Proof(kind, number, example, problems(tokenizer, training, messages, example, finished))


def chosen(training: Training) -> dict[int, str]:
    """Return {number of a row: why it is shown}: the first row of each kind, and the longest."""
    cut_off, kinds = frozenset(training.unfinished), dict[str, int]()
    for number, (messages, response) in enumerate(training.rows):
        roles = [message["role"] for message in messages]
        of_row = {
            "the first": True,
            "several turns": roles.count("user") > 1,
            "a system message": "system" in roles,
            "thoughts": THOUGHTS.match(response) is not None,
            "cut off by max_tokens": number in cut_off,
        }
        for kind, holds in of_row.items():
            if holds:
                kinds.setdefault(kind, number)
    sizes = [sum(len(message["content"]) for message in messages) + len(text) for messages, text in training.rows]
    kinds["the longest"] = sizes.index(max(sizes))
    return {
        number: " and ".join(kind for kind, n in kinds.items() if n == number) for number in sorted({*kinds.values()})
    }


def problems(
    tokenizer: PreTrainedTokenizerBase,
    training: Training,
    messages: list[Message],
    example: chat.Example,
    finished: bool,
) -> list[str]:
    """Return what is wrong with a row, in words. finished: False where max_tokens cut the response off."""
    ids, mask = example
    prompt = chat.prompt(tokenizer, messages, training.chat).ids
    found = []
    if ids[: len(prompt)] != prompt:
        found.append("its prompt has other tokens in training than in generation")
    if mask != [0] * len(prompt) + [1] * (len(ids) - len(prompt)):
        found.append("the loss does not begin with its response")
    if finished and ids[-1] not in chat.stops(tokenizer, training.chat):
        found.append("no token ends its response, so a student would not learn to stop")
    if tokenizer.bos_token_id is not None and ids[:2] == [tokenizer.bos_token_id] * 2:
        found.append(f"it begins with {tokenizer.bos_token} twice")
    turns = with_system(messages, training.chat)
    text = letters(render(tokenizer, turns, training.chat, add_generation_prompt=True))
    for place, turn in enumerate(turns, 1):
        # many templates drop the thoughts of earlier turns
        said = THOUGHTS.sub("", turn["content"]) if turn["role"] == "assistant" else turn["content"]
        if letters(said)[:LETTERS] not in text:
            found.append(f"the template leaves out turn {place}, of the {turn['role']}")
    return found


def letters(text: str) -> str:
    """Return the letters and digits of a text, in lower case: templates trim and escape."""
    return re.sub(r"[\W_]+", "", text.lower())


def page(training: Training, tokenizer: PreTrainedTokenizerBase, proofs: list[Proof]) -> str:
    """Return the page of these rows."""
    wrong = [problem for proof in proofs for problem in proof.problems]
    checks = (
        "the prompt has the tokens that generation reads; the loss covers the response and its end token and nothing else; an end token is "
        "there; no double beginning; no turn is left out"
    )
    verdict = f'<p class="wrong">{escape("; ".join(wrong))}</p>' if wrong else f"<p>Checked: {checks}.</p>"
    parts = [
        f"<h2>Row {proof.number + 1}: {escape(proof.kind)}</h2>"
        f"<p>{len(proof.example.input_ids)} tokens, {sum(proof.example.completion_mask)} of them carry loss.</p>"
        f"<pre>{''.join(pieces(tokenizer, proof.example))}</pre>"
        for proof in proofs
    ]
    legend = (
        '<p><span class="prompt">What the model reads</span>, <span class="loss">what it learns to write</span>, '
        '<span class="special">special token</span>, <span class="loss special end">end token</span>. Hold the pointer on a piece to see '
        "its token ids.</p>"
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>What a student reads</title><style>{STYLE}</style>'
        f"<h1>What a student of {escape(training.model['repo'])} reads</h1>{verdict}{legend}{''.join(parts)}</html>\n"
    )


def pieces(tokenizer: PreTrainedTokenizerBase, example: chat.Example) -> Iterator[str]:
    """Yield a row as HTML: text of the prompt, text with loss, and each special token by itself."""
    special = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special}
    last = len(example.input_ids) - 1
    tokens = list(enumerate(zip(example.input_ids, example.completion_mask, strict=True)))

    def kind(token: tuple[int, tuple[int, int]]) -> tuple[int, int]:
        place, (id, loss) = token
        # a number of its own for each special token
        return loss, place if id in special else -1

    for (loss, place), group in groupby(tokens, key=kind):
        ids = [id for _, (id, _) in group]
        names = [
            "loss" if loss else "prompt",
            *(["special"] if place >= 0 else []),
            *(["end"] if loss and place == last else []),
        ]
        text = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        if len(text) > SHOWN:
            text = f"{text[: SHOWN // 2]} [...] {text[-SHOWN // 2 :]}"
        some = f"{ids[:20]}"[1:-1] + (" ..." if len(ids) > 20 else "")
        yield f'<span class="{" ".join(names)}" title="{some}">{escape(text)}</span>'
