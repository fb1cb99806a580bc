"""From messages to text."""

import tiny
from chat_templates import CHAT
from teachergrid.models import templates


def test_a_template_renders_a_prompt_and_a_conversation():
    messages = [{"role": "user", "content": "red"}, {"role": "assistant", "content": "apple"}]
    conversation = "<|im_start|>user\nred<|im_end|>\n<|im_start|>assistant\napple<|im_end|>"
    assert templates.render(tiny.tokenizer(), messages, CHAT, add_generation_prompt=False) == conversation
    prompt = conversation.removesuffix("apple<|im_end|>")
    assert templates.render(tiny.tokenizer(), messages[:1], CHAT, add_generation_prompt=True) == prompt


def test_the_system_message_of_the_settings_is_put_first_where_there_is_none():
    messages = [{"role": "user", "content": "red"}]
    with_system = templates.with_system(messages, CHAT | {"system": "be brief"})
    assert with_system == [{"role": "system", "content": "be brief"}, *messages]
    assert templates.with_system(with_system, CHAT | {"system": "other"}) == with_system
    assert templates.with_system(messages, CHAT) == messages


def test_the_plain_format_says_where_the_question_is():
    messages = [
        {"role": "user", "content": "red"},
        {"role": "assistant", "content": "no"},
        {"role": "user", "content": "2"},
    ]
    text, spans = templates.plain(messages, CHAT | {"plain": "Q: {question} A:"})
    assert text == "Q: red\n2 A:"
    assert [text[first:last] for first, last in spans] == ["red\n2"]
