"""What a template writes around an answer, for templates of the kinds that vendors ship."""

import pytest
import tiny
from chat_templates import CHAT, INST_BLANK, NEMOTRON, QWEN3, QWEN35, R1, channels, thinker
from teachergrid.errors import BadInput
from teachergrid.models import frames

OFF = {"enable_thinking": False}
EMPTY = "<think>\n\n</think>\n\n"
HEADER = "<|channel|>final<|message|>"
ANALYSIS = "<|channel|>analysis<|message|>"
OPENS = CHAT | {"template": R1.replace("<think>", "[THINK]")}


@pytest.mark.parametrize(
    ("tokenizer", "template_args", "opened", "lead", "trail", "end"),
    [
        (tiny.tokenizer(), {}, "", "", "", "<|im_end|>"),
        (thinker(QWEN3), {}, "", EMPTY, "", "<|im_end|>"),
        (thinker(QWEN3), OFF, "", "", "", "<|im_end|>"),
        (thinker(QWEN35), {}, "<think>\n", "\n</think>\n\n", "", "<|im_end|>"),
        (thinker(QWEN35), OFF, "", "", "", "<|im_end|>"),
        (thinker(NEMOTRON), {}, "<think>\n", "</think>", "", "<|im_end|>"),
        (thinker(R1), {}, "<think>\n", "", "", "<|im_end|>"),
        (thinker(R1, special=False), {}, "<think>\n", "", "", "<|im_end|>"),
        (channels(), {}, "", HEADER, "", "<|return|>"),
        (tiny.sentencepiece("first", INST_BLANK), {}, "", " ", " ", "</s>"),
    ],
)
def test_frames_of_templates(tokenizer, template_args, opened, lead, trail, end):
    frame = frames.frame(tokenizer, CHAT | {"template_args": template_args})
    found = (frame.opened, frame.lead, frame.trail, tokenizer.convert_ids_to_tokens(frame.end))
    assert found == (opened, lead, trail, [end])


@pytest.mark.parametrize(
    ("before", "after", "opened"),
    [
        ("<think>", "[THINK]", "[THINK]\n"),
        ("<think>", "<seed:think>", "<seed:think>\n"),
        ("<think>", "<|START_THINKING|>", "<|START_THINKING|>\n"),
        ("<think>", "<scratchpad>", "<scratchpad>\n"),
        ("<think>", ANALYSIS, ANALYSIS + "\n"),
        ("<think>\n", "<think>\n</think>\n", ""),  # closed again
        ("<think>\n", "Sure: ", ""),  # no tag
    ],
)
def test_tags_that_a_prompt_leaves_open(before, after, opened):
    settings = CHAT | {"template": R1.replace(before, after)}
    assert frames.frame(tiny.tokenizer(), settings).opened == opened


def test_the_plain_format_has_no_frame():
    frame = frames.frame(thinker(R1), CHAT, "plain")
    assert (frame.opened, frame.lead, frame.trail, frame.end) == ("", "", "", [3])


def test_a_template_that_leaves_out_the_answer_is_refused():
    tokenizer = tiny.tokenizer(
        template="{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}"
    )
    with pytest.raises(BadInput, match=r"leaves out the text of an assistant turn.*`template`"):
        frames.frame(tokenizer, CHAT)


def test_a_frame_follows_a_change_of_tokenizer_and_settings():
    tokenizer = thinker(R1)
    assert frames.frame(tokenizer, CHAT).opened
    assert not frames.frame(tokenizer, CHAT | {"template": tiny.CHATML}).opened
    tokenizer.chat_template = tiny.CHATML
    assert not frames.frame(tokenizer, CHAT).opened
