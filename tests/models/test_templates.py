"""From messages to text."""

from importlib.resources import files

import tiny
from chat_templates import CHAT
from teachergrid.models import templates


def test_a_template_renders_a_prompt_and_a_conversation():
    messages = [{"role": "user", "content": "red"}, {"role": "assistant", "content": "apple"}]
    conversation = "<|im_start|>user\nred<|im_end|>\n<|im_start|>assistant\napple<|im_end|>"
    assert templates.render(tiny.tokenizer(), messages, CHAT, add_generation_prompt=False) == conversation
    prompt = conversation.removesuffix("apple<|im_end|>")
    assert templates.render(tiny.tokenizer(), messages[:1], CHAT, add_generation_prompt=True) == prompt


def test_a_template_reads_the_same_date_on_every_day():
    """Templates of vendors write today's date: the prompts of a job that is continued or made again would differ."""
    messages = [{"role": "user", "content": "red"}]
    llama = "{% macro day() %}{{ strftime_now('%d %b %Y') }}{% endmacro %}{{ day() }}: {{ messages[0].content }}"
    tokenizer = tiny.tokenizer(template=llama)
    assert templates.render(tokenizer, messages, CHAT, add_generation_prompt=True) == "26 Jul 2024: red"
    gptoss = tiny.tokenizer(template=(files("trl") / "chat_templates/gptoss.jinja").read_text())
    assert "Current date: 2024-07-26\n" in templates.render(gptoss, messages, CHAT, add_generation_prompt=True)


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
